"""The contract of `PolicyEngine`, for both engines; what is OPA's own is in test_opa.py."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from lockgate.digests import sha256_hex
from lockgate.policy import (
    MissingApprovals,
    PolicyEngine,
    PolicyInput,
    PolicyInputError,
    PolicyInvalidError,
    PolicyUnavailableError,
    RuleStatus,
    input_bytes,
)
from lockgate.policy.compiled import COMPILED
from lockgate.policy.opa import OPAEngine
from lockgate.policy.wasm import WasmEngine
from lockgate.shipped import shipped_folder
from support.opa_server import running_opa
from support.policies import allowed_input, changed_input, input_without, shipped_policy

TIMEOUT_S = 10.0


@pytest.fixture(scope="module", params=["opa-wasm", pytest.param("opa-http", marks=pytest.mark.opa)])
def engine(request: pytest.FixtureRequest) -> Iterator[PolicyEngine]:
    """Each engine, with the shipped policy."""
    if request.param == "opa-wasm":
        wasm = WasmEngine(shipped_policy())
        yield wasm
        wasm.close()
        return
    opa: Path = request.getfixturevalue("opa_binary")
    with running_opa(opa, "--bundle", str(shipped_folder("policies") / COMPILED / "bundle.tar.gz")) as server:
        http = OPAEngine(shipped_policy(), server)
        yield http
        http.close()


def test_allows_what_the_matrix_asks_for(engine: PolicyEngine) -> None:
    """Every row's exact requirement is allowed, with every rule of the catalogue evaluated."""
    for row in range(6):
        document = PolicyInput(allowed_input(row))

        result = engine.evaluate(document, timeout_s=TIMEOUT_S)

        assert result.allow
        assert not result.violations
        assert [rule.rule_id for rule in result.rules] == [rule.rule_id for rule in engine.catalogue().rules]
        assert all(outcome.counted for outcome in result.approvals)
        assert result.engine == engine.name
        assert result.engine_version == "1.22.2"
        assert result.revision == engine.catalogue().revision
        assert result.input_sha256 == sha256_hex(input_bytes(document))


def test_names_what_is_missing(engine: PolicyEngine) -> None:
    """Without one approval the only violation is the approvable one, and the missing role is named."""
    document = allowed_input()
    document["approvals"] = [given for given in document["approvals"] if given["role"] != "risk"]

    result = engine.evaluate(PolicyInput(document), timeout_s=TIMEOUT_S)

    assert not result.allow
    assert result.missing_approvals == (MissingApprovals(role="risk", need=1, have=0),)
    assert [violation.code for violation in result.violations] == ["approvals.missing"]
    assert [rule.rule_id for rule in engine.catalogue().rules if rule.approvable] == ["LG-020", "LG-053"]


def test_says_why_an_approval_does_not_count(engine: PolicyEngine) -> None:
    """A reason of each kind comes back by name, beside the approval that still counts."""
    result = engine.evaluate(
        changed_input("approvals", 0, "approver", "subject", value="requester"), timeout_s=TIMEOUT_S
    )

    assert [(outcome.counted, outcome.reasons) for outcome in result.approvals] == [
        (False, ("requester",)),
        (True, ()),
    ]


def test_every_field_is_needed(engine: PolicyEngine) -> None:
    """Dropping any field of an input that is allowed denies, with a reason, whether or not a rule reads the field."""
    whole = allowed_input()
    paths = list(_fields(whole))
    allowed = []
    for path in paths:
        result = engine.evaluate(input_without(*path), timeout_s=TIMEOUT_S)
        failed = {rule.rule_id for rule in result.rules if rule.status is RuleStatus.FAIL}
        if result.allow or not failed or failed != {violation.rule_id for violation in result.violations}:
            allowed.append(path)

    assert allowed == []
    assert len(paths) > 60


