"""Between evaluating and committing: what moved meanwhile, and what did not answer."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lockgate.clock import format_timestamp
from lockgate.demo.virtual_sigstore import VirtualSigstore
from lockgate.evidence import load_trust_domains
from lockgate.identity import parse_principal
from lockgate.policy.wasm import WasmEngine
from support.gates import (
    DAY_NS,
    GateUnderTest,
    compile_config,
    make_gate,
    policy_config,
)
from support.promotions import SwitchedEngine, canonicalize_request, freeze, in_parallel, verdict_of


def test_one_key_used_at_the_same_moment_makes_one_promotion(gate: GateUnderTest) -> None:
    """Racing retries of one request all get the one answer."""
    document = gate.request_document()

    def ask() -> Any:
        return gate.services.gate.request(
            parse_principal(subject="rita", type="user", roles=["requester"], identities=[]),
            canonicalize_request(document),
            idempotency_key="k1",
            trace="00000000-0000-0000-0000-000000000000",
        ).promotion.id

    ids = in_parallel(*[ask] * 6)

    assert len(set(ids)) == 1
    assert len(gate.records("gate.decision")) == 1


def test_two_approvals_at_the_same_moment_both_count(gate: GateUnderTest) -> None:
    """Neither approval is lost and the promotion is allowed exactly once."""
    for _ in range(5):
        asked = gate.request()
        answers = in_parallel(
            partial(gate.approve, "leo", "ml-lead", asked),
            partial(gate.approve, "maya", "risk", asked),
        )
        path = f"/v1/promotions/{asked['promotion']['id']}"

        assert sorted(verdict_of(answer.json) for answer in answers) == ["allow", "pending"]
        assert gate.call("GET", path, "rita").json["promotion"]["state"] == "allowed"


def test_approving_and_withdrawing_at_the_same_moment_ends_in_one_state(gate: GateUnderTest) -> None:
    """Either the approval or the withdrawal comes first; the promotion is never both allowed and withdrawn."""
    for _ in range(5):
        asked = gate.request()
        gate.approve("leo", "ml-lead", asked)
        path = f"/v1/promotions/{asked['promotion']['id']}"
        approved, withdrawn = in_parallel(
            partial(gate.approve, "maya", "risk", asked),
            partial(gate.call, "POST", f"{path}/withdraw", "rita", {"schema_version": 1}),
        )
        state = gate.call("GET", path, "rita").json["promotion"]["state"]

        assert (approved.status_code, withdrawn.status_code, state) in {(201, 409, "allowed"), (409, 200, "withdrawn")}


def test_a_change_of_policy_makes_old_approvals_stale(tmp_path: Path) -> None:
    """Under a new revision old approvals no longer count; whoever looks sees it decided anew, and can approve again."""
    old = WasmEngine(compile_config(tmp_path / "old", policy_config()))
    freezes = {"freezes": [freeze(from_ns=10**18, until_ns=10**18 + 1)]}
    new = WasmEngine(compile_config(tmp_path / "new", policy_config(freezes=freezes)))
    engine = SwitchedEngine(old)
    folder = tmp_path / "gate"
    folder.mkdir()
    gate = make_gate(folder, engine)
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    engine.now = new
    stale = gate.approve("maya", "risk", asked)
    seen = gate.call("GET", f"/v1/promotions/{asked['promotion']['id']}", "maya").json
    again = gate.approve("maya", "risk", seen).json

    assert (stale.status_code, stale.json["code"]) == (409, "approval.stale")
    assert seen["decision"]["policy"]["revision"] == new.catalogue().revision
    assert verdict_of(again) == "pending"
    assert again["decision"]["missing_approvals"] == [{"role": "ml-lead", "need": 1, "have": 0}]
    assert verdict_of(gate.approve("leo", "ml-lead", seen).json) == "allow"


def test_nothing_is_promoted_during_a_freeze(tmp_path: Path) -> None:
    """A freeze denies, whatever else is in order."""
    freezes = {"freezes": [freeze(from_ns=10**18, until_ns=2**62)]}
    engine = WasmEngine(compile_config(tmp_path / "config", policy_config(freezes=freezes)))
    folder = tmp_path / "gate"
    folder.mkdir()
    answer = make_gate(folder, engine).request()

    assert verdict_of(answer) == "deny"
    assert "year-end" in str(answer["decision"]["violations"])


@pytest.fixture
def switched(engine: WasmEngine) -> SwitchedEngine:
    """An engine that a test can switch off."""
    return SwitchedEngine(engine)


@pytest.fixture
def switched_gate(tmp_path: Path, switched: SwitchedEngine) -> GateUnderTest:
    """A gate around it."""
    return make_gate(tmp_path, switched)


def test_an_engine_that_is_down_promotes_nothing_and_is_recorded(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """The answer is 503 with the engine's code; the log says that no decision was made."""
    switched.broken = True
    document = switched_gate.request_document()
    response = switched_gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k")

    assert (response.status_code, response.json["code"]) == (503, "policy.unavailable")
    assert switched_gate.records("gate.decision") == []
    assert switched_gate.records("gate.failure")[0]["body"]["code"] == "policy.unavailable"
    switched.broken = False
    assert switched_gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k").status_code == 202


def test_an_approval_that_cannot_be_decided_is_not_kept(switched: SwitchedEngine, switched_gate: GateUnderTest) -> None:
    """Nothing is half-written: after the engine is back, the same approval is a first one."""
    asked = switched_gate.request()
    switched.broken = True
    failed = switched_gate.approve("leo", "ml-lead", asked)
    switched.broken = False

    assert failed.status_code == 503
    assert switched_gate.records("gate.approval") == []
    assert switched_gate.approve("leo", "ml-lead", asked).status_code == 201


