"""Requests outward: whom we speak to. How much and how long is tested where they are made."""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lockgate.outbound import OutboundError, OutboundRequest, download, exchange, is_public, quote_answer
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
        ("192.0.0.8", False),
        ("192.88.99.1", False),
        ("64:ff9b:1::7f00:1", False),  # a NAT64 of one's own
        ("::127.0.0.1", False),  # IPv4-compatible, given up
        ("::ffff:0:a9fe:a9fe", False),  # a stateless translator
        ("2001:0:7f00:1::", False),  # Teredo
        ("fec0::1", False),  # site-local, given up
        ("3fff::1", False),  # documentation
        ("5f00::1", False),  # segment routing
        ("100:0:0:1::1", False),  # a dummy
        ("4000::1", False),  # not given out yet
        ("2606:4700:4700::1111", True),
    ],
)
def test_which_addresses_are_public(address: str, public: bool) -> None:  # noqa: FBT001 - a test's data
    """Loopback, private, link-local, shared and documentation addresses are not, also where one wraps another."""
    assert is_public(address) is public


def test_words_of_others_tell_no_secret() -> None:
    """Quoted, somebody's words are short and printable, and hold no stretch of what they were shown, in any case."""
    request = OutboundRequest(
        url="http://127.0.0.1",
        timeout_s=1,
        answer_bytes_max=1,
        authorization="Bearer s3cr3t-registry-token",
        headers={"Lockgate-Permit": "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl"},
    )
    told = {
        "want\n\x1b[31mrights": "want  [31mrights",
        "got Bearer s3cr3t-registry-token, sorry": "got [secret], sorry",
        "as S3CR3T-REGISTRY, cut": "as[secret], cut",
        "['registry-token','eyJhbGciOiJFZERTQSJ9']": "['[secret]','[secret]']",
        "x" * 5000: "x" * 300,
        "\u0130 s3cr3t-registry-token": "i\u0307[secret]",  # grows in lower case
    }

    assert {text: quote_answer(text, request) for text in told} == told


def test_a_private_peer_gets_nothing() -> None:
    """Asked for public peers alone, a request to another is refused before a byte of it is sent."""
    with serve_gate(lambda _call: Reply()) as server:
        with pytest.raises(OutboundError, match="want a peer with a public address") as caught:
            exchange(OutboundRequest(url=server.url, timeout_s=5, answer_bytes_max=10, public_only=True))

        assert caught.value.code == "outbound.peer_private"
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


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_a_request_may_name_its_method_and_headers(method: str) -> None:
    """A method that is named is used, with the further headers beside our own."""
    with serve_gate(lambda _call: json_reply({})) as server:
        request = OutboundRequest(
            url=server.url,
            timeout_s=5,
            answer_bytes_max=100,
            body=b"{}",
            method=method,
            headers={"Lockgate-Permit": "a.b.c", "accept-encoding": "gzip", "authorization": "other"},
            authorization="Bearer ours",
        )
        exchange(request)

        call = server.calls[0]
        assert call.method == method
        assert call.headers["Lockgate-Permit"] == "a.b.c"
        assert (call.headers["Accept-Encoding"], call.headers["Authorization"]) == ("identity", "Bearer ours")
        assert "a.b.c" not in repr(request)


def test_a_header_cannot_bring_another() -> None:
    """A value with a line break is sent to nobody."""
    with serve_gate(lambda _call: Reply()) as server:
        request = OutboundRequest(url=server.url, timeout_s=5, answer_bytes_max=9, headers={"X-One": "1\r\nX-Two: 2"})
        with pytest.raises(OutboundError, match="InvalidHeader"):
            exchange(request)

        assert server.calls == []


_FILE = bytes(range(256)) * 8192  # 2 MiB, more than is read ahead


