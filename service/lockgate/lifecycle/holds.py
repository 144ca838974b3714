"""Holds: what was rolled back is not promoted again by automation, until a person lifts the hold."""

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

from sqlalchemy import Connection, Engine

from lockgate.audit import Actor, Event, Outcome, Receipt, RecordPrunedError, RecordUnknownError
from lockgate.audit.formats.disclosures import Draw, commit
from lockgate.clock import Clock, format_timestamp, now_us
from lockgate.config import MAIN_LOG
from lockgate.gate_logs import Logs, Occasion, make_event
from lockgate.identity import Principal, read_principal
from lockgate.ids import new_id
from lockgate.lifecycle.errors import HoldUnknownError
from lockgate.lifecycle.rollout_parsing import parse_hold_lift_request
from lockgate.lifecycle.types import Hold
from lockgate.policy import fold_identity
from lockgate.promotion import change_ids, hold_store
from lockgate.promotion.kinds import HOLD
from lockgate.promotion.left_versions import LeftVersion, find_left_under_hold
from lockgate.promotion.recorded_holds import find_recorded
from lockgate.promotion.types import Promotion
from lockgate.storage import read_transaction

HOLDS_MAX: Final = 1000  # listed at once: who has more is not rolling back but redesigning


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
        with read_transaction(self._database) as connection:
            rows = hold_store.list_holds(connection, HOLDS_MAX)
        return tuple(
            Hold(model=model, environment=environment, promotion_id=promotion_id, placed=placed)
            for model, environment, promotion_id, placed in rows
        )

    def asked_by(self, principal: Principal, model: str, environment: str) -> bool:
        """Tell whether a person asked for anything that the hold keeps away, under whichever of their names.

        Raises:
            StorageError: The database cannot be read.
        """
        brought = {left.promotion_id for left in find_left_under_hold(self._logs, model, environment)}
        subjects = {self._requester_of(promotion_id, environment) for promotion_id in brought - {""}}
        names = _names_of(principal)
        with read_transaction(self._database) as connection:
            requesters = [read_principal(connection, subject) for subject in sorted(subjects)]
        return any(names & _names_of(requester) for requester in requesters if requester is not None)

    def _requester_of(self, promotion_id: str, environment: str) -> str:
        for name in {MAIN_LOG, self._logs.name_for(environment)}:
            with contextlib.suppress(RecordUnknownError, RecordPrunedError):  # it is in the other, or nobody knows now
                requester: str = self._logs.body(name, change_ids.first_id(promotion_id))["subject"]["requester"]
                return requester
        return ""

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

        def work(connection: Connection) -> Outcome[None]:
            promotion_id = hold_store.held_by(connection, model, environment)
            if promotion_id is None and recorded is not None:
                promotion_id = recorded["promotion_id"]
            if promotion_id is None:
                raise HoldUnknownError("want a hold that is in force; there is none on this model in this environment")
            hold_store.lift_hold(connection, model, environment, now=now)
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


def _names_of(principal: Principal) -> set[str]:
    return {fold_identity(name) for name in (principal.subject, *principal.identities)}


def place_hold(
    connection: Connection,
    occasion: Occasion,
    rollback: Promotion,
    left: Sequence[LeftVersion],
    recorded: Mapping[str, Any] | None,
) -> tuple[Event, ...]:
    """Hold what a rollback moves away from; return what the log says of it: nothing where it holds it already.

    A hold that a finding or another rollback placed becomes this one's: the log must say what it leaves.

    Args:
        connection: In the permit's transaction.
        occasion: Who gets the permit, and when.
        rollback: The rollback.
        left: What it moves away from (`find_leaving`).
        recorded: What the log said of a hold before (`find_recorded`).
    """
    environment = rollback.request.transition.to_environment
    held_by = hold_store.held_by(connection, occasion.model, environment)
    # A row alone could be taken away again.
    if held_by == rollback.id and recorded is not None and recorded["promotion_id"] == rollback.id:
        return ()
    hold_store.put_hold(connection, occasion.model, environment, promotion_id=rollback.id, now=occasion.now)
    event = _hold_event(occasion, "placed", environment, rollback.id, "")
    return (replace(event, body={**event.body, "left": [asdict(one) for one in left]}),)


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
    # As for a rollback: not on the word of a row alone.
    if recorded is not None and hold_store.is_held(connection, occasion.model, environment):
        return ()
    hold_store.put_hold(connection, occasion.model, environment, promotion_id="", now=occasion.now)
    event = _hold_event(occasion, "placed", environment, "", "")
    return (replace(event, body={**event.body, "finding_id": finding_id}),)


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
