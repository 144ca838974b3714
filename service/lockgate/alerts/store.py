"""What is known, when an alert comes, of the model in the environment. Works inside its caller's transaction."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, func, select

from lockgate.clock import EpochNs, is_expired
from lockgate.promotion import held_by
from lockgate.promotion.states import EXPIRING, FINAL
from lockgate.promotion.types import PromotionState
from lockgate.storage import insert_new
from lockgate.storage.tables import live_interval, promotion, rollout, seen_message

_SEEN_AS: Final = "alert"  # among the sources of `seen_message`


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Where a model in an environment stands.

    Attributes:
        open_rollback: The rollback that is not over yet, by id; "" if there is none.
        newest_rollback: The one asked for last, over or not; "" if there never was one.
        asked: When that was.
        held: Whether a rollback's hold is in force. A finding's is none: it freezes what runs, and answers no alert.
        arrived: When what runs there now began to arrive; None: nothing was ever seen there.
    """

    open_rollback: str
    newest_rollback: str
    asked: EpochNs
    held: bool
    arrived: EpochNs | None


def read_situation(connection: Connection, model: str, environment: str, now: EpochNs) -> Situation:
    """Return where a model in an environment stands."""
    columns = promotion.c
    newest = connection.execute(
        select(columns.id, columns.state, columns.created_ns, columns.expires_ns)
        .where(columns.model == model, columns.to_environment == environment, columns.kind == "rollback")
        .order_by(columns.number.desc())
        .limit(1)
    ).first()
    is_open = newest is not None and _is_open(PromotionState(newest.state), newest.expires_ns, now)
    return Situation(
        open_rollback=newest.id if newest is not None and is_open else "",
        newest_rollback="" if newest is None else newest.id,
        asked=EpochNs(0) if newest is None else newest.created_ns,
        held=bool(held_by(connection, model, environment)),
        arrived=_read_arrival(connection, model, environment),
    )


def mark_failure(connection: Connection, key: str, now: EpochNs) -> bool:
    """Remember that a failure is recorded; tell whether it was not yet."""
    return insert_new(connection, seen_message, {"source": _SEEN_AS, "id": key, "seen_ns": now})


def _is_open(state: PromotionState, expires: EpochNs, now: EpochNs) -> bool:
    return state not in FINAL and not (state in EXPIRING and is_expired(expires, now))


def _read_arrival(connection: Connection, model: str, environment: str) -> EpochNs | None:
    # The pointer is moved before what runs is seen: alerts may come in between, and are about what arrives.
    live, carried = live_interval.c, rollout.c
    moving = select(carried.permit_used_ns).where(
        carried.model == model, carried.environment == environment, carried.under_way == 1
    )
    moved: EpochNs | None = connection.scalar(moving)
    if moved is not None:
        return moved
    seen = (
        select(func.coalesce(carried.permit_used_ns, live.from_ns))
        .select_from(live_interval.outerjoin(rollout, carried.promotion_id == live.promotion_id))
        .where(live.model == model, live.environment == environment, live.is_live == 1)
    )
    arrived: EpochNs | None = connection.scalar(seen)
    return arrived
