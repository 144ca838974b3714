"""The decision: a pure function of the policy's result, and the one document that says why. Pure."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from lockgate.clock import EpochNs, format_timestamp
from lockgate.digests import Sha256Hex
from lockgate.policy.errors import PolicyInvalidError
from lockgate.policy.types import Detail, PolicyCatalogue, PolicyResult, RuleInfo, RuleStatus, Violation
from lockgate.promotion.types import (
    Approval,
    Decision,
    PromotionRequest,
    Verdict,
    VerifiedEvidence,
)

DRY_RUN_PROMOTION_ID: Final = "00000000-0000-0000-0000-000000000000"
DETAIL_CHARS_MAX: Final = 512  # of one value shown in a violation; the whole input is kept as an attachment


def decide(result: PolicyResult, catalogue: PolicyCatalogue) -> Verdict:
    """Turn a policy result into a verdict.

    The steps:
      (1) Every rule of the catalogue was evaluated, once, and no other.
      (2) The result agrees with itself: it allows if and only if no rule failed and nothing was violated.
      (3) Allow, if it allows.
      (4) Pending, if nothing but approvals is missing: every failed rule and every violation can be mended by
          approvals alone, and the result names which are missing.
      (5) Deny otherwise.

    Args:
        result: A schema-valid answer of an engine.
        catalogue: The rules of the policy revision in force.

    Raises:
        PolicyInvalidError: Step 1 or 2 fails, or the result is of another revision. No decision was made.
    """
    rules = {rule.rule_id: rule for rule in catalogue.rules}
    # (1) Every rule was evaluated, once, under the revision in force.
    evaluated = [outcome.rule_id for outcome in result.rules]
    if result.revision != catalogue.revision:
        raise PolicyInvalidError(f"want a result of policy revision {catalogue.revision}, got {result.revision}")
    if sorted(evaluated) != sorted(rules):
        missing = sorted(rules.keys() - set(evaluated))
        raise PolicyInvalidError(f"want each rule of the catalogue evaluated once; not evaluated: {missing[:8]}")
    # (2) The result agrees with itself.
    failed = {outcome.rule_id for outcome in result.rules if outcome.status is RuleStatus.FAIL}
    violated = {violation.rule_id for violation in result.violations}
    if failed != violated:
        raise PolicyInvalidError("want a violation for each failed rule and for no other")
    if result.allow != (not failed):
        raise PolicyInvalidError("want allow exactly when no rule failed")
    # (3) Allow.
    if result.allow:
        return Verdict.ALLOW
    # (4) Pending: approvals alone can mend it.
    if result.missing_approvals and all(rules[rule_id].approvable for rule_id in failed):
        return Verdict.PENDING
    # (5) Deny.
    return Verdict.DENY


def decision_document(  # noqa: PLR0913 - one document of eight parts
    *,
    decision_id: str,
    promotion_id: str,
    dry_run: bool,
    request: PromotionRequest,
    requester: str,
    lineage: Sha256Hex | Literal[""],
    evidence: VerifiedEvidence,
    trust_sha256: Sha256Hex,
    approvals: tuple[Approval, ...],
    result: PolicyResult,
    catalogue: PolicyCatalogue,
    decided: EpochNs,
    expires: EpochNs,
) -> Decision:
    """Decide, and write the canonical decision document (schema `v1/api/decision`).

    Raises:
        PolicyInvalidError: As `decide`.
    """
    verdict = decide(result, catalogue)
    rules = {rule.rule_id: rule for rule in catalogue.rules}
    approval_by_id = {approval.id: approval for approval in approvals}
    document = {
        "schema_version": 1,
        "id": decision_id,
        "promotion_id": promotion_id,
        "dry_run": dry_run,
        "verdict": verdict.value,
        "decided_at": format_timestamp(decided),
        "expires_at": format_timestamp(expires),
        "subject": {
            "model": request.model,
            "version": request.version,
            "digest": str(request.digest),
            "kind": request.transition.kind,
            "from": request.transition.from_environment,
            "to": request.transition.to_environment,
            "tier": result.tier,
            "requester": requester,
        },
        "policy": {
            "revision": result.revision,
            "engine": result.engine,
            "engine_version": result.engine_version,
        },
        "input": f"sha256:{result.input_sha256}",
        "lineage": f"sha256:{lineage}" if lineage else "",
        "rules": [{**_rule_facts(rules[outcome.rule_id]), "status": outcome.status.value} for outcome in result.rules],
        "violations": [_violation(violation, rules) for violation in result.violations],
        "missing_approvals": [
            {"role": missing.role, "need": missing.need, "have": missing.have} for missing in result.missing_approvals
        ],
        "approvals": [
            {
                "approval_id": outcome.approval_id,
                "approver": approval_by_id[outcome.approval_id].approver,
                "role": approval_by_id[outcome.approval_id].role,
                "counted": outcome.counted,
                "reasons": list(outcome.reasons),
            }
            for outcome in result.approvals
        ],
        "evidence": _evidence(request, evidence, trust_sha256),
    }
    return Decision(verdict=verdict, document=document)


def _rule_facts(rule: RuleInfo) -> dict[str, Any]:
    return {"rule_id": rule.rule_id, "title": rule.title, "category": rule.category, "severity": rule.severity}


def _violation(violation: Violation, rules: Mapping[str, RuleInfo]) -> dict[str, Any]:
    return {
        **_rule_facts(rules[violation.rule_id]),
        "code": violation.code,
        "remediation": violation.remediation,
        "details": [_detail(detail) for detail in violation.details],
    }


def _detail(detail: Detail) -> dict[str, Any]:
    value = detail.value
    if isinstance(value, str):
        return {"name": detail.name, "value": value[:DETAIL_CHARS_MAX]}
    if detail.name.endswith("_ns"):
        # A time: policy counts nanoseconds, which are beyond JSON's safe integers; records hold times as text.
        return {"name": detail.name.removesuffix("_ns"), "value": format_timestamp(EpochNs(value))}
    return {"name": detail.name, "value": value}


def _evidence(request: PromotionRequest, evidence: VerifiedEvidence, trust_sha256: Sha256Hex) -> dict[str, Any]:
    return {
        "digest": str(request.evidence_digest),
        "trust": f"sha256:{trust_sha256}",
        "signatures": [
            {
                "kind": signature.kind,
                "trust_domain": signature.trust_domain,
                "trust_root": f"sha256:{signature.trust_root_sha256}",
                "identity": signature.identity,
                "identity_type": signature.identity_type,
                "issuer": signature.issuer,
                "predicate_type": signature.predicate_type or "",
                "signed_at": format_timestamp(signature.times[0].at) if signature.times else "",
                "log_entry": f"sha256:{signature.log_entry_sha256}" if signature.log_entry_sha256 else "",
            }
            for signature in evidence.signatures
        ],
        "refusals": [
            {
                "code": refusal.code.value,
                "detail": refusal.detail,
                "trust_domain": refusal.trust_domain,
                "bundle": f"sha256:{refusal.bundle_sha256}",
            }
            for refusal in evidence.refusals
        ],
    }
