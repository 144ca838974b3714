"""Findings: opened, changed and answered by the reconciler, closed by people; each with its record."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Engine

from lockgate.audit import SYSTEM, Actor, Event, Outcome, Receipt, RecordPrunedError, RecordUnknownError
from lockgate.audit.formats.disclosures import Draw, commit
from lockgate.canonical_json import parse_canonical, parse_json
from lockgate.clock import Clock, EpochNs, format_timestamp, now_us
from lockgate.config import MAIN_LOG
from lockgate.gate_logs import Logs, Occasion, make_event
from lockgate.ids import named_id, new_id
from lockgate.lifecycle import freeze
from lockgate.promotion import find_recorded
from lockgate.reconciling import store
from lockgate.reconciling.documents import difference_document
from lockgate.reconciling.errors import FindingClosedError, FindingUnknownError
from lockgate.reconciling.types import FINDING, Difference, Finding, FindingFilter
from lockgate.registry.settings import Response
from lockgate.schemas import check_schema
from lockgate.storage import MovedError, read_transaction

CLOSE_BYTES_MAX: Final = 16 * 1024  # a reason of a thousand characters, however they are written
CLOSE_DEPTH_MAX: Final = 4  # the schema needs one level


class Findings:
    """Keeps findings. Safe to share between threads."""

    def __init__(self, *, database: Engine, logs: Logs, clock: Clock, draw: Draw = secrets.token_bytes) -> None:
        self._database = database
        self._logs = logs
        self._clock = clock
        self._draw = draw

    def list(self, wanted: FindingFilter) -> tuple[Finding, ...]:
        """Return a page of findings, newest first.

        Raises:
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            return tuple(store.list_findings(connection, wanted))

    def open_ones(self) -> tuple[Finding, ...]:
        """Return every open finding, oldest first.

        Raises:
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            return tuple(store.list_open(connection))

    def looked_at(self) -> Mapping[str, EpochNs]:
        """Return when each registry was looked at last, whole; those that never were are not in it.

        Raises:
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            return store.read_marks(connection, store.LOOKED)

    def is_recorded(self, finding: Finding) -> bool:
        """Tell whether the log says that this finding was opened, with this answer, and not that it was closed.

        Who can write the table cannot write the log: a row that was planted, or opened again, keeps nothing quiet. One
        whose record was pruned counts as not recorded, and is told once more.

        Raises:
            StorageError: The database cannot be read.
        """
        environment = finding.difference.environment
        for name in {MAIN_LOG, self._logs.name_for(environment)}:  # the environment may have got its own since
            opened, closed = (self._body(name, record) for record in (finding.id, _closing_id(finding.id)))
            if opened is not None and closed is None:
                said = (opened["change"], opened["finding_id"], opened["response"])
                about = tuple(opened[field] for field in ("kind", "model", "environment"))
                if said == ("opened", finding.id, finding.response) and about == finding.difference.key:
                    return True
        return False

    def _body(self, log: str, record_id: str) -> Mapping[str, Any] | None:
        try:
            record = parse_canonical(self._logs.named(log).record_by_id(record_id).body)
        except (RecordUnknownError, RecordPrunedError):
            return None
        return record["body"] if record["kind"] == FINDING else None

    def open(self, difference: Difference, response: Response, *, permit_id: str = "") -> str:
        """Open a finding, and hold what it is about where it is answered so.

        A row like it that the log does not know is put aside.

        Args:
            difference: What was found.
            response: How it is answered.
            permit_id: With which the pointer is to be moved back; "" where it is not.

        Returns:
            Its id; "" where one like it is open already.

        Raises:
            AuditError: It could not be recorded, so there is none.
            StorageError: The database failed.
        """
        now = now_us(self._clock)
        finding_id = new_id(now)
        occasion = Occasion(actor=SYSTEM, model=difference.model, now=now, trace=None)
        freezes = response == "freeze" and bool(difference.environment)
        recorded = find_recorded(self._logs, difference.model, difference.environment) if freezes else None
        with read_transaction(self._database) as connection:
            like_it = store.read_open(connection, difference)
        planted = like_it if like_it is not None and not self.is_recorded(like_it) else None

        def work(connection: Connection) -> Outcome[None]:
            if planted is not None:
                store.close_finding(connection, planted.id, now)
            if not store.insert_finding(connection, finding_id, difference, response, now):
                raise MovedError
            events: tuple[Event, ...] = (
                _event(occasion, "opened", finding_id, difference, response=response, permit_id=permit_id),
            )
            if freezes:
                events += freeze(connection, occasion, difference.environment, finding_id, recorded)
            return Outcome(value=None, events=events)

        return finding_id if self._transact(difference, work) else ""

    def change(self, before: Finding, difference: Difference) -> None:
        """Say that something else is found than before, or that it is so again.

        Raises:
            AuditError: It could not be recorded, so nothing changed.
            StorageError: The database failed.
        """
        now = now_us(self._clock)
        occasion = Occasion(actor=SYSTEM, model=difference.model, now=now, trace=None)

        def work(connection: Connection) -> Outcome[None]:
            if not store.change_finding(connection, before, difference, standing=True):
                raise MovedError
            event = _event(occasion, "changed", before.id, difference, response=before.response)
            return Outcome(value=None, events=(event,))

        self._transact(difference, work)

    def end(self, before: Finding) -> None:
        """Say that what was found is so no longer. The finding stays open: somebody has to know.

        Raises:
            AuditError: It could not be recorded, so nothing changed.
            StorageError: The database failed.
        """
        difference = before.difference
        occasion = Occasion(actor=SYSTEM, model=difference.model, now=now_us(self._clock), trace=None)

        def work(connection: Connection) -> Outcome[None]:
            if not store.change_finding(connection, before, difference, standing=False):
                raise MovedError
            event = _event(occasion, "ended", before.id, difference, response=before.response)
            return Outcome(value=None, events=(event,))

        self._transact(difference, work)

    def answer(
        self, finding_id: str, difference: Difference, response: Response, *, permit_id: str, outcome: str
    ) -> None:
        """Record what came of moving a pointer back.

        Args:
            finding_id: Why it was moved.
            difference: Of that finding.
            response: Of that finding.
            permit_id: With which it was moved.
            outcome: `restored`, or the code of what went wrong.

        Raises:
            AuditError: It could not be recorded.
            StorageError: The database failed.
        """
        occasion = Occasion(actor=SYSTEM, model=difference.model, now=now_us(self._clock), trace=None)

        def work(_connection: Connection) -> Outcome[None]:
            event = _event(
                occasion, "answered", finding_id, difference, response=response, permit_id=permit_id, outcome=outcome
            )
            return Outcome(value=None, events=(event,))

        self._transact(difference, work)

    def close(self, actor: Actor, finding_id: str, body: bytes, *, trace: str) -> tuple[Finding, Receipt]:
        """Close a finding. Where what was found still stands, the next look opens another one.

        Args:
            actor: A person who may.
            finding_id: An open finding.
            body: Why, as `v1/api/finding_close_request`.
            trace: The HTTP request's id.

        Raises:
            MalformedJSONError: `body` is not one JSON value within the limits.
            SchemaError: `body` breaks its schema.
            FindingUnknownError: There is no such finding.
            FindingClosedError: Somebody closed it before.
            AuditError: It could not be recorded, so it stays open.
            StorageError: The database failed.
        """
        document = parse_json(body, bytes_max=CLOSE_BYTES_MAX, depth_max=CLOSE_DEPTH_MAX)
        check_schema("v1/api/finding_close_request", document)
        said = commit("reason", document["reason"], self._draw)  # a person's words, so they can be erased
        with read_transaction(self._database) as connection:
            finding = store.read_finding(connection, finding_id)
        if finding is None:
            raise FindingUnknownError(f"want the id of a finding, got {finding_id}")
        difference = finding.difference
        log_name = self._logs.name_for(difference.environment)
        if self._body(log_name, _closing_id(finding_id)) is not None:  # whatever its row says
            raise FindingClosedError("want an open finding, got one that somebody closed")
        now = now_us(self._clock)
        occasion = Occasion(actor=actor, model=difference.model, now=now, trace=trace)

        def work(connection: Connection) -> Outcome[Finding]:
            if not store.close_finding(connection, finding_id, now):
                raise FindingClosedError("want an open finding, got one that somebody closed")
            event = _event(
                occasion,
                "closed",
                finding_id,
                difference,
                response=finding.response,
                reason=said.commitment,
                attachment=said.document,
            )
            return Outcome(value=replace(finding, closed=now), events=(event,))

        committed = self._logs.named(log_name).transact(work)
        return committed.value, committed.receipts[0]

    def _transact(self, difference: Difference, work: Callable[[Connection], Outcome[None]]) -> bool:
        log = self._logs.named(self._logs.name_for(difference.environment))
        try:
            log.transact(work)
        except MovedError:
            return False
        return True


def _event(  # noqa: PLR0913 - each argument is one fact
    occasion: Occasion,
    change: str,
    finding_id: str,
    difference: Difference,
    *,
    response: Response,
    permit_id: str = "",
    outcome: str = "",
    reason: str = "",
    attachment: bytes | None = None,
) -> Event:
    body = {
        "schema_version": 1,
        "change": change,
        "finding_id": finding_id,
        **difference_document(difference),
        "response": response,
        "permit_id": permit_id,
        "outcome": outcome,
        "reason": reason,
        "changed_at": format_timestamp(occasion.now),
    }
    # Where a finding begins and ends is found by its id; what is between only by who reads the log.
    named = {"opened": finding_id, "closed": _closing_id(finding_id)}
    record_id = named.get(change) or new_id(occasion.now)
    return make_event(FINDING, record_id, occasion, body, *(() if attachment is None else (attachment,)))


def _closing_id(finding_id: str) -> str:
    return named_id(f"lockgate/finding-closed:{finding_id}")
