"""One exchange with the gate: what is sent, and what is never waited for or followed."""

import base64
import hashlib
import time
import uuid
from pathlib import Path
from typing import Final

import pytest

from support.commands import TOKEN, Run
from support.decisions import DIGEST, PROMOTION_ID, make_decision
from support.gate_log import GateLog
from support.gate_server import Call, GateServer, Reply, json_reply, problem_reply, serve_gate

_REQUEST: Final = ("request", "fraud-detector", "1.4.0", "--from", "staging", "--to", "production")


def test_request_document(run: Run, gate: GateServer, gate_log: GateLog, tmp_path: Path) -> None:
    """The options become the request document; bundles go as the base64 of their exact bytes."""
    (tmp_path / "one.json").write_bytes(b'{"a": 1}\n')
    (tmp_path / "two.json").write_bytes(b"\xff")
    gate.answer = lambda _call: json_reply(gate_log.promotion_answer(make_decision("allow")), status=201)

    ended = run(
        *_REQUEST,
        *("--digest", DIGEST, "--bundle", "one.json", "--bundle", "two.json", "--trust-domain", "public-good"),
        *("--contributor", "author:alice", "--contributor", "trainer:bob:x", "--reason", "weekly release"),
        *("--idempotency-key", "release-42"),
    )

    (call,) = gate.calls
    assert ended.code == 0
    assert (call.method, call.path) == ("POST", "/v1/promotions")
    assert call.headers["Authorization"] == f"Bearer {TOKEN}"
    assert call.headers["Idempotency-Key"] == "release-42"
    assert call.headers["Content-Type"] == "application/json"
    assert call.body == {
        "schema_version": 1,
        "kind": "promote",
        "model": "fraud-detector",
        "version": "1.4.0",
        "digest": DIGEST,
        "from": "staging",
        "to": "production",
        "contributors": [{"subject": "alice", "role": "author"}, {"subject": "bob:x", "role": "trainer"}],
        "evidence": [
            {"trust_domain": "public-good", "bundle": base64.b64encode(b'{"a": 1}\n').decode()},
            {"trust_domain": "public-good", "bundle": base64.b64encode(b"\xff").decode()},
        ],
        "reason": "weekly release",
    }


def test_rollback_of_a_file(run: Run, gate: GateServer, tmp_path: Path) -> None:
    """A file is hashed here with SHA-256, and a rollback is asked for as such."""
    (tmp_path / "model.bin").write_bytes(b"weights")

    run(*_REQUEST, "--rollback", "--artifact", "model.bin")

    assert gate.calls[0].body["digest"] == "sha256:" + hashlib.sha256(b"weights").hexdigest()
    assert gate.calls[0].body["kind"] == "rollback"


def test_check_sends_the_same_document(run: Run, gate: GateServer) -> None:
    """A dry run sends what the request would send, elsewhere and without an idempotency key."""
    run(*_REQUEST, "--digest", DIGEST)
    run("check", *_REQUEST[1:], "--digest", DIGEST)

    request, check = gate.calls
    assert check.path == "/v1/decisions:dry-run"
    assert check.body == request.body
    assert "Idempotency-Key" not in check.headers


def test_bundle_too_large(run: Run, gate: GateServer, tmp_path: Path) -> None:
    """A bundle that the gate cannot take is refused before anything is sent."""
    (tmp_path / "bundle.json").write_bytes(b" " * 1_050_001)

    ended = run(*_REQUEST, "--digest", DIGEST, "--bundle", "bundle.json")

    assert ended.code == 2
    assert gate.calls == []


def test_lost_answer_names_the_idempotency_key(run: Run, gate: GateServer) -> None:
    """When the answer is lost, the fresh key that was sent is printed for another try."""
    gate.answer = lambda _call: problem_reply(503)

    ended = run(*_REQUEST, "--digest", DIGEST)

    key = gate.calls[0].headers["Idempotency-Key"]
    assert str(uuid.UUID(key)) == key
    assert f"--idempotency-key {key}" in ended.err


def test_refused_request_names_no_key(run: Run, gate: GateServer) -> None:
    """When the request itself is at fault, sending it again is not proposed."""
    gate.answer = lambda _call: problem_reply(422, pointer="/digest")

    ended = run(*_REQUEST, "--digest", DIGEST)

    assert "--idempotency-key" not in ended.err
    assert "at /digest" in ended.err


def test_redirect_is_not_followed(run: Run, gate: GateServer) -> None:
    """The token goes to --url and nowhere else."""
    with serve_gate(lambda _call: Reply(status=500)) as elsewhere:
        gate.answer = lambda call: Reply(status=307, headers=(("Location", elsewhere.url + call.path),))

        ended = run("status", PROMOTION_ID)

        assert ended.code == 3
        assert elsewhere.calls == []


