"""The gate: takes requests in, lets people approve, decides, and records; one transaction for state and record.

Every operation that decides goes the same way, by `Decider`; what moved meanwhile lets it start over.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine

from lockgate.audit import SYSTEM, Event, RecordInvalidError
from lockgate.audit.formats.disclosures import Draw, commit
from lockgate.clock import Clock, EpochNs, is_expired, now_us
from lockgate.digests import sha256_hex
from lockgate.gate_logs import Logs, Occasion, actor_of, make_event
from lockgate.identity import NotPermittedError, Principal
from lockgate.ids import new_id
from lockgate.policy import PolicyFailureError
from lockgate.promotion import store
from lockgate.promotion.cases import CONTRIBUTORS_MAX
from lockgate.promotion.change_ids import first_id
from lockgate.promotion.deciding import Decider, Following
from lockgate.promotion.errors import (
    ApprovalRepeatedError,
    ApprovalsFullError,
    ApprovalStaleError,
    EvaluationTooOldError,
    EvidenceErasedError,
)
from lockgate.promotion.evaluation import Evaluator
from lockgate.promotion.kinds import APPROVAL
from lockgate.promotion.parsing import (
    approval_document,
    parse_promotion_request,
)
from lockgate.promotion.register import Register, settle
from lockgate.promotion.states import state_after
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
from lockgate.storage.idempotency import check_idempotency_key

T = TypeVar("T")

APPROVALS_MAX: Final = 64  # of one promotion; the decision document shows each of them


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
        self._logs = logs
        self._clock = clock
        self._settings = settings
        self._draw = draw
        self._register = Register(database=database, logs=logs, clock=clock, draw=draw)
        self._decider = Decider(database=database, logs=logs, evaluator=evaluator, clock=clock)

    def request(self, requester: Principal, body: bytes, *, idempotency_key: str | None, trace: str) -> PromotionAnswer:
        """Take a promotion request in, verify its evidence, decide, record, answer.

        A rollback names, beside whom its request names, those who were named when its artifact came there before.

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
        return self.take_in(
            requester,
            lambda: self._with_makers(requester, received),
            body=body,
            idempotency_key=idempotency_key,
            trace=trace,
        )

    def take_in(
        self,
        requester: Principal,
        receive: Callable[[], ReceivedRequest],
        *,
        body: bytes,
        idempotency_key: str | None,
        trace: str,
    ) -> PromotionAnswer:
        """Take a request in, however it was received, decide, record, answer.

        Args:
            requester: As `request`.
            receive: Says what is requested; called only if the idempotency key was not used before.
            body: What the caller sent.
            idempotency_key: As `request`.
            trace: As `request`.

        Raises:
            LockgateError: As `request`, but for what is wrong with the body; and whatever `receive` raises.
        """
        body_sha256 = sha256_hex(body)
        if idempotency_key is not None:
            check_idempotency_key(idempotency_key)

        def attempt() -> PromotionAnswer:
            if idempotency_key is not None:
                before = self._register.replay(requester.subject, idempotency_key, body_sha256)
                if before is not None:
                    return before
            received = receive()
            promotion = self._new_promotion(requester, received)
            occasion = Occasion(
                actor=actor_of(requester), model=received.request.model, now=promotion.created, trace=trace
            )
            with self._decider.failures_recorded(promotion, "request", occasion):
                return self._decider.decide_first(promotion, received, occasion, idempotency_key, body_sha256)

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

        def attempt() -> Decision:
            whole = self._with_makers(requester, received)
            return self._decider.forecast(self._new_promotion(requester, whole), whole)

        return settle(attempt)

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
            with self._decider.failures_recorded(promotion, "approve", occasion):
                receipts, outcome = self._decider.decide_anew(
                    promotion, (*existing, approval), occasion, _follow_approval(approval, occasion, *kept)
                )
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
            if not pending or decided_under == self._decider.policy_revision():
                return answer
            now = now_us(self._clock)
            promotion, existing = self._register.pending(promotion_id, now)
            try:
                occasion = Occasion(actor=SYSTEM, model=promotion.request.model, now=now, trace=trace)
                with self._decider.failures_recorded(promotion, "look", occasion):
                    return self._decider.decide_anew(promotion, existing, occasion, _follow_look)[1]
            except (PolicyFailureError, RecordInvalidError, EvaluationTooOldError):
                return answer  # the failure is recorded; where the promotion stands can be told all the same
            except EvidenceErasedError:
                return answer  # nothing can be decided anew; approving says so

        return settle(attempt)

    def _with_makers(self, requester: Principal, received: ReceivedRequest) -> ReceivedRequest:
        # Who made an artifact does not change by rolling back to it: whoever asks could else leave out an approver.
        request = received.request
        if request.transition.kind != "rollback":
            return received
        named = dict.fromkeys((*self._decider.makers(self._new_promotion(requester, received)), *request.contributors))
        return replace(received, request=replace(request, contributors=tuple(named)[:CONTRIBUTORS_MAX]))

    def _new_promotion(self, requester: Principal, received: ReceivedRequest) -> Promotion:
        now = now_us(self._clock)
        promotion_id = new_id(now)
        return Promotion(
            id=promotion_id,
            state=PromotionState.PENDING,
            row_version=1,
            request=received.request,
            requester=requester.subject,
            created=now,
            expires=EpochNs(now + self._settings.promotion_ttl_ns),
            decision_id=first_id(promotion_id),
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
            policy_revision=self._decider.policy_revision(),
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


def _follow_look(_promotion: Promotion, decision: Decision) -> Following:
    return Following(state=state_after(decision.verdict, rejected=False))


def _follow_approval(
    approval: Approval, occasion: Occasion, *kept: bytes
) -> Callable[[Promotion, Decision], Following]:
    said = make_event(APPROVAL, approval.id, occasion, approval_document(approval), *kept)

    def work(connection: Connection) -> tuple[Event, ...]:
        store.insert_approval(connection, approval)
        return ()

    def follow(_promotion: Promotion, decision: Decision) -> Following:
        state = state_after(decision.verdict, rejected=approval.verdict == "reject")
        return Following(state=state, before=(said,), work=work)

    return follow
