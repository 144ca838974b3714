"""The register of promotions: reading them, and closing those that are withdrawn or whose time ran out."""

import contextlib
import itertools
import secrets
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, RowMapping

from lockgate.audit import (
    SYSTEM,
    AuditError,
    LogInconsistentError,
    Outcome,
    RecordPrunedError,
    RecordUnknownError,
)
from lockgate.audit.formats.disclosures import Draw, commit
from lockgate.canonical_json import parse_canonical
from lockgate.clock import Clock, EpochNs, format_timestamp, is_expired, now_us
from lockgate.gate_logs import Logs, Occasion, actor_of, make_event
from lockgate.identity import NotPermittedError, Principal
from lockgate.policy import PolicyRevision
from lockgate.promotion import rollout_store, store
from lockgate.promotion.change_ids import next_id
from lockgate.promotion.errors import (
    ContendedError,
    PromotionClosedError,
    PromotionUnknownError,
    RolloutStateError,
)
from lockgate.promotion.kinds import APPROVAL, DECISION, EXPIRY, WITHDRAWAL
from lockgate.promotion.parsing import (
    approval_document,
    parse_withdrawal_request,
)
from lockgate.promotion.rows import check_recorded, find_recorded_row, move, promotion_from_row, read_row
from lockgate.promotion.states import FINAL, state_after
from lockgate.promotion.types import (
    Approval,
    Decision,
    Promotion,
    PromotionAnswer,
    PromotionState,
    Verdict,
    WaitingPromotions,
    WithdrawalAnswer,
)
from lockgate.storage import MovedError, StorageError, read_transaction
from lockgate.storage.idempotency import IdempotencyKeyReusedError, read_idempotent_answer

T = TypeVar("T")

EXPIRE_BATCH_MAX: Final = 50  # promotions that one operation closes on its way; the log takes 64 events at once
EXPIRE_LOOKED_AT_MAX: Final = 200  # for these: so many rows that nothing confirms would have to lie before one
TRIES_MAX: Final = 8  # people approving at one moment; more than that is a storm, and the caller tries again


