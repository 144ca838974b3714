"""What is known, when an alert comes, of the model in the environment. Works inside its caller's transaction."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Row, func, select

from lockgate.clock import EpochNs, is_expired
from lockgate.promotion.states import EXPIRING, FINAL
from lockgate.promotion.types import PromotionState
from lockgate.storage import insert_new
from lockgate.storage.tables import live_interval, promotion, rollout, seen_message

ROLLBACKS_MAX: Final = 16  # looked at: one that is older and still open is a rollback that nobody wants
BROUGHT_MAX: Final = 64  # looked back at: an alert that began before as many changes is about none that can be named
_CAME_TO_NOTHING: Final = frozenset({PromotionState.DENIED, PromotionState.WITHDRAWN, PromotionState.EXPIRED})
_SEEN_AS: Final = "alert"  # among the sources of `seen_message`


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """A rollback that may answer an incident.

    Attributes:
        asked: When it was asked for.
        is_open: It is not over yet.
        came_to_nothing: It was denied, taken back, or nobody spoke in time.
    """

    promotion_id: str
    asked: EpochNs
    is_open: bool
    came_to_nothing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Where a model in an environment stands.

    Attributes:
        rollbacks: The newest that the source's own principal asked for, or that got a permit, newest first. What others
            only asked for moves nothing, and answers nothing.
        arrived: When what promotions brought there last began to arrive; None: nothing ever was. What came out of band
            since is nobody's answer to an alert.
        failing: The digest of what a promotion had brought when the alert began; "" where nothing was.
    """

    rollbacks: tuple[Rollback, ...]
    arrived: EpochNs | None
    failing: str


def read_situation(  # noqa: PLR0913 - whose, where, and when
    connection: Connection, model: str, environment: str, *, principal: str, began: EpochNs, now: EpochNs
) -> Situation:
    """Return where a model in an environment stands.

    Args:
        connection: Of a transaction.
        model: The model.
        environment: The environment.
        principal: The subject of the source's principal.
        began: When the alert began, by whatever its clock may be ahead.
        now: The time now.
    """
    columns, carried = promotion.c, rollout.c
    asked = (
        select(columns.id, columns.state, columns.created_ns, columns.expires_ns)
        .select_from(promotion.outerjoin(rollout, carried.promotion_id == columns.id))
        .where(columns.model == model, columns.to_environment == environment, columns.kind == "rollback")
        .where((columns.requester == principal) | carried.promotion_id.is_not(None))
    )
    newest = connection.execute(asked.order_by(columns.number.desc()).limit(ROLLBACKS_MAX))
    brought = _read_brought(connection, model, environment)
    arrived = _read_moved(connection, model, environment)
    return Situation(
        rollbacks=tuple(_rollback(row, now) for row in newest),
        arrived=arrived if arrived is not None or not brought else brought[0][0],
        failing=next((digest for arrival, digest in brought if arrival <= began), ""),
    )


def mark_failure(connection: Connection, key: str, now: EpochNs) -> bool:
    """Remember that a failure is recorded; tell whether it was not yet."""
    return insert_new(connection, seen_message, {"source": _SEEN_AS, "id": key, "seen_ns": now})


def _rollback(row: Row[str, str, EpochNs, EpochNs], now: EpochNs) -> Rollback:
    state = PromotionState(row.state)
    if state in EXPIRING and is_expired(row.expires_ns, now):
        state = PromotionState.EXPIRED
    return Rollback(
        promotion_id=row.id, asked=row.created_ns, is_open=state not in FINAL, came_to_nothing=state in _CAME_TO_NOTHING
    )


def _read_moved(connection: Connection, model: str, environment: str) -> EpochNs | None:
    # The pointer is moved before what runs is seen: alerts may come in between, and are about what arrives.
    carried = rollout.c
    moving = select(carried.permit_used_ns).where(
        carried.model == model, carried.environment == environment, carried.under_way == 1
    )
    moved: EpochNs | None = connection.scalar(moving)
    return moved


def _read_brought(connection: Connection, model: str, environment: str) -> list[tuple[EpochNs, str]]:
    """Return when what promotions brought there began to arrive, and its digest, newest first."""
    live, carried = live_interval.c, rollout.c
    seen = (
        select(func.coalesce(carried.permit_used_ns, live.from_ns), live.digest)
        .select_from(live_interval.outerjoin(rollout, carried.promotion_id == live.promotion_id))
        .where(live.model == model, live.environment == environment, live.promotion_id != "")
    )
    return [
        (arrival, digest)
        for arrival, digest in connection.execute(seen.order_by(live.number.desc()).limit(BROUGHT_MAX))
    ]
