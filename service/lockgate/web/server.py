"""The service under gunicorn: everything is tried before a worker is made, and the workers count together."""

import shutil
import tempfile
from collections.abc import Mapping
from typing import Any, Final

from lockgate.bootstrap import build_services, check_settings
from lockgate.config import Settings, share_counters
from lockgate.promotion import REQUEST_BYTES_MAX
from lockgate.serving import LimitedServer

REQUEST_LINE_BYTES_MAX: Final = 4094  # the longest path with every filter is below 500


class Server(LimitedServer):
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
        self._counters = tempfile.mkdtemp(prefix="lockgate-metrics-")
        share_counters(self._counters)
        super().__init__(
            bind=bind,
            workers=workers,
            request_line_bytes_max=REQUEST_LINE_BYTES_MAX,
            body_bytes_max=REQUEST_BYTES_MAX,
        )

    def more_config(self) -> Mapping[str, Any]:
        """Return how the workers' counters end."""
        return {
            "child_exit": _forget_counters,
            "on_exit": lambda _server: shutil.rmtree(self._counters, ignore_errors=True),
        }

    def load(self) -> Any:  # noqa: ANN401 - a Flask application; the stubs' type for one is narrower
        """Make the application, in the worker: engines and database connections do not cross a fork."""
        # Imported only now: the metrics library looks for the shared folder when it is imported.
        from lockgate.web.app import create_app  # noqa: PLC0415

        return create_app(build_services(self._settings), several_processes=True)


def _forget_counters(_server: Any, worker: Any) -> None:  # noqa: ANN401 - gunicorn ships no types
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - as above

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
