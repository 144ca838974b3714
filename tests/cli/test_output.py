"""Standard output holds the decision in the form asked for, and nothing else."""

import os
import pty
import select
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from lockgate.canonical_json import canonicalize
from lockgate.errors import LockgateError
from lockgate.rendering import Output, RecordPlace, render
from support.commands import TOKEN, Ended, Run
from support.decisions import DIGEST, PROMOTION_ID, make_decision, make_dry_run
from support.gate_log import GateLog
from support.gate_server import Call, GateServer, Reply, json_reply, problem_reply

_STATUS: Final = ("status", PROMOTION_ID)
_APPROVE: Final = ("approve", PROMOTION_ID, "--role", "risk")
_REQUEST: Final = (
    *("request", "fraud-detector", "1.4.0", "--from", "staging", "--to", "production"),
    *("--digest", DIGEST),
)
_NEEDS_FULL: Final = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
_COMMAND: Final = (sys.executable, "-m", "lockgate")
_PROCESS_TIMEOUT_S: Final = 30.0


def _environment(gate: GateServer, gate_log: GateLog, **changes: str) -> Mapping[str, str]:
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}  # noqa: TID251 - a child's
    return {
        **inherited,
        "TERM": "xterm-256color",
        "LOCKGATE_URL": gate.url,
        "LOCKGATE_TOKEN": TOKEN,
        "LOCKGATE_LOG_KEY": gate_log.vkey,
        **changes,
    }


