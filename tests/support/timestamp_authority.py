"""An RFC 3161 authority on loopback: answers what it is asked, or what a test wants instead."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from asn1crypto import tsp
from cryptography.hazmat.primitives.serialization import Encoding

from lockgate.audit.formats.timestamps import (
    Timestamp,
    TimestampTrust,
    make_timestamp_request,
    open_timestamp_response,
    parse_timestamp_trust,
)
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.demo.virtual_ca import moment_of
from support.virtual_timestamping import VirtualTimestampAuthority

OPEN_SINCE = EpochNs(1_690_000_000 * NS_PER_S)
AT = EpochNs(1_700_000_100 * NS_PER_S)


class Authority(VirtualTimestampAuthority):
    """Answers whole requests, as a server gets them."""

    def __init__(self) -> None:
        super().__init__(start=OPEN_SINCE)

    @property
    def pem(self) -> bytes:
        """Its certificates, as an operator configures them."""
        return b"".join(each.public_bytes(Encoding.PEM) for each in self._ca.chain)

    @property
    def trust(self) -> TimestampTrust:
        """The same, read."""
        return parse_timestamp_trust(self.pem)

    def answer(self, request: bytes, at: EpochNs = AT, **changes: Any) -> bytes:
        """Answer a TimeStampReq; `changes` replace fields of what is then signed."""
        asked = tsp.TimeStampReq.load(request)
        fields = {
            "version": "v1",
            "policy": "1.3.6.1.4.1.57264.2",
            "message_imprint": asked["message_imprint"],
            "serial_number": 7,
            "gen_time": moment_of(at),
            "ordering": False,
            "nonce": asked["nonce"].native,
        }
        return bytes(self._response(tsp.TSTInfo({**fields, **changes}).dump(), at).dump())

    def stamp(self, message: bytes, at: EpochNs) -> Timestamp:
        """Give a token over a message, verified as whoever asks over HTTP does."""
        request = make_timestamp_request(message)
        opened = open_timestamp_response(self.answer(request.body, at), message, request.nonce, self.trust)
        assert isinstance(opened, Timestamp), opened
        return opened

    def refusal(self) -> bytes:
        """Say no, as an authority that is out of order does."""
        return bytes.fromhex("30053003020102")  # PKIStatusInfo { status rejection }, and no token


def imprint_of(message: bytes) -> dict[str, Any]:
    """Return the imprint of other bytes."""
    return {"hash_algorithm": {"algorithm": "sha256"}, "hashed_message": hashlib.sha256(message).digest()}


@dataclass
class AuthorityServer:
    """The running server."""

    url: str
    answer: Callable[[bytes], tuple[int, bytes]]
    requests: list[bytes] = field(default_factory=list)


@contextmanager
def serve_authority(authority: Authority) -> Iterator[AuthorityServer]:
    """Serve an authority; a test may change `answer` meanwhile."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            served.requests.append(body)
            status, answer = served.answer(body)
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = AuthorityServer(
            url=f"http://127.0.0.1:{server.server_port}/tsr", answer=lambda body: (200, authority.answer(body))
        )
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield served
        finally:
            server.shutdown()
            thread.join()
