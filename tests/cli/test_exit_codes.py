"""The exit code alone tells allow from deny from broken, for every verb."""

from collections.abc import Callable
from typing import Any, Final

import pytest

from support.commands import Run
from support.decisions import DIGEST, DRY_RUN_PROMOTION_ID, PROMOTION_ID, from_now, make_decision
from support.gate_log import GateLog
from support.gate_server import Answer, Call, GateServer, Reply, json_reply, problem_reply

_REQUEST: Final = ("fraud-detector", "1.4.0", "--from", "staging", "--to", "production", "--digest", DIGEST)
_COMMANDS: Final = {
    "request": ("request", *_REQUEST),
    "check": ("check", *_REQUEST),
    "status": ("status", PROMOTION_ID),
    "approve": ("approve", PROMOTION_ID, "--role", "risk", "--yes"),
    "reject": ("approve", PROMOTION_ID, "--role", "risk", "--yes", "--reject"),
}
_ALLOW, _DENY, _USAGE, _UNDECIDED, _PENDING, _UNTRUSTED = range(6)

_DECISIONS: Final[dict[str, tuple[Callable[[], dict[str, Any]], int]]] = {
    "allow": (lambda: make_decision("allow"), _ALLOW),
    "deny": (lambda: make_decision("deny"), _DENY),
    "deny for want of a signature": (lambda: make_decision("deny", signature_failed=True), _UNTRUSTED),
    "pending": (lambda: make_decision("pending"), _PENDING),
    "allow that ended": (lambda: make_decision("allow", expires_at=from_now(0)), _UNDECIDED),
    "pending that ended": (lambda: make_decision("pending", expires_at=from_now(0)), _UNDECIDED),
    "deny whose time ended": (lambda: make_decision("deny", expires_at=from_now(0)), _DENY),
    "allow with a violation": (lambda: make_decision("deny") | {"verdict": "allow"}, _UNDECIDED),
    "allow with an approval missing": (
        lambda: make_decision("allow", missing_approvals=[{"role": "risk", "need": 1, "have": 0}]),
        _UNDECIDED,
    ),
    "allow without rules": (lambda: make_decision("allow", rules=[]), _UNDECIDED),
    "allow with a failed rule": (
        lambda: make_decision("allow", rules=make_decision("deny")["rules"]),
        _UNDECIDED,
    ),
    "deny with a violation of a rule that passed": (
        lambda: make_decision("deny", violations=make_decision("pending")["violations"]),
        _UNDECIDED,
    ),
    "deny with a failed rule and no violation": (lambda: make_decision("deny", violations=[]), _UNDECIDED),
    "deny without a violation": (lambda: make_decision("allow") | {"verdict": "deny"}, _UNDECIDED),
}

_REPLIES: Final[dict[str, tuple[Reply, int]]] = {
    "400": (problem_reply(400), _USAGE),
    "413": (problem_reply(413), _USAGE),
    "415": (problem_reply(415), _USAGE),
    "422": (problem_reply(422), _USAGE),
    "401": (problem_reply(401), _UNDECIDED),
    "403": (problem_reply(403), _UNDECIDED),
    "404": (problem_reply(404), _UNDECIDED),
    "409": (problem_reply(409), _UNDECIDED),
    "429": (problem_reply(429), _UNDECIDED),
    "500": (problem_reply(500), _UNDECIDED),
    "503": (problem_reply(503), _UNDECIDED),
    "400 that is no problem document": (Reply(status=400, body=b"no", content_type="text/plain"), _UNDECIDED),
    "400 whose document says 422": (
        json_reply({}, status=400, content_type="application/problem+json"),
        _UNDECIDED,
    ),
    "HTML": (Reply(body=b"<html>allow</html>", content_type="text/html"), _UNDECIDED),
    "no content": (Reply(status=204), _UNDECIDED),
    "empty JSON": (json_reply({}), _UNDECIDED),
    "not JSON": (Reply(body=b"allow"), _UNDECIDED),
    "duplicate keys": (Reply(body=b'{"decision":1,"decision":2}'), _UNDECIDED),
    "redirect": (Reply(status=302, headers=(("Location", "https://other.example/"),)), _UNDECIDED),
    "huge": (Reply(body=b" " * (2 * 1024 * 1024) + b"{}"), _UNDECIDED),
    "compressed": (Reply(body=b"{}", headers=(("Content-Encoding", "gzip"),)), _UNDECIDED),
}


