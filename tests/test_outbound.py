"""Requests outward: whom we speak to. How much and how long is tested where they are made."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from lockgate.outbound import OutboundError, OutboundRequest, exchange, is_public
from support.certificates import make_certificate
from support.gate_server import Reply, json_reply, serve_gate


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2001:4860:4860::8888", True),
        ("127.0.0.1", False),
        ("127.1.2.3", False),
        ("0.0.0.0", False),  # noqa: S104 - an address to refuse
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # a cloud's metadata service
        ("100.64.0.1", False),
        ("192.0.2.1", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::8.8.8.8", True),
        ("2002:7f00:1::", False),
        ("2001:db8::1", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:  # noqa: FBT001 - a test's data
    """Loopback, private, link-local, shared and documentation addresses are not, also where one wraps another."""
    assert is_public(address) is public


def test_a_private_peer_gets_nothing() -> None:
    """Asked for public peers alone, a request to another is refused before a byte of it is sent."""
    with serve_gate(lambda _call: Reply()) as server:
        with pytest.raises(OutboundError, match="want a peer with a public address") as caught:
            exchange(OutboundRequest(url=server.url, timeout_s=5, answer_bytes_max=10, public_only=True))

        assert caught.value.code == "outbound.failed"
        assert server.calls == []


def test_a_private_peer_with_a_good_certificate_gets_nothing(tmp_path: Path) -> None:
    """TLS changes nothing about whom we speak to."""
    certificate = make_certificate(tmp_path / "server.pem", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with serve_gate(lambda _call: json_reply({}), tls=context) as server:
        anybody = OutboundRequest(url=server.url, timeout_s=5, answer_bytes_max=10, ca_file=certificate)
        with pytest.raises(OutboundError, match="want a peer with a public address"):
            exchange(replace(anybody, public_only=True))
        assert server.calls == []

        assert exchange(anybody).body == b"{}"


def test_a_request_without_a_body_asks_and_sends_nothing() -> None:
    """What has no body is a GET."""
    with serve_gate(lambda call: json_reply({"method": call.method})) as server:
        answer = exchange(OutboundRequest(url=server.url, timeout_s=5, answer_bytes_max=100))

        assert answer.body == b'{"method": "GET"}'
        assert (answer.status, answer.content_type) == (200, "application/json")
