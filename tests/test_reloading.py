"""Another policy in force without a restart, in every process; or refused, and nothing changed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.audit import Actor
from lockgate.errors import ConfigError
from lockgate.policy import CompiledPolicy, PolicyInForce
from lockgate.policy.compiled import load_policy
from lockgate.policy.wasm import WasmEngine
from lockgate.reloading import ReloadCall, Reloader
from lockgate.shipped import shipped_folder
from support.gates import GateUnderTest, compile_config, make_gate, policy_config
from support.promotions import freeze

FREEZE = {"freezes": [freeze(from_ns=10**18, until_ns=2**62)]}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The folder with the policy's data."""
    return tmp_path / "config"


@pytest.fixture
def before(config: Path) -> CompiledPolicy:
    """The policy of the start."""
    return compile_config(config, policy_config())


@pytest.fixture
def gate(tmp_path: Path, config: Path, before: CompiledPolicy) -> GateUnderTest:
    """A gate that reads that folder again when asked."""
    folder = tmp_path / "gate"
    folder.mkdir()
    return make_gate(folder, WasmEngine(before), config=config)


def reload(gate: GateUnderTest, who: str = "otto") -> Any:
    """Ask for a reload."""
    return gate.call("POST", "/v1/policy:reload", who)


def test_a_freeze_counts_from_the_reload_on(gate: GateUnderTest, config: Path) -> None:
    """A changed folder alone changes nothing; the reload does, for the next decision, and answers the revision."""
    after = compile_config(config, policy_config(freezes=FREEZE)).catalogue.revision
    undecided = gate.request()["decision"]
    answer = reload(gate)

    assert undecided["verdict"] == "pending"
    assert (answer.status_code, answer.json) == (200, {"revision": after, "engine": "opa-wasm"})
    assert gate.request()["decision"]["verdict"] == "deny"


def test_what_cannot_be_used_changes_nothing(gate: GateUnderTest, config: Path, before: CompiledPolicy) -> None:
    """Broken data are refused by name; the policy of before decides on, and readiness says what lies there."""
    (config / "matrix" / "data.json").write_text("{")
    answer = reload(gate)
    checks = gate.call("GET", "/readyz", None).json["checks"]

    assert (answer.status_code, answer.json["code"]) == (409, "policy.build")
    assert gate.call("GET", "/v1/policy", "otto").json["revision"] == before.catalogue.revision
    assert checks[0] == {
        "name": "policy",
        "ok": True,
        "detail": "opa-wasm; what lies in the files is refused: policy.build",
    }
    compile_config(config, policy_config())
    assert reload(gate).status_code == 200
    assert gate.call("GET", "/readyz", None).json["checks"][0]["detail"] == "opa-wasm"


def test_the_log_says_which_policy_was_in_force(gate: GateUnderTest, config: Path, before: CompiledPolicy) -> None:
    """The start records the policy that it finds; a reload records a change, by whom, and only a change."""
    for _ in range(2):
        gate.services.reloader.begin()
    after = compile_config(config, policy_config(freezes=FREEZE)).catalogue.revision
    for _ in range(2):
        reload(gate)
    records = gate.records("gate.policy")

    assert [(record["actor"]["id"], record["body"]["before"], record["body"]["revision"]) for record in records] == [
        ("lockgate", "", before.catalogue.revision),
        ("otto", before.catalogue.revision, after),
    ]


@pytest.mark.parametrize("who", ["rita", "maya", "aude", "adam"])
def test_only_an_operator_reloads(gate: GateUnderTest, config: Path, before: CompiledPolicy, who: str) -> None:
    """Whoever else asks is refused, and nothing is reloaded."""
    compile_config(config, policy_config(freezes=FREEZE))
    answer = reload(gate, who)

    assert (answer.status_code, answer.json["code"]) == (403, "identity.not_permitted")
    assert gate.services.policy.revision() == before.catalogue.revision


def test_a_call_is_followed_by_every_process(gate: GateUnderTest, config: Path, before: CompiledPolicy) -> None:
    """A process that hears the call reloads at its next look, once; one that hears none does not."""
    call = ReloadCall()
    policy = PolicyInForce(WasmEngine(before))
    looks = []

    def load() -> Callable[[], None]:
        looks.append(load_policy(shipped_folder("policies"), None, config))
        return lambda: policy.replace(WasmEngine(looks[-1]))

    log, clock = gate.services.log, gate.clock
    other = Reloader(policy=policy, parts=(load,), log=log, clock=clock, call=call)
    after = compile_config(config, policy_config(freezes=FREEZE)).catalogue.revision
    other.refresh()
    unasked = policy.revision()
    call.make()
    for _ in range(3):
        other.refresh()

    assert unasked == before.catalogue.revision
    assert policy.revision() == after
    assert len(looks) == 1


def test_one_unusable_part_keeps_all_as_they_were(gate: GateUnderTest, before: CompiledPolicy) -> None:
    """What comes into force comes together: a good policy does not, beside issuers that cannot be read."""
    policy = PolicyInForce(WasmEngine(before))
    put: list[str] = []

    def broken() -> Callable[[], None]:
        raise ConfigError("want readable issuers")

    log, clock = gate.services.log, gate.clock
    reloader = Reloader(
        policy=policy, parts=(lambda: lambda: put.append("policy"), broken), log=log, clock=clock, call=ReloadCall()
    )
    with pytest.raises(ConfigError):
        reloader.reload(Actor(type="user", id="otto"), "00000000-0000-0000-0000-000000000000")

    assert put == []
    assert reloader.problem == "config.invalid"
