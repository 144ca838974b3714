"""Decision documents for tests: one of each verdict, all valid under the schema."""

from typing import Any, Final

from lockgate.clock import NS_PER_S, EpochNs, format_timestamp
from lockgate.system_clock import SystemClock

DIGEST: Final = "sha256:" + "a1" * 32
EVIDENCE_DIGEST: Final = "sha256:" + "e1" * 32
POLICY_REVISION: Final = "sha256:" + "b2" * 32
PROMOTION_ID: Final = "0199c0de-0000-7000-8000-00000000a001"
DECISION_ID: Final = "0199c0de-0000-7000-8000-00000000d001"
APPROVAL_ID: Final = "0199c0de-0000-7000-8000-00000000b001"
DRY_RUN_PROMOTION_ID: Final = "00000000-0000-0000-0000-000000000000"

_RULES: Final = {
    "LG-001": ("The artifact is signed by an identity trusted for this model", "signature", "critical"),
    "LG-010": ("The transition is one that the environments allow", "transition", "high"),
    "LG-020": ("Every role has approved as often as the matrix asks", "approval", "high"),
    "LG-030": ("No freeze is in force", "freeze", "medium"),
}


def from_now(seconds: int) -> str:
    """Return the timestamp so many seconds from now."""
    return format_timestamp(EpochNs(SystemClock().now_ns() + seconds * NS_PER_S))


def make_decision(verdict: str = "allow", *, signature_failed: bool = False, **changes: Any) -> dict[str, Any]:
    """Return a decision that a gate could have made.

    Args:
        verdict: `allow`, `deny` or `pending`.
        signature_failed: For a deny: whether the signature rule is what failed, rather than the transition rule.
        changes: Top-level fields to replace.
    """
    failed = {"allow": "", "pending": "LG-020", "deny": "LG-001" if signature_failed else "LG-010"}[verdict]
    decision: dict[str, Any] = {
        "schema_version": 1,
        "id": DECISION_ID,
        "promotion_id": PROMOTION_ID,
        "dry_run": False,
        "verdict": verdict,
        "decided_at": from_now(-1),
        "expires_at": from_now(3600),
        "subject": {
            "model": "fraud-detector",
            "version": "1.4.0",
            "digest": DIGEST,
            "kind": "promote",
            "from": "staging",
            "to": "production",
            "tier": "high",
            "requester": "ci@example.org",
        },
        "policy": {"revision": POLICY_REVISION, "engine": "opa-wasm", "engine_version": "1.22.2"},
        "input": "sha256:" + "c3" * 32,
        "lineage": "",
        "rules": [_rule(rule_id, failed) for rule_id in _RULES],
        "violations": [_violation(failed)] if failed else [],
        "missing_approvals": [{"role": "risk", "need": 1, "have": 0}] if verdict == "pending" else [],
        "approvals": [
            {
                "approval_id": APPROVAL_ID,
                "approver": "alice@example.org",
                "role": "ml-lead",
                "counted": verdict == "allow",
                "reasons": [] if verdict == "allow" else ["requester"],
            }
        ],
        "evidence": {
            "digest": EVIDENCE_DIGEST,
            "trust": "sha256:" + "7" * 64,
            "signatures": [
                {
                    "kind": "message",
                    "trust_domain": "public-good",
                    "trust_root": "sha256:" + "d4" * 32,
                    "identity": "https://github.com/example/models/.github/workflows/train.yml@refs/heads/main",
                    "identity_type": "uri",
                    "issuer": "https://token.actions.githubusercontent.com",
                    "predicate_type": "",
                    "signed_at": from_now(-60),
                    "log_entry": "sha256:" + "f5" * 32,
                }
            ],
            "refusals": [
                {
                    "code": "digest_mismatch",
                    "detail": "want a signature over the artifact's digest",
                    "trust_domain": "public-good",
                    "bundle": "sha256:" + "06" * 32,
                }
            ],
        },
    }
    return decision | changes


def make_dry_run(verdict: str, *, signature_failed: bool = False) -> dict[str, Any]:
    """Return a forecast."""
    return make_decision(verdict, signature_failed=signature_failed, dry_run=True, promotion_id=DRY_RUN_PROMOTION_ID)


def _rule(rule_id: str, failed: str) -> dict[str, Any]:
    title, category, severity = _RULES[rule_id]
    status = "fail" if rule_id == failed else "not_applicable" if rule_id == "LG-030" else "pass"
    return {"rule_id": rule_id, "title": title, "category": category, "severity": severity, "status": status}


def _violation(rule_id: str) -> dict[str, Any]:
    title, category, severity = _RULES[rule_id]
    return {
        "rule_id": rule_id,
        "code": f"{category}.missing",
        "title": title,
        "category": category,
        "severity": severity,
        "remediation": "Ask the people whom the matrix names.",
        "details": [
            {"name": "role", "value": "risk"},
            {"name": "need", "value": 1},
            {"name": "duty", "value": True},
        ],
    }
