"""A process of `lockgate.serving` around an application of a few lines, and raw connections to it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from lockgate.demo.stage import free_port
from lockgate.serving import PROBE, WAITED_S, LimitedServer, connections

BODY_BYTES_MAX: Final = 1024 * 1024
START_S_MAX: Final = 30
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([0-9]{3}) ")


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answer as the path says: how long the body was, who answers, after a while, with many bytes, or not at all."""
    query = parse_qs(environ["QUERY_STRING"])
    match environ["PATH_INFO"]:
        case "/length":
            answer = str(len(environ["wsgi.input"].read())).encode()
        case "/unread":
            answer = b"unread"
        case "/slow":
            time.sleep(float(query["s"][0]))
            answer = b"done"
        case "/big":
            answer = b"x" * int(query["bytes"][0])
        case "/waited":
            answer = str(environ[WAITED_S]).encode()
        case "/livez" | "/readyz":
            answer = str(environ[PROBE]).encode()
        case "/process":
            answer = str(os.getpid()).encode()
        case "/fails":
            raise RuntimeError("the application fails")
        case _:
            answer = environ["PATH_INFO"].encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


class _SmallServer(LimitedServer):
    def load(self) -> Any:
        return application


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back on a raw connection."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """A raw connection to a server, read answer by answer."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._received = b""

    def send(self, data: bytes) -> None:
        """Send all of the bytes."""
        self.socket.sendall(data)

    def answer(self) -> Answer:
        """Read one answer, interim ones too.

        Raises:
            ConnectionError: The server closed without a whole answer.
        """
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        found = _STATUS.match(head)
        assert found is not None, head
        lines = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:]]
        headers = {name.lower(): value for name, value in lines}
        length = int(headers.get("content-length", "0"))
        while len(self._received) < length:
            self._receive()
        body, self._received = self._received[:length], self._received[length:]
        return Answer(status=int(found[1]), headers=headers, body=body)

    def rest(self) -> bytes:
        """Read until the server closes."""
        with contextlib.suppress(ConnectionError):
            while True:
                self._receive()
        return self._received

    def _receive(self) -> None:
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError("closed without a whole answer")
        self._received += piece


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallServer:
    """A running server."""

    port: int
    process: "subprocess.Popen[bytes]"
    log: Path
    connections: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def connect(self) -> Wire:
        """Connect; the connection ends with the server's test."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        return Wire(self.connections.enter_context(connection))

    def send(self, data: bytes) -> Answer:
        """Send bytes on a connection of their own and read one answer."""
        wire = self.connect()
        wire.send(data)
        return wire.answer()

    def get(self, path: str) -> Answer:
        """Ask for a path."""
        return self.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def workers(self) -> list[int]:
        """Return the processes that serve."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]


@contextlib.contextmanager
def small_server(folder: Path, *, workers: int = 1, hurried: bool = False) -> Iterator[SmallServer]:
    """Run a server on a loopback port until the block ends.

    Args:
        folder: For its log.
        workers: How many processes serve.
        hurried: Whether every deadline is a second, so that nobody need wait for the real ones.
    """
    port, log = free_port(), folder / "server.log"
    command = [sys.executable, __file__, str(port), str(workers), str(int(hurried))]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    server = SmallServer(port=port, process=process, log=log)
    try:
        _wait_until_ready(server, workers)
        with server.connections:
            yield server
    finally:
        if not _ends(process):
            process.kill()
            process.wait()


def _ends(process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=15)
    return process.poll() is not None


def _wait_until_ready(server: SmallServer, workers: int) -> None:
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if server.get("/livez").status == 200 and len(server.workers()) == workers:
                return
        time.sleep(0.05)
    raise AssertionError(f"the server did not get ready: {server.log.read_text()[-1000:]}")


def _hurry() -> None:
    for name in ("SILENCE_S_MAX", "HEAD_S_MAX", "BODY_S_MAX", "ANSWER_S_MAX", "LINGER_S_MAX"):
        setattr(connections, name, 1)
    connections.BODY_BYTES_PER_S_MIN = 10**9  # type: ignore[misc] # the body's length then adds nothing


if __name__ == "__main__":
    if sys.argv[3] == "1":
        _hurry()
    _SmallServer(
        bind=f"127.0.0.1:{sys.argv[1]}",
        workers=int(sys.argv[2]),
        request_line_bytes_max=4094,
        body_bytes_max=BODY_BYTES_MAX,
    ).run()