def test_an_approval_that_runs_out_during_evaluation_does_not_count(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """What was counted on must still hold at the commit: validity is looked at again in the same transaction."""
    asked = switched_gate.request()
    switched_gate.approve("leo", "ml-lead", asked)
    switched_gate.clock.advance(3 * DAY_NS - 1_000_000)

    def run_out_once() -> None:
        switched.before_answer = lambda: None
        switched_gate.clock.advance(2_000_000)

    switched.before_answer = run_out_once
    answer = switched_gate.approve("maya", "risk", asked).json

    assert verdict_of(answer) == "pending"


def test_an_evaluation_that_took_too_long_is_not_committed(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """An answer of minutes ago is worth nothing; that no decision was made is recorded."""
    switched.before_answer = lambda: switched_gate.clock.advance(60 * 10**9)
    response = switched_gate.call("POST", "/v1/promotions", "rita", switched_gate.request_document())

    assert (response.status_code, response.json["code"]) == (503, "promotion.too_slow")
    assert switched_gate.records("gate.decision") == []
    assert switched_gate.records("gate.failure")[0]["body"]["code"] == "promotion.too_slow"


def test_a_clock_that_goes_back_during_evaluation_is_not_believed(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """A decision made later than its commit is evaluated again."""

    def go_back_once() -> None:
        switched.before_answer = lambda: None
        switched_gate.clock.advance(-(10**9))

    switched.before_answer = go_back_once
    response = switched_gate.call("POST", "/v1/promotions", "rita", switched_gate.request_document())

    assert response.status_code == 202
    assert response.json["decision"]["decided_at"] == format_timestamp(switched_gate.clock.now)
    assert len(switched_gate.records("gate.decision")) == 1


def test_looking_while_the_new_policy_gives_no_answer_shows_the_old_decision(
    tmp_path: Path, switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """Where a promotion stands can be told although it cannot be decided anew; the failure is recorded."""
    asked = switched_gate.request()
    freezes = {"freezes": [freeze(from_ns=10**18, until_ns=10**18 + 1)]}
    switched.now = WasmEngine(compile_config(tmp_path / "new", policy_config(freezes=freezes)))
    switched.broken = True
    seen = switched_gate.call("GET", f"/v1/promotions/{asked['promotion']['id']}", "maya")

    assert seen.status_code == 200
    assert seen.json["decision"] == asked["decision"]
    assert seen.json["promotion"]["policy_revision"] == switched.now.catalogue().revision
    assert switched_gate.records("gate.failure")[0]["actor"]["type"] == "system"


def test_a_role_lost_during_evaluation_takes_its_approval_along(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """Who approves is looked at again in the transaction: a role revoked meanwhile does not let the model in."""
    asked = switched_gate.request()
    switched_gate.approve("leo", "ml-lead", asked)

    def revoke_once() -> None:
        switched.before_answer = lambda: None
        nobody = parse_principal(subject="leo", type="user", roles=[], identities=[])
        switched_gate.identities.put_principal(nobody)

    switched.before_answer = revoke_once
    answer = switched_gate.approve("maya", "risk", asked).json

    assert verdict_of(answer) == "pending"


def test_a_root_of_trust_replaced_during_evaluation_counts(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """Evidence that was verified under the root of before is verified again under the one in force."""
    asked = switched_gate.request()
    switched_gate.approve("leo", "ml-lead", asked)

    def replace_once() -> None:
        switched.before_answer = lambda: None
        VirtualSigstore(name="test", clock=switched_gate.clock).write_trust_domain(switched_gate.folder / "trust")
        verifier = switched_gate.services.trust.verifier
        verifier.replace_domains(load_trust_domains(switched_gate.folder / "trust"))

    switched.before_answer = replace_once
    answer = switched_gate.approve("maya", "risk", asked).json

    assert verdict_of(answer) == "deny"


def test_an_approval_that_ends_at_the_very_commit_does_not_count(
    switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """At its expiry instant an approval is over, also for the look in the transaction."""
    asked = switched_gate.request()
    switched_gate.approve("leo", "ml-lead", asked)
    switched_gate.clock.advance(3 * DAY_NS - 1_000_000)

    def end_once() -> None:
        switched.before_answer = lambda: None
        switched_gate.clock.advance(1_000_000)

    switched.before_answer = end_once

    assert verdict_of(switched_gate.approve("maya", "risk", asked).json) == "pending"


def test_a_policy_replaced_during_evaluation_counts(
    tmp_path: Path, switched: SwitchedEngine, switched_gate: GateUnderTest
) -> None:
    """What the policy of before allowed is asked again of the one in force; approvals of the other do not count."""
    asked = switched_gate.request()
    switched_gate.approve("leo", "ml-lead", asked)
    freezes = {"freezes": [freeze(from_ns=10**18, until_ns=10**18 + 1)]}
    new = WasmEngine(compile_config(tmp_path / "new", policy_config(freezes=freezes)))

    def replace_once() -> None:
        switched.before_answer = lambda: None
        switched_gate.services.policy.replace(new)

    switched.before_answer = replace_once
    answer = switched_gate.approve("maya", "risk", asked)

    assert (answer.status_code, answer.json["code"]) == (409, "approval.stale")
    assert switched_gate.records("gate.approval")[1:] == []
