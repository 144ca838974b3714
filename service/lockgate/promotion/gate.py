"""The gate: takes requests in, lets people approve, decides, and records; one transaction for state and record.

Every operation that decides goes the same way: read, evaluate outside any transaction (an engine may be slow), then
commit only if nothing moved meanwhile, else start over. Holding the log's lock while waiting for an engine would stop
every other writer.
"""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine

from lockgate.audit import Outcome, Receipt, RecordInvalidError
from lockgate.audit.formats.disclosures import Draw, commit
from lockgate.clock import NS_PER_S, Clock, EpochNs, format_timestamp, is_expired
from lockgate.digests import Sha256Hex, sha256_hex
from lockgate.identity import NotPermittedError, Principal
from lockgate.ids import new_id
from lockgate.policy import PolicyFailureError
from lockgate.promotion import store
from lockgate.promotion.cases import CaseReader, people_moved
from lockgate.promotion.errors import (
    ApprovalRepeatedError,
    ApprovalsFullError,
    ApprovalStaleError,
    EvaluationTooOldError,
    EvidenceErasedError,
    IdempotencyKeyInvalidError,
)
from lockgate.promotion.evaluation import Case, Evaluation, Evaluator
from lockgate.promotion.events import APPROVAL, DECISION, FAILURE, SYSTEM, Occasion, actor_of, make_event
from lockgate.promotion.logs import Logs
from lockgate.promotion.parsing import (
    approval_document,
    parse_promotion_request,
)
from lockgate.promotion.register import MovedError, Register, now_us, settle, state_after
from lockgate.promotion.types import (
    Approval,
    ApprovalAnswer,
    ApprovalRequest,
    Binding,
    Decision,
    Promotion,
    PromotionAnswer,
    PromotionState,
    ReceivedRequest,
)

T = TypeVar("T")

APPROVALS_MAX: Final = 64  # of one promotion; the decision document shows each of them
DECISION_AGE_NS_MAX: Final = 5 * NS_PER_S  # from the evaluation's `now` to the commit; above the engine's usual budget
IDEMPOTENCY_KEY_CHARS_MAX: Final = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class GateSettings:
    """What an operator sets."""

    default_trust_domain: str
    promotion_ttl_ns: int
    approval_ttl_ns: int