def test_a_download_is_read_in_pieces() -> None:
    """The whole body comes, in order, and no piece is the whole."""
    with serve_gate(lambda _call: Reply(status=203, body=_FILE, content_type="Text/Plain; x=y")) as server:
        with download(OutboundRequest(url=server.url, timeout_s=20, answer_bytes_max=len(_FILE))) as incoming:
            chunks = list(incoming.chunks)

        assert (incoming.status, incoming.content_type) == (203, "text/plain")
        assert b"".join(chunks) == _FILE
        assert max(len(chunk) for chunk in chunks) < len(_FILE) / 10


@pytest.mark.parametrize(
    ("bytes_max", "announced", "message"),
    [(len(_FILE) - 1, None, "want an answer of at most 2097151 bytes"), (len(_FILE), len(_FILE) + 1, "no answer")],
    ids=["too_large", "cut_short"],
)
def test_a_download_says_when_it_is_not_whole(bytes_max: int, announced: int | None, message: str) -> None:
    """A body beyond the limit, or shorter than announced, ends in an error and not as if it were all."""
    with serve_gate(lambda _call: Reply(body=_FILE, announced=announced, headers=(("Connection", "close"),))) as server:
        request = OutboundRequest(url=server.url, timeout_s=20, answer_bytes_max=bytes_max)
        with download(request) as incoming, pytest.raises(OutboundError, match=message):
            list(incoming.chunks)


def test_a_downloads_time_is_for_the_whole() -> None:
    """Whoever takes too long over the pieces gets no more of them, though they are there."""
    with serve_gate(lambda _call: Reply(body=_FILE)) as server:
        request = OutboundRequest(url=server.url, timeout_s=1, answer_bytes_max=len(_FILE))
        with download(request) as incoming:
            next(incoming.chunks)
            time.sleep(1.1)
            with pytest.raises(OutboundError, match="no whole answer within 1 s"):
                next(incoming.chunks)


def test_nothing_is_left_of_a_download_that_was_left() -> None:
    """A block that ends early ends the connection and its thread, also one that waits for room."""
    with serve_gate(lambda _call: Reply(body=_FILE)) as server:
        for _ in range(5):
            with download(OutboundRequest(url=server.url, timeout_s=20, answer_bytes_max=len(_FILE))) as incoming:
                next(incoming.chunks)
        ours = [thread for thread in threading.enumerate() if thread.name == "lockgate-outbound"]
        for thread in ours:
            thread.join(2)

        assert not [thread for thread in ours if thread.is_alive()]


@contextlib.contextmanager
def _dripping_server(prefix: bytes) -> Iterator[tuple[int, list[threading.Thread]]]:
    """Send each caller a beginning and then a byte every 20 ms; give the port, and the thread of each call."""
    calls: list[threading.Thread] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def drip(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.sendall(prefix)
            while True:
                connection.sendall(b" ")
                time.sleep(0.02)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                calls.append(threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True))
                calls[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield listener.getsockname()[1], calls
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()


@pytest.mark.parametrize(
    ("scheme", "prefix"),
    [
        ("https", b"\x16\x03\x03\x40\x00"),
        ("http", b"HTTP/1.1 200 OK\r\nX-Header:"),
        ("http", b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n"),
    ],
    ids=["handshake", "headers", "body"],
)
def test_nothing_is_left_of_exchanges_that_took_too_long(scheme: str, prefix: bytes) -> None:
    """However a peer drips, at the deadline the connection and its thread end."""
    with _dripping_server(prefix) as (port, calls):
        request = OutboundRequest(url=f"{scheme}://127.0.0.1:{port}/", timeout_s=0.1, answer_bytes_max=262_144)
        for _ in range(20):
            with pytest.raises(OutboundError, match=r"no whole answer within 0\.1 s"):
                exchange(request)
        until = time.monotonic() + 2
        ours = [thread for thread in threading.enumerate() if thread.name == "lockgate-outbound"]
        for thread in (*ours, *calls):
            thread.join(max(0.0, until - time.monotonic()))

        assert len(calls) == 20
        assert not [thread for thread in (*ours, *calls) if thread.is_alive()]
