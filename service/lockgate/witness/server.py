"""Gunicorn around the witness, with the limits that it is tested under."""

import socket
import struct
from collections.abc import Callable
from typing import Any, Final

import structlog
from flask import Flask
from gunicorn.app.base import BaseApplication

from lockgate.logs import configure_logs

THREADS: Final = 8  # all of them wait for one disk
REQUEST_LINE_BYTES_MAX: Final = 512  # the longest path has 76 characters
HEADERS_MAX: Final = 50
HEADER_BYTES_MAX: Final = 8190
SILENCE_S_MAX: Final = 10  # between two pieces of one request
WORKER_TIMEOUT_S: Final = 60  # a worker that gives no sign of life for so long is replaced
GRACE_S: Final = 10  # for requests in flight when the witness is stopped


class WitnessServer(BaseApplication):
    """Serves until it is told to stop. One process: a witness waits for its disk and for nothing else."""

    def __init__(self, make_app: Callable[[], Flask], *, bind: str) -> None:
        """Take what to serve.

        Args:
            make_app: Called in the worker: a database connection does not cross a fork.
            bind: `host:port`.
        """
        self._make_app = make_app
        self._bind = bind
        configure_logs()
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn up; its own files and flags are not read."""
        for name, value in {
            "bind": [self._bind],
            "workers": 1,
            "worker_class": "gthread",
            "threads": THREADS,
            "timeout": WORKER_TIMEOUT_S,
            "graceful_timeout": GRACE_S,
            "limit_request_line": REQUEST_LINE_BYTES_MAX,
            "limit_request_fields": HEADERS_MAX,
            "limit_request_field_size": HEADER_BYTES_MAX,
            "loglevel": "warning",
            "control_socket_disable": True,
            "when_ready": self._begin,
        }.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # noqa: ANN401 - a Flask application; the stubs' type for one is narrower
        """Make the application, in the worker."""
        return self._make_app()

    def _begin(self, server: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter
        for listener in server.LISTENERS:
            # Linux hands the option on to each accepted connection: whoever stops sending gives the thread back.
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", SILENCE_S_MAX, 0))
        structlog.get_logger().info("serving", bind=self._bind)
