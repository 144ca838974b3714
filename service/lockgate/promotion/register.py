"""The register of promotions: reading them, and closing those whose time ran out."""

from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, Engine, RowMapping

from lockgate.audit import Actor, AuditLog, Event, Outcome
from lockgate.canonical_json import parse_canonical
from lockgate.clock import Clock, EpochNs, format_timestamp
from lockgate.ids import new_id
from lockgate.promotion import kinds, store
from lockgate.promotion.errors import IdempotencyKeyReusedError, PromotionClosedError, PromotionUnknownError
from lockgate.promotion.parsing import request_from_row
from lockgate.promotion.types import (
    Approval,
    Decision,
    Promotion,
    PromotionAnswer,
    PromotionState,
    Verdict,
)
from lockgate.storage import read_transaction

EXPIRE_BATCH_MAX: Final = 100  # promotions that one operation closes on its way
_NS_PER_US: Final = 1_000
_SYSTEM: Final = Actor(type="system", id="lockgate")


class MovedError(Exception):
    """Something moved between reading and committing; whoever sees it starts over. Never leaves this room."""


class Register:
    """Holds what was asked and where each promotion stands."""

    def __init__(self, *, database: Engine, log: AuditLog, clock: Clock) -> None:
        self._database = database
        self._log = log
        self._clock = clock

    def get(self, promotion_id: str) -> PromotionAnswer:
        """Return a promotion, its newest decision and that decision's receipt.

        Raises:
            PromotionUnknownError: There is no such promotion.
            AuditError: The log does not hold the decision.
            StorageError: The database failed.
        """
        self._expire_due(now_us(self._clock))
        with read_transaction(self._database) as connection:
            row = store.read_promotion_row(connection, promotion_id)
        if row is None:
            raise PromotionUnknownError("want the id of a promotion, got one that is not here")
        return self._answer(_promotion(row))

    def list(self, wanted: store.PromotionFilter) -> tuple[tuple[int, Promotion], ...]:
        """Return a page of promotions, newest first, each with its number (the cursor).

        Raises:
            StorageError: The database failed.
        """
        self._expire_due(now_us(self._clock))
        with read_transaction(self._database) as connection:
            rows = store.list_promotion_rows(connection, wanted)
        return tuple((row["number"], _promotion(row)) for row in rows)

    def replay(self, subject: str, key: str, body_sha256: str) -> PromotionAnswer | None:
        """Return what a principal was answered when they first used an idempotency key, or None.

        Raises:
            IdempotencyKeyReusedError: The key came before with another body.
            AuditError: The log does not hold the decision.
            StorageError: The database failed.
        """
        with read_transaction(self._database) as connection:
            before = store.read_idempotent_answer(connection, subject=subject, key=key)
            if before is None:
                return None
            row = store.read_promotion_row(connection, before.promotion_id)
        if row is None:
            raise PromotionUnknownError("want the promotion of this Idempotency-Key, got one that is not here")
        if before.request_sha256 != body_sha256:
            raise IdempotencyKeyReusedError("want a new Idempotency-Key for another request body")
        answer = self._answer(replace(_promotion(row), decision_id=before.decision_id))
        state = state_after(answer.decision.verdict, rejected=False)  # as it was then, whatever became of it since
        return replace(answer, promotion=replace(answer.promotion, state=state))

    def pending(self, promotion_id: str, now: EpochNs) -> tuple[Promotion, tuple[Approval, ...]]:
        """Return a promotion that can still be decided, and its approvals, oldest first.

        Raises:
            PromotionUnknownError: There is no such promotion.
            PromotionClosedError: It is not pending.
            AuditError: Its expiry could not be recorded.
            StorageError: The database failed.
        """
        self._expire_due(now)
        with read_transaction(self._database) as connection:
            row = store.read_promotion_row(connection, promotion_id)
            if row is None:
                raise PromotionUnknownError("want the id of a promotion, got one that is not here")
            approvals = store.read_approvals(connection, promotion_id)
        promotion = _promotion(row)
        if promotion.state is not PromotionState.PENDING:
            raise PromotionClosedError(
                f"want a pending promotion, got one that is {promotion.state.value}; request anew"
            )
        return promotion, approvals

    def _expire_due(self, now: EpochNs) -> None:
        with read_transaction(self._database) as connection:
            if not store.due_promotions(connection, now, limit=1):
                return

        def work(connection: Connection) -> Outcome[None]:
            events = []
            for promotion_id, row_version, decision_id in store.due_promotions(connection, now, EXPIRE_BATCH_MAX):
                store.move_promotion(
                    connection,
                    promotion_id,
                    row_version=row_version,
                    state=PromotionState.EXPIRED,
                    decision_id=decision_id,
                )
                document = {"schema_version": 1, "promotion_id": promotion_id, "expired_at": format_timestamp(now)}
                events.append(Event(id=new_id(now), kind=kinds.EXPIRY, actor=_SYSTEM, body=document))
            if not events:
                raise MovedError  # another process closed them first
            return Outcome(value=None, events=tuple(events))

        try:
            self._log.transact(work)
        except MovedError:
            return

    def _answer(self, promotion: Promotion) -> PromotionAnswer:
        # The decision is read from its record: what the log holds is what the caller sees.
        receipt = self._log.receipt_by_id(promotion.decision_id)
        document = parse_canonical(receipt.record)["body"]
        decision = Decision(verdict=Verdict(document["verdict"]), document=document)
        return PromotionAnswer(promotion=promotion, decision=decision, receipt=receipt)


def state_after(verdict: Verdict, *, rejected: bool) -> PromotionState:
    """Return where a decision leaves a promotion; a deny that a person's rejection caused is a rejection."""
    match verdict:
        case Verdict.ALLOW:
            return PromotionState.ALLOWED
        case Verdict.PENDING:
            return PromotionState.PENDING
        case Verdict.DENY:
            return PromotionState.REJECTED if rejected else PromotionState.DENIED


def now_us(clock: Clock) -> EpochNs:
    """Return the time now, cut to the microsecond that records hold: a value must not change by being written."""
    now = clock.now_ns()
    return EpochNs(now - now % _NS_PER_US)


def _promotion(row: RowMapping) -> Promotion:
    return Promotion(
        id=row["id"],
        state=PromotionState(row["state"]),
        row_version=row["row_version"],
        request=request_from_row(row["request"]),
        requester=row["requester"],
        created=row["created_ns"],
        expires=row["expires_ns"],
        decision_id=row["decision_id"],
    )