def _on_a_terminal(arguments: tuple[str, ...], environment: Mapping[str, str], *, typed: bytes = b"") -> Ended:
    """Run a command whose three streams are one terminal; type once it asks."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen((*_COMMAND, *arguments), stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    deadline = time.monotonic() + _PROCESS_TIMEOUT_S
    try:
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(ours, 4096)
            except OSError:  # Linux ends a terminal whose other side is gone with EIO
                break
            seen += data
            if typed and b"[y/N]" in seen:
                os.write(ours, typed)
                typed = b""
        code = process.wait(timeout=_PROCESS_TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return Ended(code=code, out=seen.decode(), err="")


@pytest.fixture
def allowed(gate: GateServer, gate_log: GateLog) -> GateServer:
    """A gate whose one promotion is allowed."""
    gate.answer = lambda _call: json_reply(gate_log.promotion_answer(make_decision("allow")))
    return gate


@pytest.fixture
def approvable(gate: GateServer, gate_log: GateLog) -> GateServer:
    """A gate whose one promotion lacks one approval."""

    def answer(call: Call) -> Reply:
        if call.method == "GET":
            return json_reply(gate_log.promotion_answer(make_decision("pending")))
        return json_reply(gate_log.approval_answer(make_decision("allow"), call.body), status=201)

    gate.answer = answer
    return gate


@pytest.mark.parametrize("output", list(Output))
@pytest.mark.parametrize("verdict", ["allow", "deny", "pending"])
def test_decision_in_each_form(output: Output, verdict: str, run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """What is printed is the decision of the answer, rendered, and nothing else."""
    document = gate_log.promotion_answer(make_decision(verdict))
    gate.answer = lambda _call: json_reply(document)

    ended = run(*_STATUS, "--output", output.value)

    place = RecordPlace(log="lockgate.test/gate", seq=document["receipt"]["seq"])
    assert ended.out == render(output, document["decision"], place)
    assert ended.err == ""


@pytest.mark.parametrize("output", list(Output))
def test_dry_run_in_each_form(output: Output, run: Run, gate: GateServer) -> None:
    """A dry run says that it is one: in the first line of text, else on standard error."""
    decision = make_dry_run("pending")
    gate.answer = lambda _call: json_reply({"decision": decision})

    ended = run(
        *("check", "fraud-detector", "1.4.0", "--from", "staging", "--to", "production", "--digest", DIGEST),
        *("-o", output.value),
        environment={"LOCKGATE_LOG_KEY": None},
    )

    assert ended.code == 4
    assert ended.out == render(output, decision)
    assert "DRY RUN" in (ended.out.splitlines()[0] if output is Output.TEXT else ended.err)


def test_json_is_the_recorded_body(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """The JSON printed is, byte for byte, the body of the audit record."""
    document = gate_log.promotion_answer(make_decision("allow"))
    gate.answer = lambda _call: json_reply(document)

    ended = run(*_STATUS, "-o", "json")

    assert ended.out.encode() == canonicalize(document["decision"]) + b"\n"
    assert ended.out.strip() in document["receipt"]["record"]


def test_approval_sheet(run: Run, approvable: GateServer) -> None:
    """An approver is shown, on standard error, every field that the approval is bound to; these are what is sent."""
    ended = run(*_APPROVE, "--yes", "--comment", "backtest reviewed")

    sent = approvable.calls[1].body
    assert ended.code == 0
    assert ended.err.startswith("You are about to APPROVE as risk:\n")
    for name in ("digest", "kind", "from", "to", "evidence_digest", "policy_revision"):
        assert sent[name] in ended.err
    assert (sent["verdict"], sent["role"], sent["comment"]) == ("approve", "risk", "backtest reviewed")
    assert "claimed reason   weekly release\n" in ended.err
    assert "claimed author   bob@example.org\n" in ended.err
    assert "violation        LG-020 approval.missing Every role" in ended.err
    assert "role = risk, need = 1, duty = true\n" in ended.err


def _policy_changed(gate_log: GateLog, call: Call) -> Reply:
    if call.method == "GET":
        changed = gate_log.promotion_answer(make_decision("pending"), policy_revision="sha256:" + "00" * 32)
        return json_reply(changed)
    return json_reply(gate_log.approval_answer(make_decision("allow"), call.body), status=201)


def test_changed_policy_is_not_approved_unseen(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """With --yes nothing is approved under a policy that is not the one that decided."""
    gate.answer = lambda call: _policy_changed(gate_log, call)

    ended = run(*_APPROVE, "--yes")

    assert (ended.code, ended.out) == (3, "")
    assert "[client.policy_changed]" in ended.err
    assert [call.method for call in gate.calls] == ["GET"]


def test_changed_policy_is_shown(gate: GateServer, gate_log: GateLog) -> None:
    """An approver who is asked sees that the policy changed, and approves under the one in force."""
    gate.answer = lambda call: _policy_changed(gate_log, call)

    ended = _on_a_terminal(_APPROVE, _environment(gate, gate_log), typed=b"y\n")

    assert ended.code == 0
    assert "POLICY CHANGED" in ended.out
    assert gate.calls[1].body["policy_revision"] == "sha256:" + "00" * 32


def test_no_sheet_for_a_closed_promotion(run: Run, allowed: GateServer) -> None:
    """What is decided cannot be approved; nothing is sent."""
    ended = run(*_APPROVE, "--yes")

    assert (ended.code, ended.out) == (3, "")
    assert "[client.promotion_closed]" in ended.err
    assert [call.method for call in allowed.calls] == ["GET"]


@pytest.mark.parametrize(("typed", "code", "calls"), [(b"y\n", 0, 2), (b"n\n", 3, 1), (b"\x04", 3, 1)])
def test_approval_on_a_terminal(typed: bytes, code: int, calls: int, approvable: GateServer, gate_log: GateLog) -> None:
    """On a terminal the approver is asked; only a yes sends the approval."""
    ended = _on_a_terminal(_APPROVE, _environment(approvable, gate_log), typed=typed)

    assert ended.code == code
    assert "Approve exactly this? [y/N]" in ended.out
    assert len(approvable.calls) == calls
    assert ("[client.not_sent]" in ended.out) == (typed == b"n\n")


def test_verdict_is_coloured_on_a_terminal(allowed: GateServer, gate_log: GateLog) -> None:
    """On a terminal the verdict line, and nothing else, is coloured."""
    lines = _on_a_terminal(_STATUS, _environment(allowed, gate_log)).out.splitlines()

    assert lines[0].startswith("\x1b[1;32mALLOW")
    assert not any("\x1b" in line for line in lines[1:])


def test_no_color(allowed: GateServer, gate_log: GateLog) -> None:
    """NO_COLOR is respected on a terminal: no colour is set."""
    ended = _on_a_terminal(_STATUS, _environment(allowed, gate_log, NO_COLOR="1"))

    assert "ALLOW promote" in ended.out
    assert "\x1b[1;32m" not in ended.out
    assert "\x1b[32m" not in ended.out


def test_machine_forms_are_never_coloured(allowed: GateServer, gate_log: GateLog) -> None:
    """JSON on a terminal is JSON."""
    assert "\x1b" not in _on_a_terminal((*_STATUS, "-o", "json"), _environment(allowed, gate_log)).out


def test_reader_gone(allowed: GateServer, gate_log: GateLog) -> None:
    """When the reader of a pipe has gone, the command is quiet and its exit code still tells the verdict."""
    ours, theirs = os.pipe()
    os.close(ours)

    ended = subprocess.run(
        (*_COMMAND, *_STATUS),
        stdout=theirs,
        stderr=subprocess.PIPE,
        env=_environment(allowed, gate_log),
        timeout=_PROCESS_TIMEOUT_S,
        check=False,
    )
    os.close(theirs)

    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("arguments", [("--help",), ("demo",)])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_reader_of_a_text_gone(
    arguments: tuple[str, ...], unbuffered: str, gate: GateServer, gate_log: GateLog
) -> None:
    """When nobody reads what is no decision, the command ends quietly and not with 1, which means deny."""
    script = '(sleep 0.2; "$@"; echo $? >&2) | :'
    ended = subprocess.run(
        ("sh", "-c", script, "sh", *_COMMAND, *arguments),
        stderr=subprocess.PIPE,
        env=_environment(gate, gate_log, PYTHONUNBUFFERED=unbuffered),
        timeout=_PROCESS_TIMEOUT_S,
        check=False,
    )

    assert ended.stderr == b"3\n"


def _redirected(redirection: str, arguments: tuple[str, ...], environment: Mapping[str, str]) -> Ended:
    """Run a command as a shell would with a redirection of its standard output."""
    ended = subprocess.run(
        ("sh", "-c", f'exec "$@" {redirection}', "sh", *_COMMAND, *arguments),
        stderr=subprocess.PIPE,
        env=environment,
        timeout=_PROCESS_TIMEOUT_S,
        check=False,
    )
    return Ended(code=ended.returncode, out="", err=ended.stderr.decode())


@_NEEDS_FULL
@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_disk_full(output: str, unbuffered: str, allowed: GateServer, gate_log: GateLog) -> None:
    """When the decision cannot be written, the command says so in one line, and does not end as if it had been."""
    environment = _environment(allowed, gate_log, PYTHONUNBUFFERED=unbuffered)

    ended = _redirected(">/dev/full", (*_STATUS, "-o", output), environment)

    assert ended.code == 3
    assert ended.err == "lockgate: cannot write to standard output: No space left on device [client.output]\n"


@_NEEDS_FULL
@pytest.mark.parametrize("arguments", [("--help",), ("request", "--help"), ("--version",), ("demo",)])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_text_that_cannot_be_written(
    arguments: tuple[str, ...], unbuffered: str, gate: GateServer, gate_log: GateLog
) -> None:
    """What is no decision and cannot be written is one line and exit code 3 as well."""
    ended = _redirected(">/dev/full", arguments, _environment(gate, gate_log, PYTHONUNBUFFERED=unbuffered))

    assert (ended.code, ended.err) == (3, "lockgate: [Errno 28] No space left on device\n")


def test_closed_standard_output(gate: GateServer, gate_log: GateLog) -> None:
    """A standard output that was closed before the start is one that cannot be written."""
    gate.answer = lambda _call: json_reply({"decision": make_dry_run("allow")})

    ended = _redirected(">&-", ("check", *_REQUEST[1:]), _environment(gate, gate_log))

    assert (ended.code, ended.err) == (3, "lockgate: cannot write to standard output: it is closed [client.output]\n")


@_NEEDS_FULL
def test_standard_error_full(gate: GateServer, gate_log: GateLog) -> None:
    """When not even the reason can be written, the exit code is still not Python's 1, which means deny."""
    assert _redirected("2>/dev/full", _STATUS, _environment(gate, gate_log)).code == 3


