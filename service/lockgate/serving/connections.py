"""One client's connection: what came of its request, until when more may come, and its parser."""

import socket
import time
from collections.abc import Iterator
from typing import Any, Final

from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.errors import NoMoreData
from gunicorn.workers.gthread import TConn

from lockgate.serving.framing import Frame

SILENCE_S_MAX: Final = 10  # of a connection on which no request has begun
HEAD_S_MAX: Final = 10  # from the first byte of a request to the end of its headers
BODY_S_MAX: Final = 10  # from there to the end of its body, and
BODY_BYTES_PER_S_MIN: Final = 256 * 1024  # the rate below which a large body counts as dripping: 42 s for 8 MiB
ANSWER_S_MAX: Final = 10  # for the client to take the answer
LINGER_S_MAX: Final = 2  # for the client to read the answer and close, lest a reset swallow it (RFC 9112, 9.6)
PIECE_BYTES: Final = 64 * 1024


class Connection(TConn):
    """A connection is in one hand at a time: the worker's loop, while it waits, or one thread, while it is answered."""

    parser: RequestParser

    def __init__(self, config: Config, sock: socket.socket, client: Any, server: Any, *, body_bytes_max: int) -> None:  # noqa: ANN401 - addresses of any family
        """Take a new connection.

        Args:
            config: Gunicorn's.
            sock: The connection.
            client: The peer's address.
            server: Our own.
            body_bytes_max: The longest body that is waited for.
        """
        super().__init__(config, sock, client, server)
        self.lingers = False  # it was answered for the last time; only the client's close is awaited
        self.whole_at = 0.0  # when its request was whole, on the monotonic clock
        self.held_bytes = 0  # of memory, for the request that is being received or answered
        self._body_bytes_max = body_bytes_max
        self._arrived = _Arrived()
        self.parser = RequestParser(config, self._arrived, client)
        self._begin(SILENCE_S_MAX)

    def _begin(self, wait_s: float) -> None:
        self.sock.settimeout(0)
        self.frame = Frame(body_bytes_max=self._body_bytes_max)
        self.deadline = time.monotonic() + wait_s

    def receive(self) -> bytes | None:
        """Take what has come, without waiting.

        Returns:
            The bytes; none when the client closed; None when nothing is there after all.

        Raises:
            OSError: The connection broke.
        """
        try:
            return self.sock.recv(PIECE_BYTES)
        except (BlockingIOError, InterruptedError):
            return None

    def feed(self, data: bytes) -> None:
        """Add to the request, and say until when the rest must be there."""
        frame, began, headless = self.frame, not len(self.frame), self.frame.body_bytes is None
        frame.feed(data)
        self.held_bytes = len(frame)
        now = time.monotonic()
        if frame.body_bytes is None:
            self.deadline = now + HEAD_S_MAX if began else self.deadline
        elif headless:
            self.deadline = now + BODY_S_MAX + frame.body_bytes / BODY_BYTES_PER_S_MIN
        self.whole_at = now

    @property
    def idle(self) -> bool:
        """Whether no request has begun."""
        return not len(self.frame)

    def prepare(self) -> None:
        """Hand the request to the parser; from here on a thread writes, for a limited time in each call."""
        self._arrived.pieces.append(self.frame.take())
        self.sock.settimeout(ANSWER_S_MAX)

    def begin_next(self) -> None:
        """Wait for the next request, with what the client sent of it already."""
        rest = self.parser.unreader.take_buffered()
        self._begin(SILENCE_S_MAX)
        self.held_bytes = 0
        if rest:
            self.feed(rest)

    def end(self) -> None:
        """Send nothing more, and give the client a moment to read.

        Raises:
            OSError: The connection broke.
        """
        self.sock.settimeout(0)
        self.sock.shutdown(socket.SHUT_WR)
        self.lingers = True
        self.held_bytes = 0
        self.deadline = time.monotonic() + LINGER_S_MAX


class _Arrived(Iterator[bytes]):
    """What the parser reads instead of the socket: it can never wait for a client."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def __next__(self) -> bytes:
        if not self.pieces:
            raise NoMoreData(b"")
        return self.pieces.pop(0)
