"""The login that is kept: read by whom it belongs to, used where it belongs, and by every command that asks."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from lockgate.cli.credentials import CREDENTIALS_BYTES_MAX, keep_credential, read_credential
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.errors import ConfigError
from lockgate.system_clock import SystemClock
from support.commands import TOKEN, Run
from support.gate_server import Call, GateServer, Reply, json_reply, problem_reply

JWT = "aaaaaaaa.bbbbbbbb.cccccccc"
URL = "https://gate.example.org"
NOW = SystemClock().now_ns()
LATER = EpochNs(NOW + 3600 * NS_PER_S)
ME = {
    "subject": "ann@example.org",
    "type": "user",
    "roles": ["approver:ml-lead"],
    "issuer": "people",
    "expires_at": "2026-11-23T17:30:00.000000Z",
}


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where logins are kept."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "lockgate" / "credentials.json"


def expires(url: str) -> EpochNs | None:
    """Return until when the login at a gate counts."""
    found = read_credential(url)
    return None if found is None else found.expires


def test_a_login_is_kept_for_its_gate_alone(file: Path) -> None:
    """By its URL, with or without a slash; in a folder and a file of one's own, with nothing beside it."""
    assert read_credential(URL) is None
    keep_credential(f"{URL}/", JWT, LATER, NOW)
    keep_credential("http://127.0.0.1:8080", JWT, LATER, NOW)

    found = read_credential(URL)
    assert found is not None
    assert (found.token, found.expires // NS_PER_S) == (JWT, LATER // NS_PER_S)
    assert JWT not in repr(found)
    assert read_credential("https://gate.example.org.evil.example") is None
    assert read_credential("http://gate.example.org") is None
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert list(file.parent.iterdir()) == [file]


def test_what_has_ended_is_dropped(file: Path) -> None:
    """When another login is kept; a second login at a gate takes the place of the first."""
    keep_credential("https://old.example", JWT, EpochNs(NOW - 1), NOW)
    keep_credential(URL, JWT, LATER, NOW)
    keep_credential(URL, JWT + "2", LATER, NOW)

    assert [gate["token"] for gate in orjson.loads(file.read_bytes())["gates"]] == [JWT + "2"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o666])
def test_a_file_that_others_can_read_is_refused(file: Path, mode: int) -> None:
    """Whoever could read it may have."""
    keep_credential(URL, JWT, LATER, NOW)
    file.chmod(mode)

    with pytest.raises(ConfigError, match="with mode 0600"):
        read_credential(URL)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"\xff", b"[" * 9999, b" " * (CREDENTIALS_BYTES_MAX + 1), b'{"gates":[]}']
)
def test_a_file_of_something_else_is_refused(file: Path, data: bytes) -> None:
    """With what to do, and without what it holds."""
    keep_credential(URL, JWT, LATER, NOW)
    file.write_bytes(data)

    with pytest.raises(ConfigError, match="delete it and log in again"):
        read_credential(URL)


def test_a_folder_that_cannot_be_written_is_told(file: Path) -> None:
    """And leaves nothing half-written."""
    file.parent.parent.mkdir()
    file.parent.write_text("a file in the folder's place")

    with pytest.raises(ConfigError, match="cannot read"):
        keep_credential(URL, JWT, LATER, NOW)


def answered(document: object) -> Any:
    """Answer every call with a document, and take down the tokens."""
    return lambda _call: json_reply(document)


def test_commands_use_the_login(gate: GateServer, run: Run) -> None:
    """Where no token is given; one that is given wins."""
    keep_credential(gate.url, JWT, LATER, NOW)
    gate.answer, gate.roles = answered(ME), None
    by_login = run("whoami", environment={"LOCKGATE_TOKEN": None})
    by_token = run("whoami", "--output", "json")

    assert (by_login.code, by_token.code) == (0, 0)
    assert by_login.out == (
        "ann@example.org (user, by the issuer people): approver:ml-lead, until 2026-11-23T17:30:00.000000Z\n"
    )
    assert orjson.loads(by_token.out) == ME
    assert [call.headers["Authorization"] for call in gate.calls] == [f"Bearer {JWT}", f"Bearer {TOKEN}"]


def test_a_login_that_ended_is_not_sent(gate: GateServer, run: Run) -> None:
    """The command says what to do, and asks nobody."""
    keep_credential(gate.url, JWT, EpochNs(NOW - NS_PER_S), NOW)
    ended = run("whoami", environment={"LOCKGATE_TOKEN": None})

    assert (ended.code, gate.calls) == (2, [])
    assert "'lockgate login' logs in again" in ended.err


def test_logout_forgets_this_gate_alone(gate: GateServer, run: Run) -> None:
    """Twice is as good as once; no gate is asked."""
    keep_credential(gate.url, JWT, LATER, NOW)
    keep_credential(URL, JWT, LATER, NOW)
    assert "forgotten" in run("logout").err
    assert "nobody is logged in" in run("logout").err

    assert (expires(gate.url), expires(URL) is None, gate.calls) == (None, False, [])


def offer(issuer: str) -> Any:
    """Answer as a gate whose people log in with an issuer."""

    def answer(call: Call) -> Reply:
        assert "Authorization" not in call.headers
        return json_reply({"issuer": issuer, "client_id": "lockgate", "scopes": ["openid"]})

    return answer


@pytest.mark.parametrize("issuer", ["http://login.example.org", "https://user:secret@login.example.org", "https://x y"])
def test_nobody_is_sent_to_an_issuer_without_tls(gate: GateServer, run: Run, issuer: str) -> None:
    """Whatever the gate says."""
    gate.answer = offer(issuer)
    ended = run("login", "--no-browser")

    assert (ended.code, "client.answer_invalid" in ended.err) == (3, True)
    assert read_credential(gate.url) is None


def test_a_gate_without_logins(gate: GateServer, run: Run) -> None:
    """It says so."""
    gate.answer = lambda _call: problem_reply(404, "login.not_configured")
    ended = run("login", "--no-browser")

    assert (ended.code, "login.not_configured" in ended.err) == (3, True)


def test_an_issuer_that_is_away(gate: GateServer, run: Run) -> None:
    """Ends the command with its code, and keeps nothing."""
    gate.answer = offer(gate.url.rpartition(":")[0] + ":9")
    ended = run("login", "--device")

    assert (ended.code, "[login.provider_unavailable]" in ended.err) == (3, True)
    assert ended.out == ""
