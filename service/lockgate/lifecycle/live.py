"""What is and was live, and who let it in. Changes nothing.

It is found in the tables and held against the records: an answer of one instant is what the log says, or none. Lists
are the tables' word.
"""

from typing import Any

from sqlalchemy import Engine

from lockgate.audit import LogInconsistentError, RecordPrunedError, RecordUnknownError
from lockgate.canonical_json import parse_canonical
from lockgate.clock import Clock, EpochNs, now_us, parse_timestamp
from lockgate.gate_logs import LogNotConfiguredError, Logs
from lockgate.lifecycle import live_store
from lockgate.lifecycle.intervals import LiveInterval
from lockgate.lifecycle.recorded_intervals import RecordedInterval, check_interval, check_nothing
from lockgate.lifecycle.types import LetIn, LiveAnswer, RecordPlace
from lockgate.promotion import rollout_store, store
from lockgate.promotion.recorded_holds import is_in_force
from lockgate.promotion.register import settle
from lockgate.promotion.rows import check_recorded, promotion_from_row
from lockgate.promotion.states import UNDER_WAY
from lockgate.promotion.types import Promotion
from lockgate.storage import MovedError, read_transaction


class LiveReader:
    """Answers what was live when."""

    def __init__(self, *, database: Engine, logs: Logs, clock: Clock) -> None:
        self._database = database
        self._logs = logs
        self._clock = clock

    def now(self, model: str, environment: str) -> LiveAnswer:
        """Return what is live, and what should be.

        Raises:
            LogInconsistentError: What is live, or what should be, is not as the log has it.
            LogNotConfiguredError: The log of what should be is not one of this gate.
            ContendedError: Others kept changing it.
            StorageError: The database cannot be read.
        """

        def attempt() -> LiveAnswer:
            now = now_us(self._clock)
            desired = self._desired(model, environment, now)
            return self._answer(model, environment, now, None, desired)

        return settle(attempt)

    def at(self, model: str, environment: str, when: EpochNs) -> LiveAnswer:
        """Return what was live at an instant.

        Raises:
            LogInconsistentError: It is not as the log has it.
            ContendedError: Others kept changing what is live.
            StorageError: The database cannot be read.
        """
        return settle(lambda: self._answer(model, environment, when, when, None))

    def interval(self, model: str, environment: str) -> LiveInterval | None:
        """Return the interval that lasts, or None: nothing was ever seen there.

        Raises:
            LogInconsistentError: It is not as the log has it.
            ContendedError: Others kept changing what is live.
            StorageError: The database cannot be read.
        """
        return settle(lambda: self._recorded(model, environment, None)[0])

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

    def _answer(
        self, model: str, environment: str, at: EpochNs, when: EpochNs | None, desired: Promotion | None
    ) -> LiveAnswer:
        interval, recorded, is_proven = self._recorded(model, environment, when)
        let_in = None
        if interval is not None and interval.promotion_id:
            let_in = self._let_in(interval, recorded)
            if let_in is None:
                let_in, is_proven = self._let_in_as_kept(interval, recorded), False
        return LiveAnswer(
            at=at,
            interval=interval,
            let_in=let_in,
            desired=desired,
            held=is_in_force(self._database, self._logs, model, environment),
            is_proven=is_proven,
        )

    def _recorded(
        self, model: str, environment: str, when: EpochNs | None
    ) -> tuple[LiveInterval | None, RecordedInterval | None, bool]:
        """Return what was live at an instant (None: now), what the log says of it, and whether it says all of it.

        Raises:
            MovedError: It changed between reading it and looking into the log.
        """
        interval = self._read(model, environment, when)
        try:
            if interval is None:
                return None, None, check_nothing(self._logs, model, environment, when)
            recorded = check_interval(self._logs, interval, when)
        except LogInconsistentError:
            if self._read(model, environment, when) != interval:
                raise MovedError from None
            raise
        return interval, recorded, recorded.is_proven

    def _read(self, model: str, environment: str, when: EpochNs | None) -> LiveInterval | None:
        with read_transaction(self._database) as connection:
            if when is None:
                return live_store.read_open(connection, model, environment)
            return live_store.read_at(connection, model, environment, when)

    def _desired(self, model: str, environment: str, now: EpochNs) -> Promotion | None:
        """Return what should be live: what is being carried out, else the newest that may be.

        Raises:
            LogInconsistentError: It is not as the log has it.
            MovedError: Somebody moved it just now.
        """
        with read_transaction(self._database) as connection:
            rollout = rollout_store.rollout_under_way(connection, model, environment)
            under_way = None if rollout is None else store.read_promotion_row(connection, rollout.promotion_id)
            allowed = store.newest_allowed(connection, model, environment, now)
        for row in (under_way, allowed):
            promotion = None if row is None else promotion_from_row(row, now)
            # A rollout whose promotion's time ran out is over, whether or not that is recorded.
            if promotion is None or (row is under_way and promotion.state not in UNDER_WAY):
                continue
            request = promotion.request
            if (request.model, request.transition.to_environment) != (model, environment):
                raise LogInconsistentError(f"want a promotion of the model into the environment, got {promotion.id}")
            check_recorded(self._database, self._logs, promotion)
            return promotion
        return None

    def _let_in(self, interval: LiveInterval, recorded: RecordedInterval | None) -> LetIn | None:
        """Return who let a version in, by the records alone; None where one of them was pruned."""
        if recorded is None or recorded.record is None or recorded.place is None:
            return None
        body = recorded.record["body"]
        decision = self._record(interval.log, body["decision_id"])
        if decision is None:
            return None
        decided, its_place = decision
        permit = self._record(interval.log, body["permit_id"])
        return LetIn(
            promotion_id=interval.promotion_id,
            kind=body["kind"],
            requester=decided["subject"]["requester"],
            requested=parse_timestamp(body["requested_at"]),
            approvals=tuple((one["approver"], one["role"]) for one in decided["approvals"] if one["counted"]),
            policy_revision=decided["policy"]["revision"],
            evidence=decided["evidence"]["digest"],
            records=(its_place, *((permit[1],) if permit else ()), recorded.place),
        )

    def _let_in_as_kept(self, interval: LiveInterval, recorded: RecordedInterval | None) -> LetIn | None:
        """Return who let a version in as the table has it, where records were pruned."""
        with read_transaction(self._database) as connection:
            row = store.read_promotion_row(connection, interval.promotion_id)
            rollout = rollout_store.read_rollout(connection, interval.promotion_id)
        if row is None:
            return None
        promotion = promotion_from_row(row, interval.begins)
        permit = self._record(interval.log, rollout.permit_id) if rollout else None
        places = (permit[1] if permit else None, recorded.place if recorded else None)
        return LetIn(
            promotion_id=promotion.id,
            kind=promotion.request.transition.kind,
            requester=promotion.requester,
            requested=promotion.created,
            approvals=(),
            policy_revision="",
            evidence=str(promotion.request.evidence_digest),
            records=tuple(place for place in places if place is not None),
        )

    def _record(self, log: str, record_id: str) -> tuple[dict[str, Any], RecordPlace] | None:
        """Return a record's body and its place; None where it was pruned."""
        try:
            stored = self._logs.named(log).record_by_id(record_id)
        except (RecordUnknownError, RecordPrunedError, LogNotConfiguredError):
            return None
        record = parse_canonical(stored.body)
        return record["body"], RecordPlace(kind=record["kind"], id=record_id, seq=stored.seq)
