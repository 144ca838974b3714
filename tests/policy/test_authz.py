"""Authorisation by the policy: what both engines answer, what is no answer, and that the grants are held by tests."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.policy import (
    AuthzInput,
    AuthzResult,
    PolicyEngine,
    PolicyEvaluationError,
    PolicyFailureError,
    PolicyInputError,
    PolicyInvalidError,
    PolicyUnavailableError,
    PolicyUndefinedError,
    build_authz_input,
)
from lockgate.policy.authorization import parse_authz_result
from lockgate.policy.compiled import COMPILED
from lockgate.policy.opa import OPAEngine, OPAServer
from lockgate.policy.opa_binary import run_opa
from lockgate.policy.types import AUTHZ_DECISION
from lockgate.policy.wasm import WasmEngine, WasmModule
from lockgate.shipped import shipped_folder
from support.misbehaving_server import Behaviour, answer, misbehaving_server
from support.opa_server import running_opa
from support.policies import shipped_policy

TIMEOUT_S = 10.0
REVISION = shipped_policy().catalogue.revision
BUNDLE = shipped_folder("policies") / COMPILED / "bundle.tar.gz"
# The policy's own test of its grants: one case for each role, all of which must hold.
HELD = "count(data.lockgate.authz_test.wanted) == count(data.lockgate.authz_test.test_each_role)"


@pytest.fixture(scope="module", params=["opa-wasm", pytest.param("opa-http", marks=pytest.mark.opa)])
def engine(request: pytest.FixtureRequest) -> Iterator[PolicyEngine]:
    """Each engine, with the shipped policy."""
    if request.param == "opa-wasm":
        wasm = WasmEngine(shipped_policy())
        yield wasm
        wasm.close()
        return
    opa: Path = request.getfixturevalue("opa_binary")
    with running_opa(opa, "--bundle", str(BUNDLE)) as server:
        http = OPAEngine(shipped_policy(), server)
        yield http
        http.close()


def call(operation: str = "promotions.create", *roles: str, **facts: str) -> AuthzInput:
    """Return a call by Ann, who is a requester unless told otherwise."""
    return build_authz_input(
        revision=REVISION,
        subject="ann",
        type="user",
        roles=roles or ("requester",),
        operation=operation,
        facts=facts,
    )


def good_result(**changes: Any) -> dict[str, Any]:
    """Return what the policy answers to `call()`, with some members changed."""
    result = {
        "schema_version": 1,
        "allow": True,
        "reason": "granted",
        "operation": "promotions.create",
        "policy_revision": REVISION,
    }
    return result | changes


# --- what both engines answer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (call(), "granted"),
        (call("promotions.approve", "approver:risk", role="risk"), "granted"),
        (call("promotions.approve", "approver:risk", role="ml-lead"), "role_not_held"),
        (call("promotions.approve", "approver:risk"), "object_missing"),
        (call("promotions.withdraw", requester="ann"), "granted"),
        (call("promotions.withdraw", requester="bob"), "not_the_requester"),
        (call("audit.record", "recorder:access", kind="access.review"), "granted"),
        (call("audit.record", "recorder:access", kind="accession.review"), "kind_not_covered"),
        (call("audit.record", "recorder:gate", kind="gate.decision"), "kind_not_covered"),
        (call("promotions.create", "admin"), "role_missing"),
        (call("promotions.destroy", "admin", "auditor", "operator", "requester"), "operation_unknown"),
    ],
)
def test_each_reason(engine: PolicyEngine, document: AuthzInput, reason: str) -> None:
    """Each way to be permitted or denied has its reason; only `granted` allows."""
    result = engine.authorize(document, timeout_s=TIMEOUT_S)

    assert result == AuthzResult(allow=reason == "granted", reason=reason, revision=REVISION)


def test_every_field_is_needed(engine: PolicyEngine) -> None:
    """Without any field nothing is permitted; without the operation there is no answer at all."""
    for path in (["object"], ["principal"], ["principal", "roles"], ["principal", "subject"], ["schema_version"]):
        document = deepcopy(dict(call()))
        place = document
        for step in path[:-1]:
            place = place[step]
        del place[path[-1]]

        assert engine.authorize(AuthzInput(document), timeout_s=TIMEOUT_S).reason == "input_incomplete", path
    for field in ("operation", "policy_revision"):
        nameless = {name: value for name, value in call().items() if name != field}
        with pytest.raises(PolicyInvalidError):
            engine.authorize(AuthzInput(nameless), timeout_s=TIMEOUT_S)


def test_refuses_an_input_for_another_revision(engine: PolicyEngine) -> None:
    """A question to another policy revision gets no answer."""
    document = AuthzInput({**call(), "policy_revision": "sha256:" + "0" * 64})
    with pytest.raises(PolicyInvalidError):
        engine.authorize(document, timeout_s=TIMEOUT_S)


def test_refuses_an_oversized_input(engine: PolicyEngine) -> None:
    """A question beyond the limit is not asked."""
    with pytest.raises(PolicyInputError):
        engine.authorize(AuthzInput({**call(), "operation": "x" * 10_000}), timeout_s=TIMEOUT_S)


def test_gives_up_when_there_is_no_time(engine: PolicyEngine) -> None:
    """Without any time left there is no answer, and the next call is served."""
    with pytest.raises(PolicyUnavailableError):
        engine.authorize(call(), timeout_s=0.0)

    assert engine.authorize(call(), timeout_s=TIMEOUT_S).allow


# --- what is no question, and what is no answer -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"subject": ""},
        {"subject": "s" * 241},
        {"type": "robot"},
        {"roles": ["r" * 65]},
        {"roles": ["r"] * 33},
        {"operation": "create"},
        {"operation": "Promotions.create"},
        {"facts": {"tier": "high"}},
        {"facts": {"own": "perhaps"}},
        {"facts": {"role": ""}},
        {"facts": {"kind": 1}},
        {"revision": "1"},
    ],
)
def test_a_question_out_of_bounds_is_not_asked(change: dict[str, Any]) -> None:
    """Each part has its form."""
    parts = {"subject": "ann", "type": "user", "roles": (), "operation": "me.read", "facts": {}, "revision": REVISION}
    with pytest.raises(PolicyInputError):
        build_authz_input(**{**parts, **change})


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(True, id="a bare truth"),
        pytest.param({"allow": True}, id="a bare allow"),
        pytest.param(good_result(allow="true"), id="allow as text"),
        pytest.param(good_result(extra=1), id="an unknown field"),
        pytest.param(good_result(operation="promotions.list"), id="(1) another operation"),
        pytest.param(good_result(policy_revision="sha256:" + "0" * 64), id="(1) another revision"),
        pytest.param(good_result(reason="role_missing"), id="(3) allowed with a reason against it"),
        pytest.param(good_result(allow=False), id="(3) denied with the reason for it"),
    ],
)
def test_what_contradicts_itself_is_no_answer(raw: object) -> None:
    """An answer to another question, or against itself, permits nothing."""
    with pytest.raises(PolicyInvalidError):
        parse_authz_result(raw, document=call(), revision=REVISION)


def test_an_answer_by_another_engine_is_none() -> None:
    """(2) A question and its answer agree on a revision that is not the engine's."""
    other = "sha256:" + "0" * 64
    document = AuthzInput({**call(), "policy_revision": other})
    with pytest.raises(PolicyInvalidError):
        parse_authz_result(good_result(policy_revision=other), document=document, revision=REVISION)


