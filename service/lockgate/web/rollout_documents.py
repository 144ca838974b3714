"""The API's documents about rollouts and what is live. Pure."""

from typing import Any

from lockgate.audit.types import Receipt
from lockgate.clock import EpochNs, format_timestamp
from lockgate.lifecycle.intervals import LiveInterval
from lockgate.lifecycle.types import Hold, LetIn, LiveAnswer, ObservationAnswer, RolloutAnswer
from lockgate.promotion.types import Promotion
from lockgate.web.documents import promotion_answer_document, receipt_document


def rollout_document(answer: RolloutAnswer, policy_revision: str) -> dict[str, Any]:
    """Write where a rollout stands (schema `v1/api/rollout_answer`)."""
    rollout = answer.rollout
    stands = None
    if rollout is not None:
        stands = {
            "target": rollout.target,
            "under_way": rollout.under_way,
            "step": rollout.step,
            "percent": rollout.percent,
            "permit_id": rollout.permit_id,
        }
    return {
        **promotion_answer_document(answer.outcome, policy_revision),
        "rollout": stands,
        "rollout_receipt": receipt_document(answer.receipt),
        "permit": answer.permit,
    }


def observation_document(answer: ObservationAnswer) -> dict[str, Any]:
    """Write what became of an observation (schema `v1/api/observation_answer`)."""
    return {
        "result": answer.result,
        "model": answer.interval.model,
        "environment": answer.interval.environment,
        "live": interval_document(answer.interval),
        "promotion_id": "" if answer.promotion is None else answer.promotion.id,
        "receipt": None if answer.receipt is None else receipt_document(answer.receipt),
    }


def live_document(model: str, environment: str, answer: LiveAnswer) -> dict[str, Any]:
    """Write what was live, unsigned (schema `v1/api/live`, but for `signed`)."""
    return {
        "schema_version": 1,
        "model": model,
        "environment": environment,
        "at": format_timestamp(answer.at),
        "live": None if answer.interval is None else interval_document(answer.interval),
        "let_in": None if answer.let_in is None else _let_in(answer.let_in),
        "desired": None if answer.desired is None else _desired(answer.desired),
        "held": answer.held,
    }


def interval_document(interval: LiveInterval) -> dict[str, Any]:
    """Write one interval."""
    return {
        "version": interval.version,
        "digest": interval.digest,
        "from": format_timestamp(interval.begins),
        "to": _time(interval.ends),
        "promotion_id": interval.promotion_id,
        "log": interval.log,
        "record_id": interval.record_id,
    }


def hold_document(hold: Hold) -> dict[str, Any]:
    """Write one hold that is in force."""
    return {
        "model": hold.model,
        "environment": hold.environment,
        "promotion_id": hold.promotion_id,
        "placed_at": format_timestamp(hold.placed),
    }


def lifted_document(body: dict[str, Any], receipt: Receipt) -> dict[str, Any]:
    """Write that a hold was lifted (schema `v1/api/hold_answer`)."""
    return {"hold": body, "receipt": receipt_document(receipt)}


def _let_in(let_in: LetIn) -> dict[str, Any]:
    return {
        "kind": let_in.kind,
        "requester": let_in.requester,
        "requested_at": format_timestamp(let_in.requested),
        "approvals": [{"approver": approver, "role": role} for approver, role in let_in.approvals],
        "policy_revision": let_in.policy_revision,
        "evidence_digest": let_in.evidence,
        "records": [{"kind": place.kind, "id": place.id, "seq": place.seq} for place in let_in.records],
    }


def _desired(promotion: Promotion) -> dict[str, Any]:
    return {
        "promotion_id": promotion.id,
        "state": promotion.state.value,
        "kind": promotion.request.transition.kind,
        "version": promotion.request.version,
        "digest": str(promotion.request.digest),
    }


def _time(when: EpochNs | None) -> str:
    return "" if when is None else format_timestamp(when)
