"""The decision as JUnit XML: one test case per rule, so that any CI shows which rule failed.

Written in the form that Jenkins, GitLab and GitHub's readers share: `testsuites/testsuite/testcase` with `failure` or
`skipped` inside. The first test case is the verdict itself, so that a report of a deny is never all green.
"""

from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from lockgate.rendering.text import verdict_line
from lockgate.rendering.types import DecisionDocument, RecordPlace
from lockgate.rendering.values import plain


def render_junit(decision: DecisionDocument, place: RecordPlace | None) -> str:
    """Write the decision as one JUnit test suite, UTF-8."""
    rules = decision["rules"]
    subject = decision["subject"]
    failures = sum(rule["status"] == "fail" for rule in rules) + (decision["verdict"] != "allow")
    suites = Element("testsuites", name="lockgate")
    suite = SubElement(
        suites,
        "testsuite",
        name=f"lockgate {plain(subject['model'])} {plain(subject['version'])} {subject['from']} -> {subject['to']}",
        tests=str(len(rules) + 1),
        failures=str(failures),
        errors="0",
        skipped=str(sum(rule["status"] == "not_applicable" for rule in rules)),
        timestamp=decision["decided_at"].partition(".")[0],  # ISO 8601 without fraction and zone, as readers expect
    )
    _add_properties(suite, decision, place)
    verdict = SubElement(suite, "testcase", classname="lockgate.decision", name="verdict")
    if decision["verdict"] != "allow":
        SubElement(verdict, "failure", type=f"decision.{decision['verdict']}", message=verdict_line(decision))
    for rule in rules:
        _add_rule(suite, rule, [one for one in decision["violations"] if one["rule_id"] == rule["rule_id"]])
    indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suites, encoding="unicode") + "\n"


def _add_properties(suite: Element, decision: DecisionDocument, place: RecordPlace | None) -> None:
    values = {
        "decision": decision["id"],
        "promotion": decision["promotion_id"],
        "verdict": decision["verdict"],
        "dry_run": plain(decision["dry_run"]),
        "digest": decision["subject"]["digest"],
        "policy_revision": decision["policy"]["revision"],
        "expires_at": decision["expires_at"],
    }
    if place is not None:
        values |= {"log": plain(place.log), "record": str(place.seq)}
    properties = SubElement(suite, "properties")
    for name, value in values.items():
        SubElement(properties, "property", name=name, value=value)


def _add_rule(suite: Element, rule: dict[str, Any], violations: Sequence[dict[str, Any]]) -> None:
    case = SubElement(
        suite, "testcase", classname=f"lockgate.{rule['category']}", name=f"{rule['rule_id']} {plain(rule['title'])}"
    )
    if rule["status"] == "not_applicable":
        SubElement(case, "skipped", message="not applicable")
    elif rule["status"] == "fail":
        # A test case holds one failure; a rule with several violations lists them in its text.
        code = violations[0]["code"] if violations else "rule.failed"
        failure = SubElement(case, "failure", type=code, message=plain(rule["title"]))
        failure.text = "\n".join(_violation_text(violation) for violation in violations)


def _violation_text(violation: dict[str, Any]) -> str:
    lines = [f"{violation['code']}: {plain(violation['title'])}"]
    lines.extend(f"read {detail['name']} = {plain(detail['value'])}" for detail in violation["details"])
    lines.append(f"next {plain(violation['remediation'])}")
    return "\n".join(lines)
