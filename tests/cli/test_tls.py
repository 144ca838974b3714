"""The gate's certificate is checked before the token is sent."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.certificates import make_certificate
from support.commands import Run
from support.decisions import PROMOTION_ID, make_decision
from support.gate_log import GateLog
from support.gate_server import GateServer, json_reply, serve_gate


@pytest.fixture
def certificate(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The gate's certificate, for its own address unless a test names another."""
    return make_certificate(tmp_path / "gate.pem", getattr(request, "param", "127.0.0.1"))


@pytest.fixture
def tls_gate(certificate: Path, gate_log: GateLog) -> Iterator[GateServer]:
    """A gate behind TLS whose one promotion is allowed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("gate.key"))
    answer = json_reply(gate_log.promotion_answer(make_decision("allow")))
    with serve_gate(lambda _call: answer, tls=context) as server:
        yield server


def test_trusted_certificate(run: Run, tls_gate: GateServer, certificate: Path) -> None:
    """A certificate that --ca-file vouches for is accepted."""
    ended = run("status", PROMOTION_ID, "--url", tls_gate.url, "--ca-file", str(certificate))

    assert ended.code == 0, ended.err


def test_unknown_certificate(run: Run, tls_gate: GateServer) -> None:
    """A certificate that nobody vouches for ends the command before the token is sent."""
    ended = run("status", PROMOTION_ID, "--url", tls_gate.url)

    assert ended.code == 3
    assert "[client.unreachable]" in ended.err
    assert tls_gate.calls == []


@pytest.mark.parametrize("certificate", ["127.0.0.2"], indirect=True)
def test_certificate_for_another_address(run: Run, tls_gate: GateServer, certificate: Path) -> None:
    """A certificate for another address ends the command before the token is sent."""
    ended = run("status", PROMOTION_ID, "--url", tls_gate.url, "--ca-file", str(certificate))

    assert ended.code == 3
    assert tls_gate.calls == []
