"""Gunicorn's threaded worker, which gives a thread only to requests that are whole.

Gunicorn's own hands each connection to a thread as soon as it sends something, so that eight clients that drip hold
its eight threads, and waits for clients to close in the loop that serves everybody. Here the loop reads, without
waiting, and threads only answer:

    accept ──▶ received in the loop ──▶ whole: a thread answers ──▶ received anew, or lingers ──▶ closed
                     └── too slow, too large, too many: refused ──────────────────┘

One thread runs the loop, and it alone touches connections that wait; `docs/limits.md` has every limit.
"""

import errno
import functools
import selectors
import socket
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import structlog
from gunicorn.http import wsgi
from gunicorn.http.errors import NoMoreData, ParseException
from gunicorn.workers.gthread import ThreadWorker

from lockgate.serving.connections import Connection
from lockgate.serving.refusals import refusal, status_for

CONNECTIONS_MAX: Final = 512  # of one worker; half of the 1,024 files that a process may open by default
HELD_BYTES_MAX: Final = 64 * 1024 * 1024  # of requests in one worker: eight of the largest, or thousands of usual ones
QUEUE_MAX: Final = 64  # whole requests that wait for a thread; past that a caller is told to come back
HEALTH_QUEUE_MAX: Final = 8  # probes that wait for the one thread of their path
SWEEP_S: Final = 0.5  # how often deadlines are looked at
LINGER_BYTES_MAX: Final = 16 * 1024 * 1024  # of a body that was refused unread, and twice what is ever accepted
STOP_IDLE_S_MAX: Final = 2  # for a request that a client may be sending just now on a connection that we kept
WAITED_S: Final = "lockgate.waited_s"
"""Under this name of the WSGI environment the application finds how long the request waited for its thread."""
PROBE: Final = "lockgate.probe"
"""And under this one, whether that thread is one of health's own, which is missed by nobody else."""
HEALTH_PATHS: Final = ("/livez", "/readyz")
_GONE: Final = frozenset({errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.EBADF})
_PRODUCT: Final = "lockgate"


class _Lane:
    """Threads, and how many requests are with them or wait for them. Touched by the loop alone."""

    def __init__(self, threads: int, queue_max: int) -> None:
        self.pool = ThreadPoolExecutor(max_workers=threads)
        self.inside = 0
        self.inside_max = threads + queue_max


