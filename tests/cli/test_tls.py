"""The gate's certificate is checked before the token is sent."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.commands import Run
from support.decisions import PROMOTION_ID, make_decision
from support.gate_log import GateLog
from support.gate_server import GateServer, json_reply, serve_gate

_BORN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def _make_certificate(folder: Path, address: str) -> Path:
    """Make a self-signed certificate for an address; its key lies beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BORN)
        .not_valid_after(_BORN + dt.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "gate.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "gate.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


@pytest.fixture
def certificate(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The gate's certificate, for its own address unless a test names another."""
    return _make_certificate(tmp_path, getattr(request, "param", "127.0.0.1"))


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
