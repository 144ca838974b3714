"""Which log's receipt a client believes: that of the target environment or the main one, and of no other."""

from pathlib import Path
from typing import Any

import pytest

from support.commands import Run
from support.decisions import DIGEST, PROMOTION_ID, make_decision
from support.gate_log import GateLog
from support.gate_server import Call, GateServer, Reply, json_reply

UNTRUSTED = 5
MAIN = "lockgate.test/gate"  # of the shared log
REQUEST = ("request", "fraud-detector", "1.4.0", "--from", "staging", "--to", "production", "--digest", DIGEST)


@pytest.fixture
def logs(gate_log: GateLog, tmp_path: Path) -> dict[str, GateLog]:
    """The main log, and those of two environments."""
    made = {"": gate_log}
    for name in ("production", "staging"):
        (tmp_path / name).mkdir()
        made[name] = GateLog(tmp_path / name, f"{MAIN}/{name}")
    return made


def _answer_from(gate: GateServer, log: GateLog) -> None:
    def answer(call: Call) -> Reply:
        decision = make_decision("allow")
        if call.method == "POST" and call.path.endswith("/approvals"):
            return json_reply(log.approval_answer(decision, call.body), status=201)
        return json_reply(log.promotion_answer(decision), status=201 if call.method == "POST" else 200)

    gate.answer = answer


def _keys(*logs: GateLog) -> dict[str, str | None]:
    return {"LOCKGATE_LOG_KEY": " ".join(log.vkey for log in logs)}


@pytest.mark.parametrize("name", ["", "production"])
def test_the_targets_log_and_the_main_one_are_believed(
    run: Run, gate: GateServer, logs: dict[str, GateLog], name: str
) -> None:
    """A promotion's records are in one of these two, whichever it was when it was requested."""
    _answer_from(gate, logs[name])
    assert run(*REQUEST, environment=_keys(*logs.values())).code == 0
    assert run("status", PROMOTION_ID, environment=_keys(*logs.values())).code == 0


@pytest.mark.parametrize("command", [REQUEST, ("status", PROMOTION_ID)])
def test_another_environments_log_is_not_believed(
    run: Run, gate: GateServer, logs: dict[str, GateLog], command: tuple[str, ...]
) -> None:
    """Whoever got hold of staging's key lets nothing into production, although the client knows that key too."""
    _answer_from(gate, logs["staging"])
    ended = run(*command, environment=_keys(*logs.values()))

    assert ended.code == UNTRUSTED
    assert "want a record of the log of production or the main one" in ended.err


@pytest.mark.parametrize("known", [("staging",), ("staging", "production"), ("production", "staging")])
@pytest.mark.parametrize("command", [REQUEST, ("status", PROMOTION_ID)])
def test_it_is_not_believed_where_the_main_key_is_unknown_either(
    run: Run, gate: GateServer, logs: dict[str, GateLog], command: tuple[str, ...], known: tuple[str, ...]
) -> None:
    """A client of the environments alone, or of staging alone, is told as little about production by staging's log."""
    _answer_from(gate, logs["staging"])
    ended = run(*command, environment=_keys(*(logs[name] for name in known)))

    assert ended.code == UNTRUSTED
    assert "want a record of the log of production or the main one" in ended.err


def test_a_log_whose_key_is_not_known_is_not_believed(run: Run, gate: GateServer, logs: dict[str, GateLog]) -> None:
    """The main log's key does not stand for those of the environments."""
    _answer_from(gate, logs["production"])
    assert run(*REQUEST, environment=_keys(logs[""])).code == UNTRUSTED
    assert run(*REQUEST, environment=_keys(logs["production"])).code == 0


def test_a_log_that_merely_ends_alike_is_another(run: Run, gate: GateServer, tmp_path: Path, gate_log: GateLog) -> None:
    """A log named by two words is a main one, whatever the second word is."""
    log = GateLog(tmp_path, "else.test/staging")
    _answer_from(gate, log)
    assert run(*REQUEST, environment=_keys(gate_log, log)).code == 0


def test_an_approval_is_held_to_its_target_too(run: Run, gate: GateServer, logs: dict[str, GateLog]) -> None:
    """The approval's own receipt, and that of the decision it led to."""
    shown: dict[str, Any] = logs[""].promotion_answer(make_decision("pending"))

    def answer(call: Call) -> Reply:
        if call.method == "GET":
            return json_reply(shown)
        return json_reply(logs["staging"].approval_answer(make_decision("allow"), call.body), status=201)

    gate.answer = answer
    ended = run("approve", PROMOTION_ID, "--role", "risk", "--yes", environment=_keys(*logs.values()))

    assert ended.code == UNTRUSTED
    assert "one of lockgate.test/gate/staging" in ended.err
