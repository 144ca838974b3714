"""The one way to a decision: evaluate outside any transaction, then commit decision, state and what follows together.

An engine may be slow, and holding the log's lock while waiting for it would stop every other writer. So the commit
happens only if nothing moved meanwhile; else whoever called starts over (`settle`).
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, Engine

from lockgate.audit import Event, Outcome, Receipt, RecordInvalidError
from lockgate.clock import NS_PER_S, Clock, format_timestamp, is_expired
from lockgate.digests import Sha256Hex
from lockgate.gate_logs import Logs, Occasion, make_event
from lockgate.ids import new_id
from lockgate.policy import PolicyFailureError, PolicyRevision
from lockgate.promotion import store
from lockgate.promotion.cases import CaseReader, has_moved
from lockgate.promotion.change_ids import next_id
from lockgate.promotion.errors import EvaluationTooOldError
from lockgate.promotion.evaluation import Case, Evaluation, Evaluator
from lockgate.promotion.kinds import DECISION, FAILURE
from lockgate.promotion.rows import move
from lockgate.promotion.states import state_after
from lockgate.promotion.types import (
    Approval,
    Contributor,
    Decision,
    Promotion,
    PromotionAnswer,
    PromotionState,
    ReceivedRequest,
    Verdict,
)
from lockgate.storage import MovedError
from lockgate.storage.idempotency import IdempotentAnswer, claim_idempotency_key

DECISION_AGE_NS_MAX: Final = 5 * NS_PER_S  # from the evaluation's `now` to the commit; above the engine's usual budget


def _nothing(_connection: Connection) -> tuple[Event, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """What follows from a decision, in its transaction.

    Attributes:
        state: Where it leaves the promotion.
        before: What the log says before the decision.
        work: Changes what else changes, and returns what the log says after the decision.
    """

    state: PromotionState
    before: tuple[Event, ...] = ()
    work: Callable[[Connection], tuple[Event, ...]] = _nothing


class Decider:
    """Evaluates cases and commits their decisions."""

    def __init__(self, *, database: Engine, logs: Logs, evaluator: Evaluator, clock: Clock) -> None:
        self._logs = logs
        self._evaluator = evaluator
        self._clock = clock
        self._cases = CaseReader(database=database, logs=logs)

    def policy_revision(self) -> PolicyRevision:
        """Return the revision in force.

        Raises:
            PolicyUnavailableError: The engine does not say.
        """
        return self._evaluator.policy_revision()

    @contextlib.contextmanager
    def failures_recorded(self, promotion: Promotion, operation: str, occasion: Occasion) -> Iterator[None]:
        """Record it when no decision can be made; the error goes on."""
        try:
            yield
        except (PolicyFailureError, RecordInvalidError, EvaluationTooOldError) as exc:
            document = {
                "schema_version": 1,
                "promotion_id": promotion.id if operation != "request" else "",
                "operation": operation,
                "code": exc.code,
                "detail": str(exc)[:500],
                "model": promotion.request.model,
                "failed_at": format_timestamp(occasion.now),
            }
            self._logs.named(promotion.log).append(make_event(FAILURE, new_id(occasion.now), occasion, document))
            raise

    def makers(self, promotion: Promotion) -> tuple[Contributor, ...]:
        """Return who made what a rollback goes back to, as `CaseReader.makers`."""
        return self._cases.makers(promotion)

    def forecast(self, promotion: Promotion, received: ReceivedRequest) -> Decision:
        """Decide and record nothing.

        Raises:
            PolicyFailureError: The policy gave no usable answer.
            StorageError: The database failed.
        """
        case = self._cases.new(promotion, received, now=promotion.created, dry_run=True)
        return self._evaluator.evaluate(case).decision

    def decide_first(
        self,
        promotion: Promotion,
        received: ReceivedRequest,
        occasion: Occasion,
        idempotency_key: str | None,
        body_sha256: Sha256Hex,
    ) -> PromotionAnswer:
        """Decide a request that just came in, and take the promotion in.

        Raises:
            MovedError: Something moved meanwhile.
            PolicyFailureError: The policy gave no usable answer.
            EvaluationTooOldError: Deciding took too long.
            AuditError: The decision could not be recorded.
            StorageError: The database failed.
        """
        case = self._cases.new(promotion, received, now=occasion.now, dry_run=False)
        evaluation = self._evaluator.evaluate(case)
        decision = evaluation.decision
        decided = replace(case.promotion, state=state_after(decision.verdict, rejected=False))
        answer = IdempotentAnswer(
            request_sha256=body_sha256, promotion_id=promotion.id, decision_id=promotion.decision_id
        )

        def work(connection: Connection) -> Outcome[None]:
            if idempotency_key is not None and not claim_idempotency_key(
                connection, subject=promotion.requester, key=idempotency_key, answer=answer, now=occasion.now
            ):
                raise MovedError  # another call with this key was faster: answer as it was answered
            self._check_fresh(connection, case, evaluation)
            store.insert_promotion(connection, decided)
            lineage = (case.lineage,) if case.lineage else ()
            attachments = (evaluation.input_bytes, *lineage, *received.bundles.values())
            event = make_event(DECISION, decided.decision_id, occasion, decision.document, *attachments)
            return Outcome(value=None, events=(event,))

        receipt = self._logs.named(promotion.log).transact(work).receipts[0]
        return PromotionAnswer(promotion=decided, decision=decision, receipt=receipt, fresh=True)

    def decide_anew(
        self,
        promotion: Promotion,
        approvals: tuple[Approval, ...],
        occasion: Occasion,
        follow: Callable[[Promotion, Decision], Following],
    ) -> tuple[tuple[Receipt, ...], PromotionAnswer]:
        """Decide a promotion again, now.

        Args:
            promotion: As it was read.
            approvals: What it is decided with.
            occasion: Who does what.
            follow: Says what follows from the decision; it is given the promotion with the decision's id.

        Returns:
            The receipts of all records in their order, and the answer with that of the decision.

        Raises:
            MovedError: Something moved meanwhile.
            LogNotConfiguredError: The log that holds its records is not one of this gate.
            EvidenceErasedError: Its evidence was erased.
            PolicyFailureError: The policy gave no usable answer.
            EvaluationTooOldError: Deciding took too long.
            AuditError: The decision could not be recorded.
            StorageError: The database failed.
        """
        redecided = replace(promotion, decision_id=next_id(promotion))
        case = replace(self._cases.reopened(promotion, approvals, now=occasion.now), promotion=redecided)
        evaluation = self._evaluator.evaluate(case)
        decision = evaluation.decision
        following = follow(redecided, decision)
        after = replace(redecided, state=following.state, row_version=promotion.row_version + 1)

        def work(connection: Connection) -> Outcome[None]:
            self._check_fresh(connection, case, evaluation)
            move(
                connection,
                promotion,
                after.state,
                decision_id=after.decision_id,
                allowed=occasion.now if decision.verdict is Verdict.ALLOW else None,
            )
            event = make_event(DECISION, redecided.decision_id, occasion, decision.document, evaluation.input_bytes)
            return Outcome(value=None, events=(*following.before, event, *following.work(connection)))

        receipts = self._logs.named(promotion.log).transact(work).receipts
        receipt = receipts[len(following.before)]
        return receipts, PromotionAnswer(promotion=after, decision=decision, receipt=receipt, fresh=True)

    def _check_fresh(self, connection: Connection, case: Case, evaluation: Evaluation) -> None:
        # In the transaction: what the evaluation took for true at its `now` must still hold at the commit.
        now = self._clock.now_ns()
        age = now - evaluation.now
        if age > DECISION_AGE_NS_MAX:
            raise EvaluationTooOldError(f"want a decision within {DECISION_AGE_NS_MAX // NS_PER_S} s of its evaluation")
        trust_moved = evaluation.trust_sha256 != self._evaluator.trust_sha256()
        policy_moved = evaluation.policy_revision != self._evaluator.policy_revision()
        denied = evaluation.decision.verdict is Verdict.DENY  # it counts on nothing that could run out
        expired = age < 0 or (is_expired(evaluation.good_until, now) and not denied)
        if expired or trust_moved or policy_moved or has_moved(connection, case):
            raise MovedError
