"""The network peer of the client's tests: a loopback HTTP server that answers as it is told, well or badly.

It stands in for whatever may sit at `--url`; the receipts that it hands out are real ones, from a real log.
"""

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, TypeAlias

JSON_TYPE: Final = "application/json"
PROBLEM_TYPE: Final = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any  # parsed JSON, None without a body


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What to send back.

    Attributes:
        byte_s: Seconds to wait before each byte; 0 sends all at once.
        announced: How many bytes to announce; None tells the truth.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()
    byte_s: float = 0
    announced: int | None = None


Answer: TypeAlias = Callable[[Call], Reply]


def json_reply(document: object, *, status: int = 200, content_type: str = JSON_TYPE) -> Reply:
    """Return a reply with a JSON body."""
    return Reply(status=status, body=json.dumps(document).encode(), content_type=content_type)


def problem_reply(status: int, code: str = "test.problem", **changes: object) -> Reply:
    """Return an RFC 9457 problem."""
    document = {
        "type": f"https://lockgate.dev/problems/{code}",
        "title": "A problem",
        "status": status,
        "detail": "want something else",
        "instance": "urn:uuid:0199c0de-0000-7000-8000-00000000e001",
        "code": code,
    }
    return json_reply(document | changes, status=status, content_type=PROBLEM_TYPE)


def _me_reply(roles: tuple[str, ...]) -> Reply:
    who = {"subject": "alice@example.org", "type": "user", "issuer": "", "expires_at": "2126-11-23T09:00:00.000000Z"}
    return json_reply({**who, "roles": list(roles)})


@dataclass(slots=True)
class GateServer:
    """A running server. `answer` may be replaced at any time; `calls` holds what came.

    Where `roles` are given it says by itself that the caller has these, and `calls` does not tell that it was asked.
    """

    url: str
    answer: Answer
    calls: list[Call] = field(default_factory=list)
    roles: tuple[str, ...] | None = None


@contextlib.contextmanager
def serve_gate(answer: Answer, *, tls: ssl.SSLContext | None = None) -> Iterator[GateServer]:
    """Run a server on a free loopback port until the block ends.

    Args:
        answer: What it answers.
        tls: Its certificate and key; None for plain HTTP.
    """
    gate = GateServer("", answer)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

        def _handle(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None  # noqa: TID251 - the peer is not ours
            call = Call(method=self.command, path=self.path, headers=dict(self.headers.items()), body=body)
            if gate.roles is not None and call.path == "/v1/me":
                self._send(_me_reply(gate.roles))
                return
            gate.calls.append(call)
            with contextlib.suppress(ConnectionError):  # a client that gave up
                self._send(gate.answer(call))

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - the base class's names

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            self.send_header("Content-Type", reply.content_type)
            self.send_header("Content-Length", str(len(reply.body) if reply.announced is None else reply.announced))
            for name, value in reply.headers:
                self.send_header(name, value)
            self.end_headers()
            if not reply.byte_s:
                self.wfile.write(reply.body)
                return
            for byte in reply.body:
                time.sleep(reply.byte_s)
                self.wfile.write(bytes([byte]))

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    gate.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield gate
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
