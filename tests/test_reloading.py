"""Another policy in force without a restart, in every process; or refused, and nothing changed."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lockgate.audit import Actor
from lockgate.errors import ConfigError
from lockgate.instance import Accepted
from lockgate.policy import CompiledPolicy, PolicyInForce, PolicyStaleError
from lockgate.policy.wasm import WasmEngine
from lockgate.reloading import Reloader, accept_files
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
    """Broken data are refused by name, and the policy of before decides on; mended, they come into force."""
    (config / "matrix" / "data.json").write_text("{")
    answer = reload(gate)
    kept = gate.call("GET", "/v1/policy", "otto").json["revision"]
    after = compile_config(config, policy_config(freezes=FREEZE)).catalogue.revision

    assert (answer.status_code, answer.json["code"]) == (409, "policy.build")
    assert kept == before.catalogue.revision
    assert reload(gate).json["revision"] == after


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


def test_the_main_process_says_what_it_accepted(gate: GateUnderTest, before: CompiledPolicy) -> None:
    """Whoever sent SIGHUP reads at once what came of it, before any worker has a request to follow with."""

    def refuse() -> Accepted:
        raise PolicyStaleError("the compiled policy was not built from this matrix")

    with capture_logs() as lines:
        accept_files(gate.instance, lambda: Accepted(policy=before, issuers=()))
        accept_files(gate.instance, refuse)

    assert lines[0] == {
        "event": "reload_accepted",
        "log_level": "info",
        "policy_revision": before.catalogue.revision,
    }
    assert [(line["event"], line.get("code")) for line in lines[1:]] == [("reload_refused", "policy.stale")]


@pytest.mark.parametrize("who", ["rita", "maya", "aude", "adam"])
def test_only_an_operator_reloads(gate: GateUnderTest, config: Path, before: CompiledPolicy, who: str) -> None:
    """Whoever else asks is refused, and nothing is reloaded."""
    compile_config(config, policy_config(freezes=FREEZE))
    answer = reload(gate, who)

    assert (answer.status_code, answer.json["code"]) == (403, "identity.not_permitted")
    assert gate.services.policy.revision() == before.catalogue.revision


@pytest.fixture
def other(gate: GateUnderTest, before: CompiledPolicy) -> Reloader:
    """Another process of the gate's instance."""
    policy = PolicyInForce(WasmEngine(before))
    return Reloader(
        instance=gate.instance,
        followed=gate.instance.changed,
        read=lambda: pytest.fail("it reads no file"),
        prepare=lambda accepted: partial(policy.replace, WasmEngine(accepted.policy)),
        policy=policy,
        log=gate.services.log,
        clock=gate.clock,
    )


def test_every_process_follows_with_its_next_request(
    gate: GateUnderTest, other: Reloader, config: Path, before: CompiledPolicy
) -> None:
    """What one process accepted, the others decide by at their next look; they read no files of their own."""
    after = compile_config(config, policy_config(freezes=FREEZE)).catalogue.revision
    other.refresh()
    unasked = other.policy.revision()
    reload(gate)
    (config / "matrix" / "data.json").write_text("{")
    other.refresh()

    assert unasked == before.catalogue.revision
    assert other.policy.revision() == after


def test_a_change_during_a_look_is_followed_by_the_next(gate: GateUnderTest, other: Reloader, config: Path) -> None:
    """No call is lost: what comes while a process looks is newer than what it follows."""
    first = gate.services.reloader
    seen: list[str] = []
    for start in (10**18, 10**18 + 5):
        freezes = {"freezes": [freeze(from_ns=start, until_ns=2**62)]}
        seen.append(compile_config(config, policy_config(freezes=freezes)).catalogue.revision)
        reload(gate)
    first.refresh()
    other.refresh()

    assert first.policy.revision() == other.policy.revision() == seen[1]


def test_what_cannot_be_made_ready_is_not_accepted(gate: GateUnderTest, before: CompiledPolicy) -> None:
    """Nothing reaches the other processes that this one could not put in force itself."""
    policy = PolicyInForce(WasmEngine(before))
    changed = gate.instance.changed

    def refuse(_: Accepted) -> Callable[[], None]:
        raise ConfigError("want usable issuers")

    reloader = Reloader(
        instance=gate.instance,
        followed=changed,
        read=gate.instance.get,
        prepare=refuse,
        policy=policy,
        log=gate.services.log,
        clock=gate.clock,
    )
    with pytest.raises(ConfigError):
        reloader.reload(Actor(type="user", id="otto"), "00000000-0000-0000-0000-000000000000")

    assert gate.instance.changed == changed
