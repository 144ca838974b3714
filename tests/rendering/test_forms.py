"""Every form says what the decision says."""

import json
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest

from lockgate.canonical_json import canonicalize
from lockgate.rendering import Output, RecordPlace, render
from lockgate.schemas import check_schema
from support.decisions import DIGEST, make_decision, make_dry_run

_PLACE = RecordPlace(log="lockgate.example/gate", seq=7)
_EACH_VERDICT = pytest.mark.parametrize("verdict", ["allow", "deny", "pending"])


def _sarif_run(decision: dict[str, Any]) -> dict[str, Any]:
    document = json.loads(render(Output.SARIF, decision, _PLACE))  # noqa: TID251 - SARIF is not a document of ours

    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    return dict(run)


def _junit_suite(decision: dict[str, Any]) -> Element:
    suite = fromstring(render(Output.JUNIT, decision, _PLACE)).find("testsuite")  # noqa: S314 - our own output

    assert suite is not None
    return suite


@_EACH_VERDICT
def test_decisions_of_the_tests_are_valid(verdict: str) -> None:
    """The documents that these tests render are ones that a gate may send."""
    check_schema("v1/api/decision", make_decision(verdict))
    check_schema("v1/api/decision", make_dry_run(verdict))


@_EACH_VERDICT
def test_text_begins_with_the_verdict(verdict: str) -> None:
    """The first line names verdict, model, version, transition and digest."""
    first = render(Output.TEXT, make_decision(verdict), _PLACE).splitlines()[0]

    assert first == f"{verdict.upper()} promote fraud-detector 1.4.0 staging -> production {DIGEST}"


def test_text_of_a_pending_decision() -> None:
    """Text lists the rules, then violations with what was read and the next step, then approvals, then the receipt."""
    lines = render(Output.TEXT, make_decision("pending"), _PLACE).splitlines()

    wanted = [
        "Enforced: policy sha256:" + "b2" * 32 + " by opa-wasm 1.22.2",
        "  pass  LG-001  The artifact is signed by an identity trusted for this model [signature, critical]",
        "  FAIL  LG-020  Every role has approved as often as the matrix asks [approval, high]",
        "  n/a   LG-030  No freeze is in force [freeze, medium]",
        "Violations:",
        "  LG-020  approval.missing  Every role has approved as often as the matrix asks [high]",
        "    read  role = risk",
        "    read  need = 1",
        "    read  duty = true",
        "    next  Ask the people whom the matrix names.",
        "Missing approvals:",
        "  risk: 0 of 1",
        "Approvals:",
        "  alice@example.org as ml-lead does not count: requester",
        "Receipt: record 7 of log lockgate.example/gate, verified",
    ]
    assert [line for line in lines if line in wanted] == wanted


def test_text_of_an_allow() -> None:
    """Text of an allow shows who signed and that the approval counts, and has no section for what is not there."""
    text = render(Output.TEXT, make_decision("allow"), _PLACE)

    assert "  alice@example.org as ml-lead counts\n" in text
    assert "  signed by https://github.com/example/models/" in text
    assert "  refused: digest_mismatch: " in text
    assert "Violations" not in text
    assert "Missing approvals" not in text


def test_text_of_empty_lists() -> None:
    """Text says it when no rule ran and when no bundle was handed in."""
    evidence = {"digest": DIGEST, "signatures": [], "refusals": []}

    text = render(Output.TEXT, make_decision("deny", rules=[], evidence=evidence), _PLACE)

    assert "  no rule ran\n" in text
    assert "  no bundle was handed in\n" in text


@pytest.mark.parametrize("output", [Output.TEXT, Output.MARKDOWN, Output.JUNIT])
def test_dry_run_says_so_first(output: Output) -> None:
    """A forecast is marked in the first words of each form for people."""
    words = render(output, make_dry_run("deny"), None)

    assert "DRY RUN" in words
    assert words.index("DRY RUN") < words.index("DENY")


def test_dry_run_has_no_receipt_line() -> None:
    """Text of a forecast says that there is no receipt."""
    text = render(Output.TEXT, make_dry_run("allow"), None)

    assert text.splitlines()[-1] == "Receipt: none; a dry run permits nothing and is not recorded"


