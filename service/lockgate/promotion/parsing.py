"""From bytes off the wire to well-formed values, and to and from the rows that keep them. Pure."""

import base64
import binascii
from typing import Any, Final, Literal

from lockgate.audit.errors import LogInconsistentError
from lockgate.canonical_json import canonicalize, parse_canonical, parse_json
from lockgate.clock import format_timestamp, parse_timestamp
from lockgate.digests import Sha256Hex, parse_digest, sha256_hex, sha256_of
from lockgate.errors import LockgateError
from lockgate.policy.types import PolicyRevision
from lockgate.promotion.types import (
    Approval,
    ApprovalRequest,
    Binding,
    Contributor,
    EvidenceItem,
    PromotionRequest,
    ReceivedRequest,
    Transition,
)
from lockgate.schemas import SchemaError, check_schema

REQUEST_BYTES_MAX: Final = 8 * 1024 * 1024  # a few bundles of a few hundred kilobytes; the rest is small
APPROVAL_BYTES_MAX: Final = 16 * 1024  # digests and a comment of a thousand characters
REQUEST_DEPTH_MAX: Final = 8  # the schema needs three levels


def parse_promotion_request(body: bytes, *, default_trust_domain: str) -> ReceivedRequest:
    """Read a promotion request.

    Args:
        body: The HTTP body.
        default_trust_domain: For evidence that names none.

    Raises:
        MalformedJSONError: `body` is not one unambiguous JSON value within the limits.
        SchemaError: It breaks `v1/api/promotion_request`.
    """
    document = parse_json(body, bytes_max=REQUEST_BYTES_MAX, depth_max=REQUEST_DEPTH_MAX)
    check_schema("v1/api/promotion_request", document)
    bundles: dict[Sha256Hex, bytes] = {}
    evidence: list[dict[str, str]] = []
    for index, item in enumerate(document["evidence"]):
        bundle = _decode_bundle(item["bundle"], index)
        bundle_sha256 = sha256_hex(bundle)
        bundles[bundle_sha256] = bundle
        evidence.append({"bundle": bundle_sha256, "trust_domain": item.get("trust_domain", default_trust_domain)})
    kept = {**document, "evidence": evidence, "reason": document.get("reason", "")}
    return ReceivedRequest(request=_request(kept), bundles=bundles)


def parse_approval_request(body: bytes) -> ApprovalRequest:
    """Read what an approver says.

    Raises:
        MalformedJSONError: `body` is not one unambiguous JSON value within the limits.
        SchemaError: It breaks `v1/api/approval_request`.
    """
    document = parse_json(body, bytes_max=APPROVAL_BYTES_MAX, depth_max=REQUEST_DEPTH_MAX)
    check_schema("v1/api/approval_request", document)
    return ApprovalRequest(
        verdict=document["verdict"],
        role=document["role"],
        binding=_binding(document),
        comment=document.get("comment", ""),
    )


def parse_withdrawal_request(body: bytes) -> str:
    """Read why a promotion is withdrawn; return the reason, perhaps empty.

    Raises:
        MalformedJSONError: `body` is not one unambiguous JSON value within the limits.
        SchemaError: It breaks `v1/api/withdrawal_request`.
    """
    document = parse_json(body, bytes_max=APPROVAL_BYTES_MAX, depth_max=REQUEST_DEPTH_MAX)
    check_schema("v1/api/withdrawal_request", document)
    reason: str = document.get("reason", "")
    return reason


def request_row(request: PromotionRequest, lineage: Sha256Hex | Literal[""]) -> bytes:
    """Write a request as it is kept: canonical JSON; bundles, and the lineage that was frozen with it, by digest.

    The log keeps their bytes as attachments.
    """
    return canonicalize(
        {
            "kind": request.transition.kind,
            "model": request.model,
            "version": request.version,
            "digest": str(request.digest),
            "from": request.transition.from_environment,
            "to": request.transition.to_environment,
            "contributors": [{"subject": made.subject, "role": made.role} for made in request.contributors],
            "evidence": _evidence_list(request.evidence),
            "reason": request.reason,
            "lineage": lineage,
        }
    )


def request_from_row(row: bytes) -> PromotionRequest:
    """Read what `request_row` wrote.

    Raises:
        LogInconsistentError: `row` is something else.
    """
    try:
        return _request(parse_canonical(row))
    except (LockgateError, KeyError, TypeError) as exc:  # whoever can write the table can write anything
        raise LogInconsistentError("want each request as the gate keeps it, got another document") from exc


def lineage_from_row(row: bytes) -> Sha256Hex | Literal[""]:
    """Read which lineage was frozen with a request that can be read; those from before there was any have none."""
    lineage: Sha256Hex | Literal[""] = parse_canonical(row).get("lineage", "")
    return lineage


def approval_document(approval: Approval) -> dict[str, Any]:
    """Write an approval as its one document (schema `v1/api/approval`)."""
    binding = approval.binding
    return {
        "schema_version": 1,
        "id": approval.id,
        "promotion_id": approval.promotion_id,
        "verdict": approval.verdict,
        "role": approval.role,
        "approver": approval.approver,
        "digest": str(binding.digest),
        "kind": binding.transition.kind,
        "from": binding.transition.from_environment,
        "to": binding.transition.to_environment,
        "evidence_digest": str(binding.evidence_digest),
        "policy_revision": binding.policy_revision,
        "comment": approval.comment,
        "approved_at": format_timestamp(approval.approved),
        "expires_at": format_timestamp(approval.expires),
    }


def approval_from_document(document: dict[str, Any]) -> Approval:
    """Read what `approval_document` wrote."""
    return Approval(
        id=document["id"],
        promotion_id=document["promotion_id"],
        approver=document["approver"],
        verdict=document["verdict"],
        role=document["role"],
        binding=_binding(document),
        comment=document["comment"],
        approved=parse_timestamp(document["approved_at"]),
        expires=parse_timestamp(document["expires_at"]),
    )


def _decode_bundle(text: str, index: int) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as exc:
        raise SchemaError("want base64 (RFC 4648, section 4)", f"/evidence/{index}/bundle") from exc


def _request(document: dict[str, Any]) -> PromotionRequest:
    evidence = tuple(
        EvidenceItem(trust_domain=item["trust_domain"], bundle_sha256=item["bundle"]) for item in document["evidence"]
    )
    return PromotionRequest(
        transition=_transition(document),
        model=document["model"],
        version=document["version"],
        digest=parse_digest(document["digest"]),
        contributors=tuple(
            Contributor(subject=made["subject"], role=made["role"]) for made in document["contributors"]
        ),
        evidence=evidence,
        evidence_digest=sha256_of(canonicalize(_evidence_list(evidence))),
        reason=document["reason"],
    )


def _evidence_list(evidence: tuple[EvidenceItem, ...]) -> list[dict[str, str]]:
    return [{"bundle": item.bundle_sha256, "trust_domain": item.trust_domain} for item in evidence]


def _transition(document: dict[str, Any]) -> Transition:
    return Transition(kind=document["kind"], from_environment=document["from"], to_environment=document["to"])


def _binding(document: dict[str, Any]) -> Binding:
    return Binding(
        digest=parse_digest(document["digest"]),
        transition=_transition(document),
        evidence_digest=parse_digest(document["evidence_digest"]),
        policy_revision=PolicyRevision(document["policy_revision"]),
    )