def test_proxy_settings_are_not_followed(run: Run, gate: GateServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment never sees the token."""
    with serve_gate(lambda _call: Reply(status=500)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)

        run("status", PROMOTION_ID)

        assert len(gate.calls) == 1
        assert proxy.calls == []


def test_netrc_does_not_replace_the_token(
    run: Run, gate: GateServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Credentials in .netrc do not take the bearer token's place."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    run("status", PROMOTION_ID)

    assert gate.calls[0].headers["Authorization"] == f"Bearer {TOKEN}"


def test_trickling_answer_is_cut_off(run: Run, gate: GateServer) -> None:
    """A peer that sends a byte now and then cannot hold the command past its time-out."""
    gate.answer = lambda _call: Reply(body=b" " * 100, byte_s=0.1)
    began = time.monotonic()

    ended = run("status", PROMOTION_ID, "--timeout", "0.5")

    assert ended.code == 3
    assert "no whole answer within 0.5 s" in ended.err
    assert time.monotonic() - began < 5


def test_silent_peer_is_cut_off(run: Run, gate: GateServer) -> None:
    """A peer that says nothing cannot hold the command past its time-out."""

    def answer(_call: Call) -> Reply:
        time.sleep(2)
        return Reply(status=500)

    gate.answer = answer
    began = time.monotonic()

    ended = run("status", PROMOTION_ID, "--timeout", "0.3")

    assert ended.code == 3
    assert time.monotonic() - began < 1.5


def test_answer_cut_short(run: Run, gate: GateServer) -> None:
    """An answer that ends before its announced length is no answer."""
    gate.answer = lambda _call: Reply(body=b"{}", announced=9999)

    ended = run("status", PROMOTION_ID)

    assert ended.code == 3
    assert "[client.unreachable]" in ended.err


def test_token_file(run: Run, gate: GateServer, tmp_path: Path) -> None:
    """A token is read from a file, without its line feed."""
    (tmp_path / "token").write_text("lgt_" + "f" * 43 + "\n")

    run("status", PROMOTION_ID, environment={"LOCKGATE_TOKEN": None, "LOCKGATE_TOKEN_FILE": str(tmp_path / "token")})

    assert gate.calls[0].headers["Authorization"] == "Bearer lgt_" + "f" * 43


def test_problem_is_shown_harmlessly(run: Run, gate: GateServer) -> None:
    """What a server says of itself reaches the terminal without escapes."""
    gate.answer = lambda _call: problem_reply(503, detail="\x1b[2Jdown")

    ended = run("status", PROMOTION_ID)

    assert "\x1b" not in ended.err
    assert r"\u{1b}[2Jdown" in ended.err
    assert "test.problem" in ended.err


def test_status_waits_for_approvals(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """Waiting looks again until the decision is no longer pending, also past a gate that restarts."""
    replies = iter(
        [
            json_reply(gate_log.promotion_answer(make_decision("pending"))),
            problem_reply(503),
            json_reply(gate_log.promotion_answer(make_decision("allow"))),
        ]
    )
    gate.answer = lambda _call: next(replies)

    ended = run("status", PROMOTION_ID, "--wait", "30")

    assert ended.code == 0
    assert len(gate.calls) == 3


def test_status_waits_no_longer_than_told(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """Waiting ends at its bound with what is known then."""
    gate.answer = lambda _call: json_reply(gate_log.promotion_answer(make_decision("pending")))
    began = time.monotonic()

    ended = run("status", PROMOTION_ID, "--wait", "0.5")

    assert ended.code == 4
    assert time.monotonic() - began < 5


def test_status_does_not_wait_for_a_refusal(run: Run, gate: GateServer) -> None:
    """What a gate says on purpose ends the wait."""
    gate.answer = lambda _call: problem_reply(404)

    ended = run("status", PROMOTION_ID, "--wait", "30")

    assert ended.code == 3
    assert len(gate.calls) == 1


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [("text/html", ()), ("application/json", (("Content-Encoding", "gzip"),))],
)
def test_true_answer_in_the_wrong_wrapping(
    content_type: str, headers: tuple[tuple[str, str], ...], run: Run, gate: GateServer, gate_log: GateLog
) -> None:
    """An answer that is not sent as JSON, or says that it is compressed, is not read."""
    body = json_reply(gate_log.promotion_answer(make_decision("allow"))).body
    gate.answer = lambda _call: Reply(body=body, content_type=content_type, headers=headers)

    ended = run("status", PROMOTION_ID)

    assert (ended.code, ended.out) == (3, "")


def test_answer_against_its_schema(run: Run, gate: GateServer) -> None:
    """An answer that breaks its schema is refused as such, and not met as a defect."""
    gate.answer = lambda _call: json_reply({})

    assert "[client.answer_invalid]" in run("status", PROMOTION_ID).err


def test_expired_promotion_is_not_approved(run: Run, gate: GateServer, gate_log: GateLog) -> None:
    """A promotion that has run out is not approved; nothing is sent."""
    expired = make_decision("pending", expires_at="2026-01-01T00:00:00.000000Z")
    gate.answer = lambda _call: json_reply(gate_log.promotion_answer(expired))

    ended = run("approve", PROMOTION_ID, "--role", "risk", "--yes")

    assert "[client.decision_expired]" in ended.err
    assert [call.method for call in gate.calls] == ["GET"]