@_EACH_VERDICT
def test_json_is_the_canonical_decision(verdict: str) -> None:
    """JSON is the canonical bytes of the decision and one line feed, whatever the receipt."""
    decision = make_decision(verdict)

    assert render(Output.JSON, decision, _PLACE).encode() == canonicalize(decision) + b"\n"


def test_markdown_of_a_pending_decision() -> None:
    """Markdown has the verdict as heading, a row for each rule, the violation, the missing approval and the receipt."""
    text = render(Output.MARKDOWN, make_decision("pending"), _PLACE)

    assert text.startswith("## PENDING: fraud-detector 1&#46;4&#46;0\n")
    assert "| not applicable | LG-030 | No freeze is in force | freeze | medium |\n" in text
    assert "| fail | LG-020 |" in text
    assert "- **LG-020** <code>approval&#46;missing</code>" in text
    assert "  - <code>role</code> = <code>risk</code>\n" in text
    assert "- missing: <code>risk</code> has 0 of 1\n" in text
    assert "does not count: <code>requester</code>\n" in text
    assert "Receipt verified: record 7 of log" in text


def test_junit_of_a_deny() -> None:
    """A rule is a test case: failed, skipped where it does not apply, else passed; the counts agree."""
    suite = _junit_suite(make_decision("deny"))

    cases = {case.attrib["name"].split()[0]: [child.tag for child in case] for case in suite.iter("testcase")}
    assert cases == {"verdict": ["failure"], "LG-001": [], "LG-010": ["failure"], "LG-020": [], "LG-030": ["skipped"]}
    assert [suite.attrib[name] for name in ("tests", "failures", "errors", "skipped")] == ["5", "2", "0", "1"]
    texts = [failure.text for failure in suite.iter("failure")]
    assert "read need = 1\nread duty = true\nnext Ask the people" in str(texts[1])


def test_junit_of_an_allow_has_no_failure() -> None:
    """An allow fails no test case, not even the verdict's."""
    suite = _junit_suite(make_decision("allow"))

    assert suite.attrib["failures"] == "0"
    assert list(suite.iter("failure")) == []


def test_junit_of_a_deny_without_a_failed_rule() -> None:
    """A report of a deny is not all green even if no rule failed."""
    suite = _junit_suite(make_decision("deny", rules=[], violations=[]))

    assert [case.attrib["name"] for case in suite.iter("testcase") if list(case)] == ["verdict"]


def test_sarif_of_a_deny() -> None:
    """A result has the kind of its rule's status; only a failure has a level; locations name model and rule."""
    run = _sarif_run(make_decision("deny"))

    results = [(result["ruleId"], result["kind"], result["level"]) for result in run["results"]]
    assert results == [
        ("LG-001", "pass", "none"),
        ("LG-010", "fail", "error"),
        ("LG-020", "pass", "none"),
        ("LG-030", "notApplicable", "none"),
    ]
    assert [run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] for one in run["results"]] == [
        one["ruleId"] for one in run["results"]
    ]
    names = [one["fullyQualifiedName"] for one in run["results"][1]["locations"][0]["logicalLocations"]]
    assert names == [f"fraud-detector/1.4.0@{DIGEST}", "staging->production/LG-010"]
    assert run["tool"]["driver"]["rules"][1]["help"] == {"text": "Ask the people whom the matrix names."}
    assert run["properties"]["verdict"] == "deny"
    assert run["properties"]["record"] == 7


def test_sarif_has_a_result_for_each_violation() -> None:
    """A rule with two violations gives two results."""
    decision = make_decision("deny")
    decision["violations"] = decision["violations"] * 2

    assert [one["kind"] for one in _sarif_run(decision)["results"]].count("fail") == 2


def test_sarif_of_a_failed_rule_without_violation() -> None:
    """A rule that failed is a failure even if no violation says why."""
    run = _sarif_run(make_decision("deny", violations=[]))

    assert [one["kind"] for one in run["results"]].count("fail") == 1
