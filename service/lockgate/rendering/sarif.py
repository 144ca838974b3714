"""The decision as SARIF 2.1.0: one result for each rule that passed or does not apply, one for each violation.

Source: OASIS SARIF 2.1.0; sections 3.27.9 (kind), 3.27.10 (level), 3.49.3 (rule.help), 3.33 (logical locations).
"""

import json
from typing import Any, Final

from lockgate.rendering.types import DecisionDocument, RecordPlace
from lockgate.rendering.values import plain, sarif_text

_LEVELS: Final = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"


def render_sarif(decision: DecisionDocument, place: RecordPlace | None) -> str:
    """Write the decision as one SARIF run, UTF-8 JSON."""
    properties: dict[str, Any] = {
        "decision": decision["id"],
        "promotion": decision["promotion_id"],
        "verdict": decision["verdict"],
        "dryRun": decision["dry_run"],
        "digest": decision["subject"]["digest"],
        "policyRevision": decision["policy"]["revision"],
        "expiresAt": decision["expires_at"],
    }
    if place is not None:
        properties |= {"log": place.log, "record": place.seq}
    run = {
        "tool": {
            "driver": {
                "name": "Lockgate",
                "informationUri": "https://lockgate.dev",
                "rules": [_descriptor(rule, decision) for rule in decision["rules"]],
            }
        },
        "invocations": [{"executionSuccessful": True, "endTimeUtc": decision["decided_at"]}],
        "results": [result for rule in decision["rules"] for result in _results(rule, decision)],
        "properties": properties,
    }
    # ASCII, so that control characters and bidirectional overrides stay \u escapes whatever displays the file.
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _descriptor(rule: dict[str, Any], decision: DecisionDocument) -> dict[str, Any]:
    # A decision carries remediations only for what was violated; a rule that held needs no other help than its title.
    remediations = [one["remediation"] for one in decision["violations"] if one["rule_id"] == rule["rule_id"]]
    return {
        "id": rule["rule_id"],
        "shortDescription": {"text": plain(rule["title"])},
        "help": {"text": plain("; ".join(dict.fromkeys(remediations)) or rule["title"])},
        "defaultConfiguration": {"level": _LEVELS[rule["severity"]]},
        "properties": {"category": rule["category"], "severity": rule["severity"]},
    }


def _results(rule: dict[str, Any], decision: DecisionDocument) -> list[dict[str, Any]]:
    title = sarif_text(rule["title"])
    if rule["status"] == "pass":
        return [_result(rule, decision, kind="pass", level="none", text=title)]
    if rule["status"] == "not_applicable":
        return [_result(rule, decision, kind="notApplicable", level="none", text=title)]
    texts = [_violation_text(one) for one in decision["violations"] if one["rule_id"] == rule["rule_id"]]
    level = _LEVELS[rule["severity"]]
    return [_result(rule, decision, kind="fail", level=level, text=text) for text in texts or [title]]


def _result(rule: dict[str, Any], decision: DecisionDocument, *, kind: str, level: str, text: str) -> dict[str, Any]:
    subject = decision["subject"]
    model = f"{plain(subject['model'])}/{plain(subject['version'])}"
    return {
        "ruleId": rule["rule_id"],
        "ruleIndex": decision["rules"].index(rule),
        "kind": kind,
        "level": level,
        "message": {"text": text},
        "locations": [
            {
                "logicalLocations": [
                    {"name": model, "fullyQualifiedName": f"{model}@{subject['digest']}", "kind": "resource"},
                    {
                        "name": rule["rule_id"],
                        "fullyQualifiedName": f"{subject['from']}->{subject['to']}/{rule['rule_id']}",
                        "kind": "rule",
                    },
                ]
            }
        ],
    }


def _violation_text(violation: dict[str, Any]) -> str:
    read = ", ".join(f"{detail['name']} = {sarif_text(detail['value'])}" for detail in violation["details"])
    title = f"{violation['code']}: {sarif_text(violation['title'])}"
    return f"{title}; read {read}" if read else title