def test_a_sound_answer_is_taken() -> None:
    """The good answer of these tests is good, so that the bad ones fail for their own reason."""
    result = parse_authz_result(good_result(), document=call(), revision=REVISION)

    assert result == AuthzResult(allow=True, reason="granted", revision=REVISION)


def opa_answer(result: object = None, *, revision: str = REVISION) -> bytes:
    """Return what OPA would send."""
    said: dict[str, Any] = {"provenance": {"version": "1.22.2", "bundles": {"b": {"revision": revision}}}}
    return orjson.dumps(said if result is None else {**said, "result": result})


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [
        pytest.param(answer(200, opa_answer()), PolicyUndefinedError, id="undefined"),
        pytest.param(answer(200, opa_answer(good_result(), revision="other")), PolicyUnavailableError, id="revision"),
        pytest.param(answer(200, opa_answer(good_result(operation="x.y"))), PolicyInvalidError, id="another question"),
        pytest.param(answer(200, b"{}"), PolicyUndefinedError, id="empty"),
        pytest.param(answer(503, b"busy"), PolicyUnavailableError, id="503"),
        pytest.param(
            answer(500, b'{"code":"internal_error","errors":[{"code":"eval_conflict_error"}]}'),
            PolicyEvaluationError,
            id="conflict",
        ),
    ],
)
def test_a_failing_opa_permits_nothing(behaviour: Behaviour, error: type[PolicyFailureError]) -> None:
    """Whatever goes wrong with OPA, its error comes out and no permission."""
    with misbehaving_server(behaviour) as server, pytest.raises(error):
        authorize_by(server.address)