@_NEEDS_FULL
@pytest.mark.parametrize(("redirection", "more"), [(">/dev/full", ()), (">/dev/null", ("--receipt", "/dev/full"))])
def test_undelivered_answer_names_the_idempotency_key(
    redirection: str, more: tuple[str, ...], gate: GateServer, gate_log: GateLog
) -> None:
    """A request was recorded and its answer cannot be delivered: the key that gets it again is printed."""
    gate.answer = lambda _call: json_reply(gate_log.promotion_answer(make_decision("allow")), status=201)

    ended = _redirected(redirection, (*_REQUEST, *more), _environment(gate, gate_log))

    assert ended.code == 3
    assert f"--idempotency-key {gate.calls[0].headers['Idempotency-Key']}\n" in ended.err
    assert "[client.output]" in ended.err


@pytest.mark.parametrize("arguments", [_REQUEST, (*_STATUS, "--wait", "60")])
def test_terminated(arguments: tuple[str, ...], gate: GateServer, gate_log: GateLog) -> None:
    """SIGTERM ends a client command as Ctrl-C does: with 3, and with the idempotency key of what was sent."""
    answered = threading.Event()
    gate.answer = lambda _call: Reply(status=500 + answered.wait(_PROCESS_TIMEOUT_S))
    process = subprocess.Popen(
        (*_COMMAND, *arguments), stderr=subprocess.PIPE, env=_environment(gate, gate_log), text=True
    )
    try:
        deadline = time.monotonic() + _PROCESS_TIMEOUT_S
        while not gate.calls and time.monotonic() < deadline:
            time.sleep(0.02)
        process.terminate()
        _, err = process.communicate(timeout=_PROCESS_TIMEOUT_S)
    finally:
        answered.set()
        process.kill()
        process.wait()

    assert process.returncode == 3
    assert err.endswith("lockgate: stopped\n")
    if arguments is _REQUEST:
        assert f"--idempotency-key {gate.calls[0].headers['Idempotency-Key']}\n" in err


