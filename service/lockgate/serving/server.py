"""Gunicorn, set up once for all of Lockgate's servers; its own files and flags are not read."""

from collections.abc import Mapping
from typing import Any, Final

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from lockgate.serving.connections import SILENCE_S_MAX
from lockgate.serving.server_log import ServerLog
from lockgate.serving.worker import CONNECTIONS_MAX, WholeRequestWorker

THREADS: Final = 8  # of one process; most of their time is spent waiting for a disk or an engine
HEADERS_MAX: Final = 50
HEADER_BYTES_MAX: Final = 8190
WORKER_TIMEOUT_S: Final = 60  # a worker that gives no sign of life for so long is replaced
GRACE_S: Final = 10  # for requests in flight when the server is stopped


class LimitedServer(BaseApplication):
    """Serves what `load` makes, in each worker, until it is told to stop. Whoever makes one configures the logs."""

    def __init__(self, *, bind: str, workers: int, request_line_bytes_max: int, body_bytes_max: int) -> None:
        """Take what differs between servers.

        Args:
            bind: `host:port`.
            workers: How many processes serve.
            request_line_bytes_max: The longest request line, above that of the longest URL that is served.
            body_bytes_max: The longest body that is waited for; the application refuses longer ones unread.
        """
        self.body_bytes_max = body_bytes_max
        self._bind = bind
        self._workers = workers
        self._request_line_bytes_max = request_line_bytes_max
        super().__init__()

    def more_config(self) -> Mapping[str, Any]:
        """Return what else gunicorn is told."""
        return {}

    def on_hang_up(self) -> None:
        """Do what SIGHUP asks for: here, nothing. Gunicorn would replace every worker, and end if one cannot begin."""

    def run(self) -> None:
        """Serve until stopped; ends with `SystemExit`, as gunicorn does."""
        _Arbiter(self).run()

    def load_config(self) -> None:
        """Set gunicorn up."""
        for name, value in {
            "bind": [self._bind],
            "workers": self._workers,
            "worker_class": WholeRequestWorker,
            "worker_connections": CONNECTIONS_MAX,
            "threads": THREADS,
            "timeout": WORKER_TIMEOUT_S,
            "keepalive": SILENCE_S_MAX,
            "graceful_timeout": GRACE_S,
            "limit_request_line": self._request_line_bytes_max,
            "limit_request_fields": HEADERS_MAX,
            "limit_request_field_size": HEADER_BYTES_MAX,
            "http_parser": "python",  # the one that the tests run, also where another is installed
            # A peer on loopback may be a proxy that hands on what strangers wrote: no header of theirs moves the path.
            "forwarder_headers": "",
            "forwarded_allow_ips": "",
            "secure_scheme_headers": {},
            "loglevel": "warning",
            "control_socket_disable": True,
            "logger_class": ServerLog,
            "when_ready": self._begin,
            **self.more_config(),
        }.items():
            self.cfg.set(name, value)

    def _begin(self, _server: object) -> None:
        structlog.get_logger().info("serving", bind=self._bind, workers=self._workers)


class _Arbiter(Arbiter):
    """Gunicorn's main process, with SIGHUP handed on."""

    app: LimitedServer

    def handle_hup(self) -> None:
        """Hand SIGHUP on to whoever serves."""
        self.app.on_hang_up()