class Gate:
    """Decides whether an exact artifact may move, and keeps the promise that no decision goes unrecorded."""

    def __init__(  # noqa: PLR0913 - each argument is one part of a gate
        self,
        *,
        database: Engine,
        logs: Logs,
        evaluator: Evaluator,
        clock: Clock,
        settings: GateSettings,
        draw: Draw = secrets.token_bytes,
    ) -> None:
        self._database = database
        self._logs = logs
        self._evaluator = evaluator
        self._clock = clock
        self._settings = settings
        self._draw = draw
        self._register = Register(database=database, logs=logs, clock=clock, draw=draw)
        self._cases = CaseReader(database=database, logs=logs)

    def request(self, requester: Principal, body: bytes, *, idempotency_key: str | None, trace: str) -> PromotionAnswer:
        """Take a promotion request in, verify its evidence, decide, record, answer.

        Args:
            requester: Who asks; authenticated, and permitted to request.
            body: The request document's bytes.
            idempotency_key: The caller's name for this request; the same key and body give the same answer again.
            trace: The HTTP request's id.

        Raises:
            MalformedJSONError: `body` is not one JSON value within the limits.
            SchemaError: `body` is not a promotion request.
            IdempotencyKeyReusedError: The key came before with another body.
            PolicyFailureError: The policy gave no usable answer; that is recorded, and nothing is promoted.
            EvaluationTooOldError: Deciding took too long; that is recorded too.
            ContendedError: Others kept changing what was decided on.
            AuditError: The decision could not be recorded, so there is none.
            StorageError: The database failed, so there is no decision.
        """
        received = parse_promotion_request(body, default_trust_domain=self._settings.default_trust_domain)
        body_sha256 = sha256_hex(body)
        if idempotency_key is not None:
            _check_idempotency_key(idempotency_key)

        def attempt() -> PromotionAnswer:
            if idempotency_key is not None:
                before = self._register.replay(requester.subject, idempotency_key, body_sha256)
                if before is not None:
                    return before
            promotion = self._new_promotion(requester, received)
            occasion = Occasion(
                actor=actor_of(requester), model=received.request.model, now=promotion.created, trace=trace
            )
            with self._failures_recorded(promotion, "request", occasion):
                return self._decide_first(promotion, received, occasion, idempotency_key, body_sha256)

        return settle(attempt)

    def dry_run(self, requester: Principal, body: bytes) -> Decision:
        """Tell what a request would be answered now. Nothing is recorded, and the forecast permits nothing.

        Raises:
            MalformedJSONError: `body` is not one JSON value within the limits.
            SchemaError: `body` is not a promotion request.
            PolicyFailureError: The policy gave no usable answer.
            StorageError: The database failed.
        """
        received = parse_promotion_request(body, default_trust_domain=self._settings.default_trust_domain)
        promotion = self._new_promotion(requester, received)
        case = self._cases.new(promotion, received, now=promotion.created, dry_run=True)
        return self._evaluator.evaluate(case).decision

    def approve(self, approver: Principal, promotion_id: str, asked: ApprovalRequest, *, trace: str) -> ApprovalAnswer:
        """Record one person's approval or rejection, and decide anew.

        Raises:
            PromotionUnknownError: There is no such promotion.
            PromotionClosedError: It is not pending.
            LogNotConfiguredError: The log that holds its records is not one of this gate.
            EvidenceErasedError: Its evidence was erased.
            NotPermittedError: The principal does not hold the role they approve in.
            ApprovalStaleError: What they approve is not what the gate holds now.
            ApprovalRepeatedError: They already said exactly this.
            ApprovalsFullError: The promotion holds as many approvals as it may.
            ContendedError: Others kept deciding at the same moment.
            PolicyFailureError: The policy gave no usable answer; that is recorded, the approval is not.
            AuditError: Nothing could be recorded.
            StorageError: The database failed.
        """
        # A person's words: the record commits to them, so that they can be erased.
        said = commit("comment", asked.comment, self._draw) if asked.comment else None
        kept = (said.document,) if said else ()
        asked = replace(asked, comment=said.commitment if said else "")
        if f"approver:{asked.role}" not in approver.roles:
            raise NotPermittedError(f"want the role approver:{asked.role}, which this principal does not hold")

        def attempt() -> ApprovalAnswer:
            now = now_us(self._clock)
            promotion, existing = self._register.pending(promotion_id, now)
            occasion = Occasion(actor=actor_of(approver), model=promotion.request.model, now=now, trace=trace)
            approval = self._new_approval(asked, approver, promotion, existing, now)
            with self._failures_recorded(promotion, "approve", occasion):
                receipts, outcome = self._decide_anew(promotion, existing, approval, occasion, *kept)
            return ApprovalAnswer(
                approval=approval,
                comment_disclosure=b"".join(kept).decode(),
                approval_receipt=receipts[0],
                outcome=outcome,
            )

        return settle(attempt)

    def show(self, promotion_id: str, *, trace: str) -> PromotionAnswer:
        """Return a promotion, its newest decision and that decision's receipt.

        A pending promotion that was decided under another policy revision is decided anew first: an approver must see
        what the policy in force makes of it. If the policy gives no answer now, the decision of before is returned.

        Raises:
            PromotionUnknownError: There is no such promotion.
            LogNotConfiguredError: The log that holds its records is not one of this gate.
            ContendedError: Others kept deciding at the same moment.
            AuditError: The log does not hold the decision, or could not record a new one.
            StorageError: The database failed.
        """

        def attempt() -> PromotionAnswer:
            answer = self._register.get(promotion_id)
            decided_under = answer.decision.document["policy"]["revision"]
            pending = answer.promotion.state is PromotionState.PENDING
            if not pending or decided_under == self._evaluator.policy_revision():
                return answer
            now = now_us(self._clock)
            promotion, existing = self._register.pending(promotion_id, now)
            try:
                occasion = Occasion(actor=SYSTEM, model=promotion.request.model, now=now, trace=trace)
                with self._failures_recorded(promotion, "look", occasion):
                    return self._decide_anew(promotion, existing, None, occasion)[1]
            except (PolicyFailureError, RecordInvalidError, EvaluationTooOldError):
                return answer  # the failure is recorded; where the promotion stands can be told all the same
            except EvidenceErasedError:
                return answer  # nothing can be decided anew; approving says so

        return settle(attempt)

    def _new_promotion(self, requester: Principal, received: ReceivedRequest) -> Promotion:
        now = now_us(self._clock)
        return Promotion(
            id=new_id(now),
            state=PromotionState.PENDING,
            row_version=1,
            request=received.request,
            requester=requester.subject,
            created=now,
            expires=EpochNs(now + self._settings.promotion_ttl_ns),
            decision_id=new_id(now),
            log=self._logs.name_for(received.request.transition.to_environment),
        )

    def _new_approval(
        self,
        asked: ApprovalRequest,
        approver: Principal,
        promotion: Promotion,
        existing: tuple[Approval, ...],
        now: EpochNs,
    ) -> Approval:
        request = promotion.request
        held = Binding(
            digest=request.digest,
            transition=request.transition,
            evidence_digest=request.evidence_digest,
            policy_revision=self._evaluator.policy_revision(),
        )
        if asked.binding != held:
            raise ApprovalStaleError(
                "want an approval of the digest, transition, evidence and policy revision that the promotion has now; "
                "look at it again"
            )
        if len(existing) >= APPROVALS_MAX:
            raise ApprovalsFullError(f"want at most {APPROVALS_MAX} approvals of one promotion")
        for before in existing:
            same = (before.approver, before.role, before.verdict) == (approver.subject, asked.role, asked.verdict)
            if same and before.binding == held and not is_expired(before.expires, now):
                raise ApprovalRepeatedError("this principal already approved exactly this in this role")
        return Approval(
            id=new_id(now),
            promotion_id=promotion.id,
            approver=approver.subject,
            verdict=asked.verdict,
            role=asked.role,
            binding=held,
            comment=asked.comment,
            approved=now,
            expires=EpochNs(min(now + self._settings.approval_ttl_ns, promotion.expires)),
        )

    # --- deciding and recording -----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _failures_recorded(self, promotion: Promotion, operation: str, occasion: Occasion) -> Iterator[None]:
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

    def _decide_first(
        self,
        promotion: Promotion,
        received: ReceivedRequest,
        occasion: Occasion,
        idempotency_key: str | None,
        body_sha256: Sha256Hex,
    ) -> PromotionAnswer:
        case = self._cases.new(promotion, received, now=occasion.now, dry_run=False)
        evaluation = self._evaluator.evaluate(case)
        decision = evaluation.decision
        decided = replace(promotion, state=state_after(decision.verdict, rejected=False))
        answer = store.IdempotentAnswer(
            request_sha256=body_sha256, promotion_id=promotion.id, decision_id=promotion.decision_id
        )

        def work(connection: Connection) -> Outcome[None]:
            if idempotency_key is not None and not store.claim_idempotency_key(
                connection, subject=promotion.requester, key=idempotency_key, answer=answer, now=occasion.now
            ):
                raise MovedError  # another call with this key was faster: answer as it was answered
            self._check_fresh(connection, case, evaluation)
            store.insert_promotion(connection, decided)
            attachments = (evaluation.input_bytes, *received.bundles.values())
            event = make_event(DECISION, decided.decision_id, occasion, decision.document, *attachments)
            return Outcome(value=None, events=(event,))

        receipt = self._logs.named(promotion.log).transact(work).receipts[0]
        return PromotionAnswer(promotion=decided, decision=decision, receipt=receipt, fresh=True)

    def _decide_anew(
        self,
        promotion: Promotion,
        existing: tuple[Approval, ...],
        approval: Approval | None,
        occasion: Occasion,
        *kept: bytes,
    ) -> tuple[tuple[Receipt, ...], PromotionAnswer]:
        approvals = existing if approval is None else (*existing, approval)
        redecided = replace(promotion, decision_id=new_id(occasion.now))
        case = self._cases.reopened(redecided, approvals, now=occasion.now)
        evaluation = self._evaluator.evaluate(case)
        rejected = approval is not None and approval.verdict == "reject"
        state = state_after(evaluation.decision.verdict, rejected=rejected)
        decision_id = redecided.decision_id

        def work(connection: Connection) -> Outcome[None]:
            self._check_fresh(connection, case, evaluation)
            if not store.move_promotion(
                connection, promotion.id, row_version=promotion.row_version, state=state, decision_id=decision_id
            ):
                raise MovedError
            document, input_bytes = evaluation.decision.document, evaluation.input_bytes
            events = [make_event(DECISION, decision_id, occasion, document, input_bytes)]
            if approval is not None:
                store.insert_approval(connection, approval)
                events.insert(0, make_event(APPROVAL, approval.id, occasion, approval_document(approval), *kept))
            return Outcome(value=None, events=tuple(events))

        receipts = self._logs.named(promotion.log).transact(work).receipts
        after = replace(redecided, state=state, row_version=promotion.row_version + 1)
        return receipts, PromotionAnswer(
            promotion=after, decision=evaluation.decision, receipt=receipts[-1], fresh=True
        )

    def _check_fresh(self, connection: Connection, case: Case, evaluation: Evaluation) -> None:
        # In the transaction: what the evaluation took for true at its `now` must still hold at the commit.
        now = self._clock.now_ns()
        age = now - evaluation.now
        if age > DECISION_AGE_NS_MAX:
            raise EvaluationTooOldError(f"want a decision within {DECISION_AGE_NS_MAX // NS_PER_S} s of its evaluation")
        trust_moved = evaluation.trust_sha256 != self._evaluator.trust_sha256()
        policy_moved = evaluation.policy_revision != self._evaluator.policy_revision()
        expired = age < 0 or is_expired(evaluation.good_until, now)
        if expired or trust_moved or policy_moved or people_moved(connection, case):
            raise MovedError


def _check_idempotency_key(key: str) -> None:
    if not 0 < len(key) <= IDEMPOTENCY_KEY_CHARS_MAX or not (key.isascii() and key.isprintable()):
        raise IdempotencyKeyInvalidError(
            f"want an Idempotency-Key of 1 to {IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters"
        )
