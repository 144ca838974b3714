"""Gunicorn with the limits that Lockgate's servers are tested under; what each of them serves is its own affair."""

import socket
import struct
import sys
from collections.abc import Mapping
from typing import Any, Final

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from lockgate.logs import configure_logs

THREADS: Final = 8  # of one process; most of their time is spent waiting for a disk or an engine
HEADERS_MAX: Final = 50
HEADER_BYTES_MAX: Final = 8190
SILENCE_S_MAX: Final = 10  # between two pieces of one request
WORKER_TIMEOUT_S: Final = 60  # a worker that gives no sign of life for so long is replaced
GRACE_S: Final = 10  # for requests in flight when the server is stopped


class LimitedServer(BaseApplication):
    """Serves what `load` makes, in each worker, until it is told to stop."""

    def __init__(self, *, bind: str, workers: int, request_line_bytes_max: int) -> None:
        """Take what differs between servers.

        Args:
            bind: `host:port`.
            workers: How many processes serve.
            request_line_bytes_max: The longest request line, above that of the longest URL that is served.
        """
        self._bind = bind
        self._workers = workers
        self._request_line_bytes_max = request_line_bytes_max
        configure_logs()
        super().__init__()

    def more_config(self) -> Mapping[str, Any]:
        """Return what else gunicorn is told."""
        return {}

    def load_config(self) -> None:
        """Set gunicorn up; its own files and flags are not read."""
        for name, value in {
            "bind": [self._bind],
            "workers": self._workers,
            "worker_class": "gthread",
            "threads": THREADS,
            "timeout": WORKER_TIMEOUT_S,
            "keepalive": SILENCE_S_MAX,  # gunicorn's 2 s would also end a new connection whose worker is only busy
            "graceful_timeout": GRACE_S,
            "limit_request_line": self._request_line_bytes_max,
            "limit_request_fields": HEADERS_MAX,
            "limit_request_field_size": HEADER_BYTES_MAX,
            "loglevel": "warning",
            "control_socket_disable": True,
            "logger_class": _ServerLog,
            "when_ready": self._begin,
            **self.more_config(),
        }.items():
            self.cfg.set(name, value)

    def _begin(self, server: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter
        for listener in server.LISTENERS:
            # Linux hands the option on to each accepted connection: a client that stops sending in the middle of a
            # request gives its thread back.
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", SILENCE_S_MAX, 0))
        structlog.get_logger().info("serving", bind=self._bind, workers=self._workers)


class _ServerLog(Logger):
    """Gunicorn's own log, without a traceback for a client that was merely slow."""

    def exception(self, msg: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - logging's own signature
        """Log an exception, or one line for a client that stopped sending."""
        if isinstance(sys.exc_info()[1], BlockingIOError):
            structlog.get_logger().info("slow_client")
        else:
            super().exception(msg, *args, **kwargs)
