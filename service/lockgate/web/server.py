"""The service under gunicorn: everything is tried before a worker is made, and the workers count together."""

from collections.abc import Mapping
from typing import Any, Final

from lockgate.bootstrap import build_services, check_settings, read_accepted
from lockgate.config import Settings
from lockgate.instance import Instance
from lockgate.logs import configure_logs
from lockgate.promotion import REQUEST_BYTES_MAX
from lockgate.reloading import accept_files
from lockgate.serving import LimitedServer
from lockgate.web.shared_counters import SharedCounters
from lockgate.web.tracing import check_tracing, open_tracing

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
        accepted = check_settings(settings)
        check_tracing(settings.traces)
        self._settings = settings
        self._counters = SharedCounters(settings.data_dir)
        self._instance = Instance(self._counters.folder, accepted)
        configure_logs(settings.log_level, settings.log_format)
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
            "on_exit": lambda _server: self._counters.remove(),
        }

    def on_hang_up(self) -> None:
        """Let every worker decide by the policy and the issuers as their files are now, if they can be used."""
        accept_files(self._instance, lambda: read_accepted(self._settings))

    def load(self) -> Any:  # noqa: ANN401 - a Flask application; the stubs' type for one is narrower
        """Make the application, in the worker: engines and database connections do not cross a fork."""
        # Imported only now: the metrics library looks for the shared folder when it is imported.
        from lockgate.web.app import create_app  # noqa: PLC0415
        from lockgate.web.limits import limits_of  # noqa: PLC0415 - as above

        services = build_services(self._settings, self._instance)
        services.reloader.begin()
        tracing = open_tracing(self._settings.traces, self._settings.instance)
        return create_app(
            services,
            several_processes=True,
            tracing=tracing,
            limits=limits_of(self._settings, workers=self._workers),
            https=self._settings.public_url.startswith("https://"),
        )


def _forget_counters(_server: Any, worker: Any) -> None:  # noqa: ANN401 - gunicorn ships no types
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - as above

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]