class WholeRequestWorker(ThreadWorker):
    """Serves whole requests of the application that it is given (`LimitedServer`)."""

    app: Any  # the LimitedServer that it is a process of

    def init_process(self) -> None:
        """Begin, in the process of its own that the worker has by now."""
        wsgi.SERVER = _PRODUCT  # type: ignore[attr-defined] # what answers name; gunicorn has no setting for it
        self._body_bytes_max: int = self.app.body_bytes_max
        self._watched: dict[Connection, None] = {}  # in the loop's hand, the one longest untouched first
        self._held_bytes = 0
        self._sweep_at = 0.0
        self._here = threading.local()
        self._main = _Lane(self.cfg.threads, QUEUE_MAX)
        # A thread for each kind of probe: however slow the database is, whoever asks whether we live is told.
        self._health = {path.encode(): _Lane(1, HEALTH_QUEUE_MAX) for path in HEALTH_PATHS}
        super().init_process()

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """Return the pool that gunicorn ends when it quits."""
        return self._main.pool

    def load_wsgi(self) -> None:
        """Load the application, and tell it how long each request waited."""
        super().load_wsgi()
        application: Any = self.wsgi

        def answer(environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401 - WSGI's own types
            environ[WAITED_S] = self._here.waited_s
            environ[PROBE] = self._here.probe
            return application(environ, start_response)

        self.wsgi: Any = answer

    # The loop.

    def run(self) -> None:
        """Serve until told to stop, then finish what was begun."""
        self.poller.register(self.method_queue.fileno(), selectors.EVENT_READ, self.method_queue.run_callbacks)  # type: ignore[arg-type]
        self.set_accept_enabled(enabled=True)
        while self.alive:
            self.notify()
            self.wait_for_and_dispatch_events(timeout=SWEEP_S)
            if not self.is_parent_alive():
                break
            self._sweep()
        self._stop()

    def _stop(self) -> None:
        # (1) Whoever connected before now is served; whoever comes later is refused by the system, and asks another
        # instance.
        for listener in self.sockets:
            while self._accept_one(listener):
                pass
        self.set_accept_enabled(enabled=False)
        for listener in self.sockets:
            listener.close()
        # (2) A connection without a request is kept for a moment, one with a request until its deadline.
        for connection in self._watched:
            self._shorten(connection)
        # (3) What is in a thread or a queue is answered, with "Connection: close".
        until = time.monotonic() + self.cfg.graceful_timeout
        while self.nr_conns > 0 and time.monotonic() < until:
            self.notify()
            self.wait_for_and_dispatch_events(timeout=SWEEP_S / 5)
            self._sweep()
        for lane in (self._main, *self._health.values()):
            lane.pool.shutdown(wait=False)

    def _shorten(self, connection: Connection) -> None:
        if connection.idle:
            connection.deadline = min(connection.deadline, time.monotonic() + STOP_IDLE_S_MAX)

    def accept(self, listener: socket.socket) -> None:
        """Take one connection that waits."""
        self._accept_one(listener)

    def _accept_one(self, listener: socket.socket) -> bool:
        try:
            sock, client = listener.accept()
        except OSError:  # nobody there after all, or no file left for it; the next round tries again
            return False
        self.nr_conns += 1
        connection = Connection(self.cfg, sock, client, listener.getsockname(), body_bytes_max=self._body_bytes_max)
        self._watch(connection)
        if self.nr_conns > CONNECTIONS_MAX:
            self._give_up_oldest()
        return True

    def _watch(self, connection: Connection) -> None:
        self.poller.register(connection.sock, selectors.EVENT_READ, functools.partial(self._receive, connection))
        self._watched[connection] = None

    def _unwatch(self, connection: Connection) -> None:
        del self._watched[connection]
        self.poller.unregister(connection.sock)

    def _receive(self, connection: Connection, _sock: object) -> None:
        if connection not in self._watched:
            return  # it was given up in this very round
        try:
            data = connection.receive()
        except OSError:
            data = b""
        if data is None:
            return
        if not data:
            self._drop(connection)
        elif connection.lingers:
            connection.held_bytes += len(data)  # counted, not kept
            if connection.held_bytes > LINGER_BYTES_MAX:
                self._drop(connection)
        else:
            before = connection.held_bytes
            connection.feed(data)
            self._held_bytes += connection.held_bytes - before
            self._advance(connection)

    def _advance(self, connection: Connection) -> None:
        frame = connection.frame
        if frame.too_large:
            self._refuse(connection, 431)
        elif frame.whole:
            self._unwatch(connection)
            self.enqueue_req(connection)
        elif frame.expects_continue:
            frame.expects_continue = False
            self._send(connection, b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._held_bytes > HELD_BYTES_MAX:
            self._give_up_oldest()

    def _give_up_oldest(self) -> None:
        # Those who are quick are never the oldest, so whoever drips gives way to them.
        oldest = next(iter(self._watched), None)
        if oldest is not None:
            self._give_up(oldest, 503)

    def _give_up(self, connection: Connection, status: int) -> None:
        # Unasked, an answer would be taken for that to the next request.
        if connection.lingers or connection.idle:
            self._drop(connection)
        else:
            self._refuse(connection, status)

    def _sweep(self) -> None:
        now = time.monotonic()
        if now < self._sweep_at:
            return
        self._sweep_at = now + SWEEP_S
        late = [each for each in self._watched if each.deadline <= now]
        slow = sum(not (each.lingers or each.idle) for each in late)
        for connection in late:
            self._give_up(connection, 408)
        if slow:
            structlog.get_logger().info("slow_clients", count=slow)

    # From the loop to a thread and back.

    def enqueue_req(self, connection: Connection) -> None:  # type: ignore[override]
        """Hand a whole request to the threads of its lane, or refuse it where too many wait already."""
        lane = next((lane for path, lane in self._health.items() if connection.frame.asks_for(path)), self._main)
        if lane.inside >= lane.inside_max:
            self._watch(connection)
            self._refuse(connection, 503)
            return
        lane.inside += 1
        connection.prepare()
        future = lane.pool.submit(self.handle, connection, probe=lane is not self._main)
        future.add_done_callback(lambda done: self.method_queue.defer(self._take_back, lane, connection, done))

    def _take_back(self, lane: _Lane, connection: Connection, done: "Future[bool]") -> None:
        lane.inside -= 1
        self._held_bytes -= connection.held_bytes
        if done.cancelled() or done.exception() is not None or not done.result():
            self._linger(connection)
            return
        connection.begin_next()
        if not self.alive:  # its answer promised to keep it, before we were told to stop
            self._shorten(connection)
        self._held_bytes += connection.held_bytes
        self._watch(connection)
        self._advance(connection)

    def handle(self, connection: Connection, *, probe: bool) -> bool:  # type: ignore[override]
        """Answer one whole request, in a thread.

        Args:
            connection: With the request.
            probe: Whether it is one of health's own threads.

        Returns:
            Whether the connection may carry another request.
        """
        request = None
        self._here.waited_s = time.monotonic() - connection.whole_at
        self._here.probe = probe
        try:
            request = next(connection.parser)
            return self.handle_request(request, connection) and _has_read_all(connection)
        except (NoMoreData, StopIteration):
            pass  # the body ends before its declared length, or the answer ended the connection
        except TimeoutError:
            structlog.get_logger().info("slow_reader")
        except OSError as exc:
            if exc.errno not in _GONE:
                self.log.exception("cannot answer")
        except Exception as exc:  # noqa: BLE001 - whatever a request does, its thread goes on
            self.handle_error(request, connection.sock, connection.client, exc)
        return False

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: BaseException) -> None:  # noqa: ANN401, ARG002 - gunicorn's signature
        """Answer what the parser refused, and what the application failed at, with a problem."""
        if isinstance(exc, ParseException):
            status = status_for(exc)
            structlog.get_logger().info("malformed_request", status=status, error=type(exc).__name__)
        else:
            status = 500
            self.log.error("the application failed", exc_info=exc)
        try:
            client.sendall(refusal(status))
        except OSError:
            self.log.debug("the client is gone")

    # Ends.

    def _refuse(self, connection: Connection, status: int) -> None:
        self._send(connection, refusal(status))
        self._unwatch(connection)
        self._held_bytes -= connection.held_bytes
        self._linger(connection)

    def _send(self, connection: Connection, data: bytes) -> None:
        # A few hundred bytes fit into the system's buffer; whoever has not even read that gets nothing.
        try:
            connection.sock.send(data)
        except OSError:
            self.log.debug("the client is gone")

    def _linger(self, connection: Connection) -> None:
        try:
            connection.end()
            self._watch(connection)
        except (OSError, ValueError):  # it is gone already
            self._close(connection)

    def _drop(self, connection: Connection) -> None:
        self._unwatch(connection)
        if not connection.lingers:
            self._held_bytes -= connection.held_bytes
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        self.nr_conns -= 1
        connection.close()


def _has_read_all(connection: Connection) -> bool:
    # A body that nobody read hides where the next request begins, and the answer was sent: nothing more may be said.
    try:
        return bool(connection.parser.finish_body())  # type: ignore[func-returns-value]
    except (OSError, ParseException):
        return False