def _decide(gate_log: GateLog, decision: dict[str, Any]) -> Answer:
    """Answer each verb with this decision; an approval meets a pending promotion first."""

    def answer(call: Call) -> Reply:
        if call.path == "/v1/decisions:dry-run":
            return json_reply({"decision": decision | {"dry_run": True, "promotion_id": DRY_RUN_PROMOTION_ID}})
        if call.path.endswith("/approvals"):
            return json_reply(gate_log.approval_answer(decision, call.body), status=201)
        if call.path == "/v1/promotions":
            return json_reply(gate_log.promotion_answer(decision), status=201)
        return json_reply(gate_log.promotion_answer(decision))

    return answer


def _approvable(gate_log: GateLog, answer: Answer) -> Answer:
    """Show a pending promotion to an approver, and give `answer` to everything else."""

    def answer_(call: Call) -> Reply:
        if call.method == "GET":
            return json_reply(gate_log.promotion_answer(make_decision("pending")))
        return answer(call)

    return answer_


@pytest.mark.parametrize("verb", _COMMANDS)
@pytest.mark.parametrize("name", _DECISIONS)
def test_exit_code_of_a_decision(verb: str, name: str, run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """Each decision ends each verb with the same code; without a decision standard output stays empty."""
    make, code = _DECISIONS[name]
    answer = _decide(gate_log, make())
    gate.answer = _approvable(gate_log, answer) if verb in {"approve", "reject"} else answer

    ended = run(*_COMMANDS[verb])

    assert ended.code == code, ended.err
    assert bool(ended.out) == (code != _UNDECIDED)


@pytest.mark.parametrize("verb", [*_COMMANDS, "withdraw"])
@pytest.mark.parametrize("name", _REPLIES)
def test_exit_code_without_a_decision(verb: str, name: str, run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """Whatever else answers ends the verb with 2 if the request is at fault, else 3, and nothing on standard output."""
    reply, code = _REPLIES[name]
    gate.answer = _approvable(gate_log, lambda _call: reply) if verb in {"approve", "reject"} else lambda _call: reply

    ended = run(*_COMMANDS.get(verb, ("withdraw", PROMOTION_ID)))

    assert ended.code == code, ended.err
    assert ended.out == ""
    assert ended.err


@pytest.mark.parametrize("verb", [*_COMMANDS, "withdraw"])
def test_exit_code_when_nobody_listens(verb: str, run: Run, gate: GateServer) -> None:
    """A refused connection is no decision."""
    ended = run(*_COMMANDS.get(verb, ("withdraw", PROMOTION_ID)), "--url", "http://127.0.0.1:1")

    assert ended.code == _UNDECIDED
    assert "http://127.0.0.1:1 gave no answer" in ended.err
    assert "[client.unreachable]" in ended.err
    assert gate.calls == []


def test_withdrawn(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """A withdrawal that was done ends with 0 and says so on one line."""
    gate.answer = lambda _call: json_reply(gate_log.withdrawal_answer(make_decision("pending"), "wrong version"))

    ended = run("withdraw", PROMOTION_ID, "--reason", "wrong version")

    assert (ended.code, ended.out) == (_ALLOW, f"WITHDRAWN {PROMOTION_ID}\n")
    assert gate.calls[0].body == {"schema_version": 1, "reason": "wrong version"}


def test_not_withdrawn(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """An answer that still says pending is no withdrawal."""
    gate.answer = lambda _call: json_reply(gate_log.withdrawal_answer(make_decision("pending"), state="pending"))

    assert run("withdraw", PROMOTION_ID).code == _UNDECIDED


@pytest.mark.parametrize("state", ["withdrawn", "expired"])
def test_status_of_a_closed_promotion(state: str, run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """A promotion that was withdrawn or ran out has no decision that stands."""
    gate.answer = lambda _call: json_reply(gate_log.promotion_answer(make_decision("pending"), state=state))

    ended = run("status", PROMOTION_ID)

    assert (ended.code, ended.out) == (_UNDECIDED, "")
    assert "client.promotion_closed" in ended.err


def test_allow_of_a_promotion_that_is_not_allowed(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """An allow beside a promotion that is not allowed is refused."""
    gate.answer = lambda _call: json_reply(gate_log.promotion_answer(make_decision("allow"), state="rejected"))

    ended = run("status", PROMOTION_ID)

    assert (ended.code, ended.out) == (_UNDECIDED, "")
    assert "client.answer_invalid" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("promote",),
        ("request", "fraud-detector"),
        ("request", *_REQUEST, "--output", "yaml"),
        ("request", *_REQUEST[:-2]),
        ("request", *_REQUEST, "--artifact", __file__),
        ("request", *_REQUEST[:-1], "sha256:abc"),
        ("request", *_REQUEST, "--contributor", "alice"),
        ("request", *_REQUEST, "--contributor", "reviewer:alice"),
        ("request", *_REQUEST, "--bundle", "absent.json"),
        ("request", *_REQUEST, "--trust-domain", "x", "--bundle", __file__, "--to", "Production"),
        ("request", *_REQUEST, "--timeout", "0"),
        ("status", "42"),
        ("status", PROMOTION_ID.upper()),
        ("status", "../audit/key"),
        ("status", PROMOTION_ID, "--wait", "1e9"),
        ("approve", PROMOTION_ID),
        ("approve", PROMOTION_ID, "--role", "risk"),
        ("status", PROMOTION_ID, "--url", "ftp://127.0.0.1"),
        ("status", PROMOTION_ID, "--url", "http://gate.example"),
        ("status", PROMOTION_ID, "--url", "https://user:secret@gate.example"),
        ("status", PROMOTION_ID, "--url", "https://gate.example:port"),
        ("status", PROMOTION_ID, "--token", "lgt_" + "s" * 43),
        ("status", PROMOTION_ID, "--log-key", "nonsense"),
    ],
)
def test_usage(arguments: tuple[str, ...], run: Run, gate: GateServer) -> None:
    """A wrong command line ends with 2 before any call, says why on standard error, and echoes no secret."""
    ended = run(*arguments)

    assert (ended.code, ended.out) == (_USAGE, "")
    assert ended.err
    assert "secret" not in ended.err
    assert "ssss" not in ended.err
    assert gate.calls == []


@pytest.mark.parametrize("verb", ["request", "status", "approve", "reject"])
def test_no_log_key(verb: str, run: Run, gate: GateServer) -> None:
    """Without the log's key nothing is asked, and the message names the command that prints it."""
    ended = run(*_COMMANDS[verb], environment={"LOCKGATE_LOG_KEY": None})

    assert (ended.code, ended.out) == (_USAGE, "")
    assert "lockgate audit key" in ended.err
    assert gate.calls == []


@pytest.mark.parametrize(
    "environment", [{"LOCKGATE_TOKEN": None}, {"LOCKGATE_TOKEN": "hunter2"}, {"LOCKGATE_URL": None}]
)
def test_missing_settings(environment: dict[str, str | None], run: Run, gate: GateServer) -> None:
    """A missing address, or a missing or malformed token, is a usage error that does not repeat the token."""
    ended = run("status", PROMOTION_ID, environment=environment)

    assert (ended.code, ended.out) == (_USAGE, "")
    assert "hunter2" not in ended.err
    assert gate.calls == []


def test_help(run: Run) -> None:
    """Help ends with 0 and explains the exit codes."""
    ended = run("--help")

    assert ended.code == _ALLOW
    assert "4  pending" in ended.out


@pytest.mark.parametrize("verb", ["request", "check", "approve", "status", "withdraw"])
def test_help_of_a_verb(verb: str, run: Run) -> None:
    """Each verb's help has an example."""
    ended = run(verb, "--help")

    assert ended.code == _ALLOW
    assert "Example:" in ended.out
    assert f"lockgate {verb} " in ended.out.split("Example:")[1]
