"""The two documents that policy reads and writes. Pure.

`build_input` is the only maker of a `PolicyInput`, `parse_result` the only maker of a `PolicyResult`. Both check the
document against `schemas/v1/policy/`; `parse_result` also checks what a schema cannot say:

(1) The answer is for this input: it echoes the input's policy revision.
(2) Every rule of the catalogue was evaluated exactly once, and no other.
(3) A rule fails if and only if there is a violation of it, and a violation tells what the catalogue tells.
(4) `allow` if and only if there is no violation.
(5) Every approval of the input has exactly one outcome, and it counts if and only if nothing speaks against it.
(6) What approvals are missing is named if and only if a rule that approvals can mend says so.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from lockgate.canonical_json import INT64_MAX, CanonicalJSONError, canonicalize
from lockgate.clock import EpochNs
from lockgate.digests import sha256_hex
from lockgate.policy.errors import PolicyInputError, PolicyInvalidError
from lockgate.policy.types import (
    ApprovalFact,
    ApprovalOutcome,
    Detail,
    EvidenceFacts,
    HistoryFacts,
    LineageFacts,
    MissingApprovals,
    PolicyCatalogue,
    PolicyInput,
    PolicyPrincipal,
    PolicyRequest,
    PolicyResult,
    PolicyRevision,
    RuleOutcome,
    RuleStatus,
    SignatureFact,
    Violation,
)
from lockgate.schemas import SchemaError, check_schema

# 16 signatures of 64 claims of Fulcio's usual length stay below 100 KiB, and the largest lineage too.
INPUT_BYTES_MAX: Final = 256 * 1024
INPUT_DEPTH_MAX: Final = 8  # the deepest input, a claim of a signature, has six levels
INPUT_SCHEMA: Final = "v1/policy/input"
RESULT_SCHEMA: Final = "v1/policy/result"
# No field may be missing, so absence is written out.
_NO_LINEAGE: Final[dict[str, Any]] = {
    "present": False,
    "digest": "",
    "collected_at_ns": 0,
    "artifact": "",
    "run": "",
    "code_commit": "",
    "datasets": [],
    "feature_service": {"status": "unresolved", "project": "", "name": ""},
    "feature_views": [],
    "truncated": [],
    "score": 0,
}


def fold_identity(identity: str) -> str:
    """Return a name in the form in which names are compared for telling people apart.

    Case is dropped, because a person's mail address in another case is the same person. Only the separation of duties
    compares folded names; trust compares exact ones.
    """
    return identity.casefold()


def build_input(  # noqa: PLR0913 - one for each part of the input
    *,
    now: EpochNs,
    revision: PolicyRevision,
    request: PolicyRequest,
    evidence: EvidenceFacts,
    approvals: Iterable[ApprovalFact],
    lineage: LineageFacts | None,
    history: HistoryFacts,
) -> PolicyInput:
    """Write down everything that the decision may depend on.

    Args:
        now: The server's clock; never the caller's.
        revision: The policy revision that shall decide; approvals bound to another do not count.
        request: The promotion request.
        evidence: What became of its evidence.
        approvals: Every approval and rejection given for this request, in any order.
        lineage: What the snapshot says that was frozen when the request was made; None: nothing had been collected.
        history: What the gate knows of before.

    Returns:
        The input; the same facts give the same bytes (`input_bytes`).

    Raises:
        PolicyInputError: A fact is outside the schema's bounds, or the whole is too large.
    """
    document: dict[str, Any] = {
        "schema_version": 3,
        "now_ns": now,
        "policy_revision": revision,
        "request": _request(request),
        "evidence": {
            "digest": str(evidence.digest),
            "signatures": [_signature(signature) for signature in evidence.signatures],
            "refusals": [{"code": refusal.code, "trust_domain": refusal.trust_domain} for refusal in evidence.refusals],
        },
        # In the order of giving: of one person's approvals the first counts, and ties must not depend on the caller.
        "approvals": [
            _approval(approval) for approval in sorted(approvals, key=lambda given: (given.approved_at, given.id))
        ],
        "lineage": _NO_LINEAGE if lineage is None else _lineage(lineage),
        "history": {
            "allowed_in_target": history.allowed_in_target,
            "held": history.held,
            "rolled_back": history.rolled_back,
            "registered_digest": history.registered_digest,
        },
    }
    try:
        check_schema(INPUT_SCHEMA, document)
    except SchemaError as exc:
        raise PolicyInputError(f"policy input at {exc.pointer[:200] or '/'}: {exc}") from exc
    built = PolicyInput(document)
    input_bytes(built)
    return built


def input_bytes(document: PolicyInput) -> bytes:
    """Return the canonical bytes of a policy input: what is hashed, sent and kept.

    Raises:
        PolicyInputError: The input has no canonical form or is larger than `INPUT_BYTES_MAX`.
    """
    try:
        return canonicalize(dict(document), integer_max=INT64_MAX, bytes_max=INPUT_BYTES_MAX, depth_max=INPUT_DEPTH_MAX)
    except CanonicalJSONError as exc:
        raise PolicyInputError(f"policy input: {exc}") from exc


def parse_result(
    raw: object, *, document: PolicyInput, catalogue: PolicyCatalogue, engine: str, engine_version: str
) -> PolicyResult:
    """Check an engine's answer and sort it, so that both engines' answers compare equal.

    Args:
        raw: What `data.lockgate.promotion.decision` evaluated to, parsed from JSON.
        document: The input that it was evaluated for.
        catalogue: The rules that had to be evaluated.
        engine: The engine's name.
        engine_version: The version of OPA that evaluated or compiled it.

    Raises:
        PolicyInvalidError: The answer breaks its schema, or one of the numbered rules of this module.
    """
    try:
        check_schema(RESULT_SCHEMA, raw)
    except SchemaError as exc:
        raise PolicyInvalidError(f"policy result at {exc.pointer[:200] or '/'}: {exc}") from exc
    if not isinstance(raw, dict):  # the schema says so; this tells the type checker
        raise PolicyInvalidError("policy result: want an object")
    result = PolicyResult(
        allow=raw["allow"],
        tier=raw["tier"],
        rules=tuple(
            sorted((_rule_outcome(rule) for rule in raw["rules"]), key=lambda rule: (rule.rule_id, rule.status))
        ),
        violations=tuple(sorted(map(_violation, raw["violations"]), key=_violation_order)),
        missing_approvals=tuple(
            sorted((MissingApprovals(**owed) for owed in raw["missing_approvals"]), key=lambda owed: owed.role)
        ),
        approvals=tuple(
            sorted(map(_approval_outcome, raw["approvals"]), key=lambda outcome: (outcome.approval_id, outcome.reasons))
        ),
        revision=catalogue.revision,
        engine=engine,
        engine_version=engine_version,
        input_sha256=sha256_hex(input_bytes(document)),
    )
    _check_identity(raw["policy_revision"], document, catalogue)
    _check_rules(result, catalogue)
    _check_approvals(result, document)
    return result


def _check_identity(echoed: str, document: PolicyInput, catalogue: PolicyCatalogue) -> None:
    # (1) The answer is for this input.
    if echoed != document.get("policy_revision", ""):
        raise PolicyInvalidError("policy result: want the input's policy revision echoed")
    if echoed and echoed != catalogue.revision:
        raise PolicyInvalidError("policy result: want an input made for the engine's policy revision")


def _check_rules(result: PolicyResult, catalogue: PolicyCatalogue) -> None:
    # (2) Every rule was evaluated exactly once.
    known = {rule.rule_id: rule for rule in catalogue.rules}
    evaluated = [rule.rule_id for rule in result.rules]
    if evaluated != sorted(known):
        got, want = Counter(evaluated), Counter(known.keys())
        unmatched = sorted((got - want) + (want - got))
        raise PolicyInvalidError(f"policy result: want every rule evaluated once, got it otherwise for {unmatched[:8]}")
    # (3) A rule fails if and only if there is a violation of it.
    failed = {rule.rule_id for rule in result.rules if rule.status is RuleStatus.FAIL}
    violated = {violation.rule_id for violation in result.violations}
    if failed != violated:
        raise PolicyInvalidError(
            f"policy result: want a violation for each failed rule, differ: {sorted(failed ^ violated)}"
        )
    for violation in result.violations:
        rule = known[violation.rule_id]
        if (violation.title, violation.severity, violation.remediation) != (
            rule.title,
            rule.severity,
            rule.remediation,
        ):
            raise PolicyInvalidError(f"policy result: want the catalogue's text in violations of {rule.rule_id}")
    # (4) Allow means that nothing is violated, and nothing else does.
    if result.allow != (not result.violations):
        raise PolicyInvalidError(f"policy result: got allow={result.allow} with {len(result.violations)} violations")
    # (6) Only a rule that approvals can mend may name missing ones.
    if result.missing_approvals and not any(known[rule_id].approvable for rule_id in failed):
        raise PolicyInvalidError("policy result: want missing approvals only where a rule asks for them")


def _check_approvals(result: PolicyResult, document: PolicyInput) -> None:
    # (5) Every approval has exactly one outcome. An input that lacks its approvals has been denied for that already.
    given = document.get("approvals", [])
    ids = sorted(approval["id"] for approval in given if "id" in approval) if isinstance(given, list) else []
    if [outcome.approval_id for outcome in result.approvals] != ids:
        raise PolicyInvalidError("policy result: want one outcome for each approval")
    for outcome in result.approvals:
        if outcome.counted == bool(outcome.reasons):
            raise PolicyInvalidError("policy result: want a reason for each approval that does not count, and no other")


def _request(request: PolicyRequest) -> dict[str, Any]:
    return {
        "id": request.id,
        "kind": request.kind,
        "model": request.model,
        "version": request.version,
        "digest": str(request.digest),
        "from": request.from_environment,
        "to": request.to_environment,
        "requester": _principal(request.requester),
        "contributors": [
            {"subject": named.subject, "identity": fold_identity(named.subject), "role": named.role}
            for named in request.contributors
        ],
        "requested_at_ns": request.requested_at,
        "expires_at_ns": request.expires_at,
    }


def _principal(principal: PolicyPrincipal) -> dict[str, Any]:
    return {
        "subject": principal.subject,
        "type": principal.type,
        "roles": sorted(set(principal.roles)),
        "identities": sorted({fold_identity(name) for name in (principal.subject, *principal.identities)}),
    }


def _signature(signature: SignatureFact) -> dict[str, Any]:
    return {
        "kind": signature.kind,
        "trust_domain": signature.trust_domain,
        "identity": signature.identity,
        "signer": fold_identity(signature.identity),
        "identity_type": signature.identity_type,
        "issuer": signature.issuer,
        "claims": [{"name": claim.name, "value": claim.value} for claim in signature.claims],
        "predicate_type": signature.predicate_type,
        "signed_at_ns": signature.signed_at or 0,
    }


def _approval(approval: ApprovalFact) -> dict[str, Any]:
    return {
        "id": approval.id,
        "verdict": approval.verdict,
        "role": approval.role,
        "approver": _principal(approval.approver),
        "digest": str(approval.digest),
        "kind": approval.kind,
        "from": approval.from_environment,
        "to": approval.to_environment,
        "evidence_digest": str(approval.evidence_digest),
        "policy_revision": approval.policy_revision,
        "approved_at_ns": approval.approved_at,
        "expires_at_ns": approval.expires_at,
    }


def _lineage(lineage: LineageFacts) -> dict[str, Any]:
    service = lineage.feature_service
    return {
        "present": True,
        "digest": str(lineage.digest),
        "collected_at_ns": lineage.collected_at,
        "artifact": lineage.artifact,
        "run": lineage.run,
        "code_commit": lineage.code_commit,
        "datasets": [{"name": read.name, "digest": read.digest, "context": read.context} for read in lineage.datasets],
        "feature_service": {"status": service.status, "project": service.project, "name": service.name},
        "feature_views": [
            {
                "project": view.project,
                "name": view.name,
                "found": view.found,
                "owner": view.owner,
                "deprecated": view.deprecated,
                "pii": view.pii,
                "definition_sha256": view.definition_sha256,
            }
            for view in lineage.feature_views
        ],
        "truncated": sorted(lineage.truncated),
        "score": lineage.score,
    }


def _rule_outcome(rule: dict[str, Any]) -> RuleOutcome:
    return RuleOutcome(rule_id=rule["rule_id"], status=RuleStatus(rule["status"]))


def _violation(violation: dict[str, Any]) -> Violation:
    details = (Detail(name=detail["name"], value=detail["value"]) for detail in violation["details"])
    return Violation(
        rule_id=violation["rule_id"],
        code=violation["code"],
        title=violation["title"],
        severity=violation["severity"],
        remediation=violation["remediation"],
        details=tuple(sorted(details, key=_detail_order)),
    )


def _approval_outcome(outcome: dict[str, Any]) -> ApprovalOutcome:
    return ApprovalOutcome(
        approval_id=outcome["approval_id"], counted=outcome["counted"], reasons=tuple(sorted(outcome["reasons"]))
    )


def _detail_order(detail: Detail) -> tuple[str, str]:
    return detail.name, str(detail.value)


def _violation_order(violation: Violation) -> tuple[str, str, Sequence[tuple[str, str]]]:
    return violation.rule_id, violation.code, [_detail_order(detail) for detail in violation.details]
