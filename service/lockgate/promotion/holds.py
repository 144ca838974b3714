"""Holds: what was rolled back is not promoted again by automation, until a person lifts the hold."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Engine, select

from lockgate.audit import Actor, Event, Outcome, Receipt
from lockgate.audit.formats.disclosures import Draw, commit
from lockgate.clock import Clock, EpochNs, format_timestamp
from lockgate.ids import new_id
from lockgate.promotion.errors import HoldUnknownError
from lockgate.promotion.events import HOLD, Occasion, make_event
from lockgate.promotion.logs import Logs
from lockgate.promotion.recorded_holds import find_recorded
from lockgate.promotion.register import now_us
from lockgate.promotion.rollout_parsing import parse_hold_lift_request
from lockgate.promotion.types import Promotion
from lockgate.storage import read_transaction, upsert
from lockgate.storage.tables import hold as hold_table

HOLDS_MAX: Final = 1000  # listed at once: who has more is not rolling back but redesigning


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold that is in force."""

    model: str
    environment: str
    promotion_id: str  # the rollback that placed it; "" = a finding did
    placed: EpochNs


class Holds:
    """Lists and lifts holds; `place_hold` places them."""

    def __init__(self, *, database: Engine, logs: Logs, clock: Clock, draw: Draw = secrets.token_bytes) -> None:
        self._database = database
        self._logs = logs
        self._clock = clock
        self._draw = draw

    def list(self) -> tuple[Hold, ...]:
        """Return the holds in force, by environment and model, at most `HOLDS_MAX`.

        Raises:
            StorageError: The database cannot be read.
        """
        columns = hold_table.c
        statement = select(hold_table).where(columns.lifted_ns.is_(None))
        with read_transaction(self._database) as connection:
            rows = connection.execute(statement.order_by(columns.environment, columns.model).limit(HOLDS_MAX))
            return tuple(
                Hold(
                    model=row.model,
                    environment=row.environment,
                    promotion_id=row.promotion_id,
                    placed=row.placed_ns,
                )
                for row in rows
            )

    def lift(self, actor: Actor, model: str, environment: str, body: bytes, *, trace: str) -> Receipt:
        """End a hold, and record it.

        Args:
            actor: A person who may.
            model: The model.
            environment: Where it is held.
            body: Why, as `v1/api/hold_lift_request`.
            trace: The HTTP request's id.

        Raises:
            MalformedJSONError: `body` is not one JSON value within the limits.
            SchemaError: `body` breaks its schema.
            HoldUnknownError: There is no hold in force.
            AuditError: It could not be recorded, so it stays.
            StorageError: The database failed.
        """
        reason = parse_hold_lift_request(body)
        said = commit("reason", reason, self._draw) if reason else None  # a person's words, so they can be erased
        now = now_us(self._clock)
        occasion = Occasion(actor=actor, model=model, now=now, trace=trace)
        recorded = find_recorded(self._logs, model, environment)
        columns = hold_table.c
        in_force = (columns.model == model) & (columns.environment == environment) & columns.lifted_ns.is_(None)

        def work(connection: Connection) -> Outcome[None]:
            promotion_id = connection.scalars(select(columns.promotion_id).where(in_force)).first()
            if promotion_id is None and recorded is not None:
                promotion_id = recorded["promotion_id"]
            if promotion_id is None:
                raise HoldUnknownError("want a hold that is in force; there is none on this model in this environment")
            connection.execute(hold_table.update().where(in_force).values(lifted_ns=now))
            event = _hold_event(
                occasion,
                "lifted",
                environment,
                promotion_id,
                said.commitment if said else "",
                *((said.document,) if said else ()),
            )
            return Outcome(value=None, events=(event,))

        return self._logs.named(self._logs.name_for(environment)).transact(work).receipts[0]


def is_held(connection: Connection, model: str, environment: str) -> bool:
    """Tell whether a hold on a model in an environment is in force, as its row says; see also `find_recorded`."""
    return held_by(connection, model, environment) is not None


def held_by(connection: Connection, model: str, environment: str) -> str | None:
    """Return the rollback that placed the hold in force; "" where a finding did, None where there is no hold."""
    columns = hold_table.c
    statement = select(columns.promotion_id).where(
        columns.model == model, columns.environment == environment, columns.lifted_ns.is_(None)
    )
    return connection.scalars(statement).first()


def place_hold(
    connection: Connection, occasion: Occasion, rollback: Promotion, recorded: Mapping[str, Any] | None
) -> tuple[Event, ...]:
    """Hold what a rollback moves away from; return what the log says of it: nothing where a rollback holds it already.

    A hold that a finding placed becomes the rollback's: from now on what was found has been answered.
    """
    environment = rollback.request.transition.to_environment
    in_log = recorded is not None and recorded["promotion_id"]  # a row alone could be taken away again
    if held_by(connection, occasion.model, environment) and in_log:
        return ()
    _place(connection, occasion, environment, rollback.id)
    return (_hold_event(occasion, "placed", environment, rollback.id, ""),)


def freeze(
    connection: Connection,
    occasion: Occasion,
    environment: str,
    finding_id: str,
    recorded: Mapping[str, Any] | None,
) -> tuple[Event, ...]:
    """Hold the model because of a finding; return what the log says of it: nothing where it is held already.

    Args:
        connection: In the finding's transaction.
        occasion: Who found what about which model, and when.
        environment: Where the model is held.
        finding_id: Of the finding.
        recorded: What the log said of a hold before (`find_recorded`).
    """
    if recorded is not None and is_held(connection, occasion.model, environment):  # as for a rollback: not a row alone
        return ()
    _place(connection, occasion, environment, "")
    event = _hold_event(occasion, "placed", environment, "", "")
    return (replace(event, body={**event.body, "finding_id": finding_id}),)


def _place(connection: Connection, occasion: Occasion, environment: str, promotion_id: str) -> None:
    changes = {"promotion_id": promotion_id, "placed_ns": occasion.now, "lifted_ns": None}
    upsert(connection, hold_table, {"model": occasion.model, "environment": environment, **changes}, changes)


def _hold_event(
    occasion: Occasion, change: str, environment: str, promotion_id: str, reason: str, *kept: bytes
) -> Event:
    body = {
        "schema_version": 1,
        "change": change,
        "model": occasion.model,
        "environment": environment,
        "promotion_id": promotion_id,
        "reason": reason,
        "changed_at": format_timestamp(occasion.now),
    }
    return make_event(HOLD, new_id(occasion.now), occasion, body, *kept)
