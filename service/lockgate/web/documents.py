"""The API's documents, made of the gate's values. Pure."""

from typing import Any

from lockgate.audit.types import Receipt
from lockgate.clock import format_timestamp
from lockgate.promotion.parsing import approval_document
from lockgate.promotion.types import ApprovalAnswer, Promotion, PromotionAnswer, WithdrawalAnswer


def promotion_document(promotion: Promotion, policy_revision: str) -> dict[str, Any]:
    """Write where a promotion stands (schema `v1/api/promotion`)."""
    request = promotion.request
    return {
        "schema_version": 1,
        "id": promotion.id,
        "state": promotion.state.value,
        "kind": request.transition.kind,
        "model": request.model,
        "version": request.version,
        "digest": str(request.digest),
        "from": request.transition.from_environment,
        "to": request.transition.to_environment,
        "requester": promotion.requester,
        "contributors": [{"subject": made.subject, "role": made.role} for made in request.contributors],
        "reason": request.reason,
        "evidence_digest": str(request.evidence_digest),
        "policy_revision": policy_revision,
        "created_at": format_timestamp(promotion.created),
        "expires_at": format_timestamp(promotion.expires),
    }


def promotion_answer_document(answer: PromotionAnswer, policy_revision: str) -> dict[str, Any]:
    """Write a promotion, its newest decision and that decision's receipt (schema `v1/api/promotion_answer`)."""
    return {
        "promotion": promotion_document(answer.promotion, policy_revision),
        "decision": answer.decision.document,
        "receipt": receipt_document(answer.receipt),
    }


def approval_answer_document(answer: ApprovalAnswer, policy_revision: str) -> dict[str, Any]:
    """Write a recorded approval and what it led to (schema `v1/api/approval_answer`)."""
    return {
        "approval": approval_document(answer.approval),
        "comment_disclosure": answer.comment_disclosure,
        "approval_receipt": receipt_document(answer.approval_receipt),
        **promotion_answer_document(answer.outcome, policy_revision),
    }


def withdrawal_answer_document(answer: WithdrawalAnswer, policy_revision: str) -> dict[str, Any]:
    """Write a recorded withdrawal and where it left the promotion (schema `v1/api/withdrawal_answer`)."""
    return {
        "withdrawal": answer.withdrawal,
        "reason_disclosure": answer.reason_disclosure,
        "withdrawal_receipt": receipt_document(answer.withdrawal_receipt),
        **promotion_answer_document(answer.outcome, policy_revision),
    }


def receipt_document(receipt: Receipt) -> dict[str, Any]:
    """Write a receipt (schema `v1/api/receipt`)."""
    return {"seq": receipt.seq, "record": receipt.record.decode(), "proof": receipt.proof}
