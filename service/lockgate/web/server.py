"""Gunicorn, with the limits that Lockgate is tested under."""

import shutil
import socket
import struct
import sys
import tempfile
from typing import Any, Final

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from lockgate.bootstrap import build_services, check_settings
from lockgate.config import Settings, share_counters
from lockgate.logs import configure_logs

THREADS: Final = 8  # of one worker: most of them wait for the disk or the policy engine
REQUEST_LINE_BYTES_MAX: Final = 4094  # the longest path with every filter is below 500
HEADERS_MAX: Final = 50
HEADER_BYTES_MAX: Final = 8190
SILENCE_S_MAX: Final = 10  # between two pieces of one request
WORKER_TIMEOUT_S: Final = 60  # a worker that gives no sign of life for so long is replaced
GRACE_S: Final = 10  # for decisions in flight when the service is stopped; none takes longer than its budgets


class Server(BaseApplication):
    """Serves until it is told to stop."""

    def __init__(self, settings: Settings, *, bind: str, workers: int) -> None:
        """Take the settings and try them.

        Args:
            settings: Of the process.
            bind: `host:port`.
            workers: How many processes serve.

        Raises:
            LockgateError: A setting, the policy, a trusted root, the database or the log's key is unusable.
        """
        # Everything that can be wrong is found here, where it can be told, and not in a worker that dies of it.
        check_settings(settings)
        self._settings = settings
        self._bind = bind
        self._workers = workers
        self._counters = tempfile.mkdtemp(prefix="lockgate-metrics-")
        share_counters(self._counters)
        configure_logs()
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn up; its own files and flags are not read."""
        for name, value in {
            "bind": [self._bind],
            "workers": self._workers,
            "worker_class": "gthread",
            "threads": THREADS,
            "timeout": WORKER_TIMEOUT_S,
            "graceful_timeout": GRACE_S,
            "limit_request_line": REQUEST_LINE_BYTES_MAX,
            "limit_request_fields": HEADERS_MAX,
            "limit_request_field_size": HEADER_BYTES_MAX,
            "loglevel": "warning",
            "control_socket_disable": True,
            "logger_class": _ServerLog,
            "when_ready": self._begin,
            "child_exit": _forget_counters,
            "on_exit": lambda _server: shutil.rmtree(self._counters, ignore_errors=True),
        }.items():
            self.cfg.set(name, value)

    def _begin(self, server: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter
        for listener in server.LISTENERS:
            # Linux hands the option on to each accepted connection: a client that stops sending in the middle of a
            # request gives its thread back.
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", SILENCE_S_MAX, 0))
        structlog.get_logger().info("serving", bind=self._bind, workers=self._workers)

    def load(self) -> Any:  # noqa: ANN401 - a Flask application; the stubs' type for one is narrower
        """Make the application, in the worker: engines and database connections do not cross a fork."""
        # Imported only now: the metrics library looks for the shared folder when it is imported.
        from lockgate.web.app import create_app  # noqa: PLC0415

        return create_app(build_services(self._settings), several_processes=True)


class _ServerLog(Logger):
    """Gunicorn's own log, without a traceback for a client that was merely slow."""

    def exception(self, msg: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - logging's own signature
        """Log an exception, or one line for a client that stopped sending."""
        if isinstance(sys.exc_info()[1], BlockingIOError):
            structlog.get_logger().info("slow_client")
        else:
            super().exception(msg, *args, **kwargs)


def _forget_counters(_server: Any, worker: Any) -> None:  # noqa: ANN401 - gunicorn ships no types
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - as above

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
