"""What is and was live, and who let it in: read from the intervals, the promotions and the records. Changes nothing."""

from typing import Any

from sqlalchemy import Engine

from lockgate.audit import RecordPrunedError, RecordUnknownError
from lockgate.canonical_json import parse_canonical
from lockgate.clock import Clock, EpochNs, now_us
from lockgate.gate_logs import LogNotConfiguredError, Logs
from lockgate.lifecycle import live_store
from lockgate.lifecycle.intervals import LiveInterval
from lockgate.lifecycle.types import LetIn, LiveAnswer, RecordPlace
from lockgate.promotion import rollout_store, store
from lockgate.promotion.hold_store import is_held
from lockgate.promotion.register import promotion_from_row
from lockgate.storage import read_transaction


class LiveReader:
    """Answers what was live when."""

    def __init__(self, *, database: Engine, logs: Logs, clock: Clock) -> None:
        self._database = database
        self._logs = logs
        self._clock = clock

    def now(self, model: str, environment: str) -> LiveAnswer:
        """Return what is live, and what should be.

        Raises:
            StorageError: The database cannot be read.
        """
        now = now_us(self._clock)
        with read_transaction(self._database) as connection:
            interval = live_store.read_open(connection, model, environment)
            rollout = rollout_store.rollout_under_way(connection, model, environment)
            if rollout is None:
                row = store.newest_allowed(connection, model, environment, now)
            else:
                row = store.read_promotion_row(connection, rollout.promotion_id)
            held = is_held(connection, model, environment)
        desired = None if row is None else promotion_from_row(row, now)
        return LiveAnswer(at=now, interval=interval, let_in=self._let_in(interval), desired=desired, held=held)

    def at(self, model: str, environment: str, when: EpochNs) -> LiveAnswer:
        """Return what was live at an instant.

        Raises:
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            interval = live_store.read_at(connection, model, environment, when)
            held = is_held(connection, model, environment)
        return LiveAnswer(at=when, interval=interval, let_in=self._let_in(interval), desired=None, held=held)

    def history(
        self, model: str, environment: str, *, before: int | None = None, limit: int
    ) -> tuple[tuple[int, LiveInterval], ...]:
        """Return a page of intervals, newest first, each with its number (the cursor).

        Raises:
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            return tuple(live_store.list_intervals(connection, model, environment, before=before, limit=limit))

    def of_version(self, model: str, version: str, *, limit: int) -> tuple[LiveInterval, ...]:
        """Return when one version was live, in any environment: the newest intervals, newest first.

        Raises:
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            return tuple(live_store.list_intervals_of(connection, model, version, limit))

    def _let_in(self, interval: LiveInterval | None) -> LetIn | None:
        if interval is None or not interval.promotion_id:
            return None
        with read_transaction(self._database) as connection:
            row = store.read_promotion_row(connection, interval.promotion_id)
            rollout = rollout_store.read_rollout(connection, interval.promotion_id)
        if row is None:
            return None
        promotion = promotion_from_row(row, interval.begins)
        ids = (promotion.decision_id, *((rollout.permit_id,) if rollout else ()), interval.record_id)
        found = {id_: self._record(interval.log, id_) for id_ in ids}
        decision = found[promotion.decision_id]
        body = {} if decision is None else decision[1]["body"]
        return LetIn(
            promotion_id=promotion.id,
            kind=promotion.request.transition.kind,
            requester=promotion.requester,
            requested=promotion.created,
            approvals=tuple((one["approver"], one["role"]) for one in body.get("approvals", ()) if one["counted"]),
            policy_revision=body.get("policy", {}).get("revision", ""),
            evidence=str(promotion.request.evidence_digest),
            records=tuple(each[0] for each in found.values() if each is not None),
        )

    def _record(self, log: str, record_id: str) -> tuple[RecordPlace, dict[str, Any]] | None:
        try:
            stored = self._logs.named(log).record_by_id(record_id)
        except (RecordUnknownError, RecordPrunedError, LogNotConfiguredError):
            return None
        record = parse_canonical(stored.body)
        return RecordPlace(kind=record["kind"], id=record_id, seq=stored.seq), record