def test_a_sound_opa_is_asked_at_its_own_entrypoint() -> None:
    """The stand-in's good answer passes, and the question went to the entrypoint of authorisation."""
    with misbehaving_server(answer(200, opa_answer(good_result()))) as server:
        result = authorize_by(server.address)

    assert result.allow
    assert server.requests[0].startswith(b"POST /v1/data/lockgate/authz/decision?")


def authorize_by(server: OPAServer) -> AuthzResult:
    """Ask a server about `call()`."""
    engine = OPAEngine(shipped_policy(), server)
    try:
        return engine.authorize(call(), timeout_s=TIMEOUT_S)
    finally:
        engine.close()


# --- whatever is asked ------------------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "kind", "a"]), inner),
    max_leaves=6,
)
_FIELDS = {
    "schema_version": st.just(1) | _JSON,
    "policy_revision": st.just(REVISION) | _JSON,
    "operation": st.sampled_from(["promotions.approve", "audit.record", "me.read", "promotions.withdraw"]) | _JSON,
    "principal": st.fixed_dictionaries(
        {},
        optional={
            "subject": st.just("ann") | _JSON,
            "type": st.sampled_from(["user", "machine"]) | _JSON,
            "roles": st.lists(st.sampled_from(["requester", "approver:risk", "recorder:access"]) | _JSON) | _JSON,
        },
    )
    | _JSON,
    "object": st.fixed_dictionaries(
        {}, optional={name: st.sampled_from(["risk", "ann", "access.x"]) | _JSON for name in ("role", "kind")}
    )
    | _JSON,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The shipped module, loaded once for all examples."""

    module: WasmModule


@pytest.fixture(scope="module")
def loaded() -> Iterator[Loaded]:
    """The shipped policy, compiled."""
    module = WasmModule(shipped_policy())
    yield Loaded(module=module)
    module.close()


@given(document=st.fixed_dictionaries({}, optional=_FIELDS))
@settings(deadline=None, max_examples=300)
def test_whatever_is_asked_is_answered(loaded: Loaded, document: dict[str, Any]) -> None:
    """The answer is defined for every input, and allows only what is complete and granted."""
    raw = loaded.module.evaluate(orjson.dumps(document), AUTHZ_DECISION)

    assert raw["allow"] == (raw["reason"] == "granted")
    if raw["allow"]:
        principal = document["principal"]
        assert document["schema_version"] == 1
        assert all(isinstance(role, str) for role in principal["roles"])
        assert isinstance(document["object"], dict)


# --- the grants are held by tests -------------------------------------------------------------------------------------


def rego(opa: Path, query: str, stdin: object = None) -> Any:
    """Evaluate a query over the shipped policy and its tests."""
    arguments = ["eval", "--format", "raw", "--bundle", ".", *(["--stdin-input"] if stdin is not None else []), query]
    said = run_opa(opa, arguments, cwd=shipped_folder("policies"), stdin=orjson.dumps(stdin) if stdin else b"")
    return orjson.loads(said)


@pytest.mark.opa
def test_every_grant_is_held_by_a_test(opa_binary: Path) -> None:
    """Granting an operation to one more role, or taking it from one, turns a test of the policy red."""
    grants: dict[str, list[str]] = rego(opa_binary, "data.lockgate.authz.grants")
    roles = sorted({role for granted in grants.values() for role in granted})
    mutants = [grants]
    for name, granted in grants.items():
        for role in roles:
            changed = set(granted) ^ {role}
            mutants.append({**grants, name: sorted(changed)})
    query = f"[number | some number, grants in input; {HELD} with data.lockgate.authz.grants as grants]"
    survivors = rego(opa_binary, query, mutants)

    assert len(mutants) == 1 + len(grants) * len(roles) > 100
    assert survivors == [0]  # the policy as it is
