"""The decision as a pure function: each numbered step, by itself, whatever the engine's adapter checked before."""

from dataclasses import replace

import pytest

from lockgate.digests import Sha256Hex
from lockgate.policy import (
    MissingApprovals,
    PolicyCatalogue,
    PolicyInvalidError,
    PolicyResult,
    PolicyRevision,
    RuleInfo,
    RuleOutcome,
    RuleStatus,
    Violation,
)
from lockgate.promotion import Verdict, decide

REVISION = PolicyRevision("sha256:" + "a" * 64)


def rule(rule_id: str, *, approvable: bool) -> RuleInfo:
    """Make a rule of the catalogue."""
    return RuleInfo(
        rule_id=rule_id,
        title="t",
        description="d",
        severity="high",
        remediation="r",
        approvable=approvable,
        category="approval",
        controls=(),
    )


CATALOGUE = PolicyCatalogue(
    revision=REVISION, rules=(rule("LG-001", approvable=False), rule("LG-020", approvable=True))
)


def violation(rule_id: str) -> Violation:
    """Make a violation."""
    return Violation(rule_id=rule_id, code="a.b", title="t", severity="high", remediation="r", details=())


def result(**failed: bool) -> PolicyResult:
    """Make a result in which some rules failed; approvals are missing when LG-020 did."""
    statuses = {"LG-001": failed.get("signature", False), "LG-020": failed.get("approvals", False)}
    return PolicyResult(
        allow=not any(statuses.values()),
        tier="high",
        rules=tuple(
            RuleOutcome(rule_id=rule_id, status=RuleStatus.FAIL if fails else RuleStatus.PASS)
            for rule_id, fails in statuses.items()
        ),
        violations=tuple(violation(rule_id) for rule_id, fails in statuses.items() if fails),
        missing_approvals=(MissingApprovals(role="risk", need=1, have=0),) if statuses["LG-020"] else (),
        approvals=(),
        revision=REVISION,
        engine="opa-wasm",
        engine_version="1",
        input_sha256=Sha256Hex("b" * 64),
    )


def test_every_rule_passed_is_an_allow() -> None:
    """Step 3."""
    assert decide(result(), CATALOGUE) is Verdict.ALLOW


def test_nothing_but_approvals_missing_is_pending() -> None:
    """Step 4."""
    assert decide(result(approvals=True), CATALOGUE) is Verdict.PENDING


@pytest.mark.parametrize("approvals", [False, True])
def test_anything_else_missing_is_a_deny(approvals: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Step 5: approvals cannot mend a signature."""
    assert decide(result(signature=True, approvals=approvals), CATALOGUE) is Verdict.DENY


def test_an_approvable_rule_that_asks_for_nobody_is_a_deny() -> None:
    """Step 4 needs somebody to wait for: without one it would be pending for ever."""
    assert decide(replace(result(approvals=True), missing_approvals=()), CATALOGUE) is Verdict.DENY


def test_another_revision_is_no_answer() -> None:
    """Step 1: a result counts for the rules that are in force."""
    other = replace(CATALOGUE, revision=PolicyRevision("sha256:" + "c" * 64))
    with pytest.raises(PolicyInvalidError) as caught:
        decide(result(), other)

    assert caught.value.code == "policy.invalid"


@pytest.mark.parametrize("rules", [(), ("LG-001",), ("LG-001", "LG-020", "LG-020"), ("LG-001", "LG-020", "LG-999")])
def test_a_rule_that_did_not_run_is_no_answer(rules: tuple[str, ...]) -> None:
    """Step 1: too few, twice, or unknown: never an allow."""
    outcomes = tuple(RuleOutcome(rule_id=rule_id, status=RuleStatus.PASS) for rule_id in rules)
    with pytest.raises(PolicyInvalidError) as caught:
        decide(replace(result(), rules=outcomes), CATALOGUE)

    assert caught.value.code == "policy.invalid"


@pytest.mark.parametrize(
    "contradiction",
    [
        replace(result(signature=True), allow=True),
        replace(result(), allow=False),
        replace(result(), violations=(violation("LG-001"),)),
        replace(result(signature=True), violations=()),
        replace(result(signature=True), violations=(violation("LG-020"),)),
    ],
    ids=["allow though failed", "no allow though passed", "violated though passed", "failed silently", "wrong rule"],
)
def test_a_result_that_contradicts_itself_is_no_answer(contradiction: PolicyResult) -> None:
    """Step 2."""
    with pytest.raises(PolicyInvalidError) as caught:
        decide(contradiction, CATALOGUE)

    assert caught.value.code == "policy.invalid"