class Register:
    """Holds what was asked and where each promotion stands."""

    def __init__(self, *, database: Engine, logs: Logs, clock: Clock, draw: Draw = secrets.token_bytes) -> None:
        self._database = database
        self._logs = logs
        self._clock = clock
        self._draw = draw

    def get(self, promotion_id: str) -> PromotionAnswer:
        """Return a promotion, its newest decision and that decision's receipt.

        Raises:
            PromotionUnknownError: There is no such promotion.
            LogNotConfiguredError: The log that holds its records is not one of this gate.
            LogInconsistentError: It is open, and not as the log has it.
            RecordPrunedError: The decision was pruned: it is in the log's archive.
            AuditError: The log does not hold the decision.
            ContendedError: Others kept moving it.
            StorageError: The database failed.
        """

        def attempt() -> PromotionAnswer:
            now = now_us(self._clock)
            row, due = self._look(promotion_id, now)
            if due:
                with _unrecorded():
                    self._expire_due(row["log"], now)
                row, _ = self._look(promotion_id, now)
            promotion = promotion_from_row(row, now)
            if promotion.state not in FINAL:  # of a closed one the records may have been pruned
                check_recorded(self._database, self._logs, promotion)
            return self._answer(promotion)

        return settle(attempt)

    def requester_of(self, promotion_id: str) -> str:
        """Return who asked for a promotion.

        Raises:
            PromotionUnknownError: There is no such promotion.
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            requester: str = read_row(connection, promotion_id)["requester"]
        return requester

    def ended_approvals(self, promotion_id: str, revision: PolicyRevision) -> frozenset[str]:
        """Return the ids of a promotion's approvals that count no more, so that their approvers may approve again.

        Args:
            promotion_id: Of a promotion; one that is not here has none.
            revision: The policy revision in force; an approval under another one ended with it.

        Raises:
            StorageError: The database cannot be read.
        """
        now = now_us(self._clock)
        with read_transaction(self._database) as connection:
            approvals = store.read_approvals(connection, promotion_id)
        return frozenset(
            one.id for one in approvals if is_expired(one.expires, now) or one.binding.policy_revision != revision
        )

    def list(self, wanted: store.PromotionFilter) -> tuple[tuple[int, Promotion], ...]:
        """Return a page of promotions, newest first, each with its number (the cursor).

        Raises:
            StorageError: The database cannot be read.
        """
        now = now_us(self._clock)
        with read_transaction(self._database) as connection:
            due = store.logs_with_due_promotions(connection, now)
        for log in set(due).intersection(self._logs.names()):
            with _unrecorded():
                self._expire_due(log, now)
        with read_transaction(self._database) as connection:
            rows = store.list_promotion_rows(connection, wanted, now)
        return tuple((row["number"], promotion_from_row(row, now)) for row in rows)

    def waiting(self) -> tuple[WaitingPromotions, ...]:
        """Count the promotions that nobody has closed yet, by target environment. Changes nothing.

        Raises:
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            return store.waiting_promotions(connection, self._clock.now_ns())

    def replay(self, subject: str, key: str, body_sha256: str) -> PromotionAnswer | None:
        """Return what a principal was answered when they first used an idempotency key, or None.

        Raises:
            IdempotencyKeyReusedError: The key came before with another body.
            AuditError: The log does not hold the decision.
            StorageError: The database failed.
        """
        with read_transaction(self._database) as connection:
            before = read_idempotent_answer(connection, subject=subject, key=key)
            if before is None:
                return None
            row = store.read_promotion_row(connection, before.promotion_id)
        if before.request_sha256 != body_sha256:
            raise IdempotencyKeyReusedError("want a new Idempotency-Key for another request body")
        if row is None:
            raise PromotionUnknownError("want the promotion of this Idempotency-Key, got one that is not here")
        answer = self._answer(replace(promotion_from_row(row, now_us(self._clock)), decision_id=before.decision_id))
        state = state_after(answer.decision.verdict, rejected=False)  # as it was then, whatever became of it since
        return replace(answer, promotion=replace(answer.promotion, state=state))

    def pending(self, promotion_id: str, now: EpochNs) -> tuple[Promotion, tuple[Approval, ...]]:
        """Return a promotion that people can still decide, and its approvals, oldest first.

        Raises:
            PromotionClosedError: It is not pending.
            LockgateError: As `in_state`.
        """
        try:
            return self.in_state(promotion_id, now, (PromotionState.PENDING,))
        except RolloutStateError as exc:
            raise PromotionClosedError(f"{exc}; request anew") from exc

    def in_state(
        self, promotion_id: str, now: EpochNs, wanted: Collection[PromotionState]
    ) -> tuple[Promotion, tuple[Approval, ...]]:
        """Return a promotion that stands where it must for what comes next, and its approvals, oldest first.

        Raises:
            PromotionUnknownError: There is no such promotion.
            RolloutStateError: It stands elsewhere.
            LogNotConfiguredError: The log that holds its records is not one of this gate.
            LogInconsistentError: It, or an approval, is not as the log recorded it.
            MovedError: Somebody moved it just now.
            AuditError: Its expiry could not be recorded.
            StorageError: The database failed.
        """
        row, due = self._look(promotion_id, now)
        if due:
            self._expire_due(row["log"], now)
        with read_transaction(self._database) as connection:
            row = read_row(connection, promotion_id)
            approvals = store.read_approvals(connection, promotion_id)
        promotion = promotion_from_row(row, now)
        if promotion.state not in wanted:
            names = " or ".join(state.value for state in wanted)
            raise RolloutStateError(f"want a promotion that is {names}, got one that is {promotion.state.value}")
        # After the state: of a closed promotion the records may have been pruned.
        check_recorded(self._database, self._logs, promotion)
        for approval in approvals:
            # A row counts only if the log has the same word: whoever can write the table cannot write the log.
            if self._body(promotion.log, approval.id, APPROVAL) != approval_document(approval):
                raise LogInconsistentError(f"want each approval as the log recorded it; approval {approval.id} differs")
        return promotion, approvals

    def withdraw(self, requester: Principal, promotion_id: str, body: bytes, *, trace: str) -> WithdrawalAnswer:
        """Take a pending promotion back; only its requester may.

        Raises:
            MalformedJSONError: `body` is not one JSON value within the limits.
            SchemaError: `body` is not a withdrawal request.
            PromotionUnknownError: There is no such promotion.
            PromotionClosedError: It is not pending.
            LogNotConfiguredError: The log that holds its records is not one of this gate.
            NotPermittedError: Somebody else asked for it.
            AuditError: Nothing could be recorded.
            StorageError: The database failed.
        """
        reason = parse_withdrawal_request(body)
        said = commit("reason", reason, self._draw) if reason else None  # a person's words, so they can be erased
        kept = (said.document,) if said else ()

        def attempt() -> WithdrawalAnswer:
            now = now_us(self._clock)
            promotion, _ = self.pending(promotion_id, now)
            if promotion.requester != requester.subject:
                raise NotPermittedError("want the requester of this promotion: nobody else withdraws it")
            document = {
                "schema_version": 1,
                "promotion_id": promotion.id,
                "withdrawn_at": format_timestamp(now),
                "reason": said.commitment if said else "",
            }

            def work(connection: Connection) -> Outcome[None]:
                move(connection, promotion, PromotionState.WITHDRAWN)
                occasion = Occasion(actor=actor_of(requester), model=promotion.request.model, now=now, trace=trace)
                return Outcome(
                    value=None, events=(make_event(WITHDRAWAL, next_id(promotion), occasion, document, *kept),)
                )

            receipt = self._logs.named(promotion.log).transact(work).receipts[0]
            return WithdrawalAnswer(
                withdrawal=document,
                reason_disclosure=b"".join(kept).decode(),
                withdrawal_receipt=receipt,
                outcome=self.get(promotion.id),
            )

        return settle(attempt)

    def _look(self, promotion_id: str, now: EpochNs) -> tuple[RowMapping, bool]:
        """Return a promotion's row, and whether its log holds promotions whose time ran out."""
        with read_transaction(self._database) as connection:
            row = read_row(connection, promotion_id)
            return row, bool(store.due_promotions(connection, row["log"], now, limit=1))

    def _expire_due(self, log: str, now: EpochNs) -> None:
        # Of one log: whoever asks about one environment does not wait for the log of another. A row that the log does
        # not confirm is passed over: its record could not be written, or would say what is not so, and it must not keep
        # the others from ending.
        with read_transaction(self._database) as connection:
            rows = store.due_promotions(connection, log, now, EXPIRE_LOOKED_AT_MAX)
        confirmed = (promotion for row in rows if (promotion := find_recorded_row(self._database, self._logs, row)))
        due = tuple(itertools.islice(confirmed, EXPIRE_BATCH_MAX))
        if not due:
            return

        def work(connection: Connection) -> Outcome[None]:
            events = []
            for promotion in due:
                if not store.move_promotion(
                    connection,
                    promotion.id,
                    row_version=promotion.row_version,
                    before=promotion.state,
                    after=PromotionState.EXPIRED,
                    decision_id=promotion.decision_id,
                ):
                    continue  # another process closed it first
                rollout_store.end_rollout(connection, promotion.id)
                document = {"schema_version": 1, "promotion_id": promotion.id, "expired_at": format_timestamp(now)}
                occasion = Occasion(actor=SYSTEM, model=promotion.request.model, now=now, trace=None)
                events.append(make_event(EXPIRY, next_id(promotion), occasion, document))
            if not events:
                raise MovedError  # all of them
            return Outcome(value=None, events=tuple(events))

        try:
            self._logs.named(log).transact(work)
        except MovedError:
            return

    def _body(self, log: str, event_id: str, kind: str) -> dict[str, Any]:
        try:
            record: dict[str, Any] = parse_canonical(self._logs.named(log).receipt_by_id(event_id).record)
        except (RecordUnknownError, RecordPrunedError) as exc:  # what is open needs it, so it was not pruned
            raise LogInconsistentError(f"want a {kind} record {event_id} in the log, got none") from exc
        body: dict[str, Any] = record["body"] if record["kind"] == kind else {}
        return body

    def _answer(self, promotion: Promotion) -> PromotionAnswer:
        # The decision is read from its record: what the log holds is what the caller sees.
        try:
            receipt = self._logs.named(promotion.log).receipt_by_id(promotion.decision_id)
        except RecordUnknownError as exc:
            raise LogInconsistentError(f"want the newest decision on promotion {promotion.id} in the log") from exc
        record = parse_canonical(receipt.record)
        document = record["body"]
        if record["kind"] != DECISION or document["promotion_id"] != promotion.id:
            raise LogInconsistentError(f"want the record of a decision on promotion {promotion.id}, got another")
        decision = Decision(verdict=Verdict(document["verdict"]), document=document)
        return PromotionAnswer(promotion=promotion, decision=decision, receipt=receipt)


def settle(attempt: Callable[[], T]) -> T:
    """Try until nothing moved meanwhile.

    Raises:
        ContendedError: Something moved `TRIES_MAX` times.
    """
    for _ in range(TRIES_MAX):
        try:
            return attempt()
        except MovedError:
            continue
    raise ContendedError("others changed the promotion at the same moment, again and again; try again")


def _unrecorded() -> contextlib.AbstractContextManager[None]:
    # Reading goes on when nothing can be written: what ran out is shown as expired whether or not that is recorded.
    return contextlib.suppress(StorageError, AuditError)