def test_lines_of_a_tool(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a tool of this machine said keeps its lines, each without its controls."""

    def fail(_url: str) -> None:
        raise LockgateError("two rules fail:\nfirst \x1b[2J\nsecond")

    monkeypatch.setattr("lockgate.cli.databases.open_engine", fail)

    ended = run("db", "upgrade", "--data-dir", "data")

    assert ended.err == "lockgate: two rules fail:\nfirst \\u{1b}[2J\nsecond [internal]\n"


def test_lines_of_a_peer(run: Run, gate: GateServer) -> None:
    """What came over the network stays on one line."""
    gate.answer = lambda _call: problem_reply(503, detail="first\nlockgate: ALLOW")

    assert run(*_STATUS).err.count("\n") == 1


def test_plain_locale(gate: GateServer, gate_log: GateLog) -> None:
    """Output is UTF-8 whatever the locale."""
    decision = make_decision("deny")
    decision["violations"][0]["remediation"] = "Frag das Team für Modelle."
    gate.answer = lambda _call: json_reply(gate_log.promotion_answer(decision))

    ended = subprocess.run(
        (*_COMMAND, *_STATUS),
        capture_output=True,
        env=_environment(gate, gate_log, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
        timeout=_PROCESS_TIMEOUT_S,
        check=False,
    )

    assert ended.returncode == 1
    assert "für Modelle" in ended.stdout.decode()


def test_defect_is_not_a_deny(run: Run, gate: GateServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of ours ends with 3, not with Python's 1, which means deny."""

    def fail(_decision: object) -> None:
        raise AssertionError

    monkeypatch.setattr("lockgate.cli.promotions.check_consistent", fail, raising=False)
    monkeypatch.setattr("lockgate.cli.promotions.check_promotion_answer", fail)
    gate.answer = lambda _call: json_reply({})
    monkeypatch.setattr("lockgate.cli.gate_client.check_schema", fail)

    ended = run(*_STATUS)

    assert (ended.code, ended.out) == (3, "")
    assert "Traceback" in ended.err