def _fields(node: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield (*path, name)
            yield from _fields(value, (*path, name))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _fields(value, (*path, index))


@pytest.mark.parametrize(
    ("path", "rule_id"),
    [
        (("now_ns",), "LG-012"),
        (("request", "kind"), "LG-010"),
        (("request", "model"), "LG-011"),
        (("request", "digest"), "LG-020"),
        (("request", "from"), "LG-010"),
        (("request", "to"), "LG-001"),
        (("request", "requester"), "LG-021"),
        (("request", "requester", "subject"), "LG-020"),
        (("request", "requester", "identities"), "LG-021"),
        (("request", "requester", "roles"), "LG-030"),
        (("request", "contributors"), "LG-024"),
        (("request", "expires_at_ns"), "LG-012"),
        (("evidence",), "LG-001"),
        (("evidence", "digest"), "LG-020"),
        (("evidence", "signatures", 0, "signer"), "LG-023"),
        (("evidence", "signatures", 0, "claims"), "LG-001"),
        (("approvals",), "LG-029"),
        (("approvals", 0, "verdict"), "LG-029"),
        (("approvals", 0, "role"), "LG-020"),
        (("approvals", 0, "approver"), "LG-020"),
        (("approvals", 0, "approver", "roles"), "LG-020"),
        (("approvals", 0, "approver", "identities"), "LG-020"),
        (("approvals", 0, "digest"), "LG-020"),
        (("approvals", 0, "evidence_digest"), "LG-020"),
        (("approvals", 0, "policy_revision"), "LG-020"),
        (("approvals", 0, "approved_at_ns"), "LG-020"),
        (("approvals", 0, "expires_at_ns"), "LG-020"),
        (("policy_revision",), "LG-020"),
        (("lineage",), "LG-015"),
        (("history", "held"), "LG-041"),
    ],
)
def test_denies_without_a_field_that_a_rule_reads(
    engine: PolicyEngine, path: tuple[str | int, ...], rule_id: str
) -> None:
    """Without a field that a rule reads the answer is deny, and names that rule."""
    result = engine.evaluate(input_without(*path), timeout_s=TIMEOUT_S)

    assert not result.allow
    assert rule_id in {violation.rule_id for violation in result.violations}


def test_refuses_an_input_for_another_revision(engine: PolicyEngine) -> None:
    """An input made for another policy revision gets no answer."""
    with pytest.raises(PolicyInvalidError):
        engine.evaluate(changed_input("policy_revision", value="sha256:" + "0" * 64), timeout_s=TIMEOUT_S)


def test_refuses_an_oversized_input(engine: PolicyEngine) -> None:
    """An input beyond the limit is not evaluated."""
    with pytest.raises(PolicyInputError):
        engine.evaluate(changed_input("request", "version", value="v" * 300_000), timeout_s=TIMEOUT_S)


def test_gives_up_when_there_is_no_time(engine: PolicyEngine) -> None:
    """Without any time left there is no answer, and the next call is served."""
    with pytest.raises(PolicyUnavailableError):
        engine.evaluate(PolicyInput(allowed_input()), timeout_s=0.0)

    assert engine.evaluate(PolicyInput(allowed_input()), timeout_s=TIMEOUT_S).allow


def test_keeps_integers_of_64_bits_apart(engine: PolicyEngine) -> None:
    """Nanoseconds above 2^53 that differ by one are not mistaken for each other."""
    at = changed_input("now_ns", value=allowed_input()["request"]["expires_at_ns"])
    before = changed_input("now_ns", value=allowed_input()["request"]["expires_at_ns"] - 1)

    assert "LG-012" in {v.rule_id for v in engine.evaluate(at, timeout_s=TIMEOUT_S).violations}
    assert "LG-012" not in {v.rule_id for v in engine.evaluate(before, timeout_s=TIMEOUT_S).violations}


def test_serves_threads_apart(engine: PolicyEngine) -> None:
    """Answers to concurrent questions are not mixed up."""
    allow = PolicyInput(allowed_input())
    deny = changed_input("request", "model", value="other")

    def ask(number: int) -> bool:
        return engine.evaluate(allow if number % 2 else deny, timeout_s=TIMEOUT_S).allow

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(80)))

    assert answers == [bool(number % 2) for number in range(80)]


@pytest.mark.opa
def test_both_engines_give_the_same_result(opa_binary: Path) -> None:
    """But for the engine's own name the two results are equal."""
    policy = shipped_policy()
    wasm = WasmEngine(policy)
    with running_opa(opa_binary, "--bundle", str(shipped_folder("policies") / COMPILED / "bundle.tar.gz")) as server:
        http = OPAEngine(policy, server)
        for document in (allowed_input(), changed_input("evidence", "signatures", value=[])):
            one = wasm.evaluate(PolicyInput(document), timeout_s=TIMEOUT_S)
            two = http.evaluate(PolicyInput(document), timeout_s=TIMEOUT_S)

            assert replace(one, engine="") == replace(two, engine="")
        http.close()
    wasm.close()
