"""The witness under gunicorn."""

from collections.abc import Callable
from typing import Any, Final

from flask import Flask

from lockgate.audit.formats.submissions import SUBMISSION_BYTES_MAX
from lockgate.logs import configure_logs
from lockgate.serving import LimitedServer

REQUEST_LINE_BYTES_MAX: Final = 512  # the longest path has 76 characters


class WitnessServer(LimitedServer):
    """Serves until it is told to stop. One process: a witness waits for its disk and for nothing else."""

    def __init__(self, make_app: Callable[[], Flask], *, bind: str) -> None:
        """Take what to serve.

        Args:
            make_app: Called in the worker: a database connection does not cross a fork.
            bind: `host:port`.
        """
        self._make_app = make_app
        configure_logs()
        super().__init__(
            bind=bind, workers=1, request_line_bytes_max=REQUEST_LINE_BYTES_MAX, body_bytes_max=SUBMISSION_BYTES_MAX
        )

    def load(self) -> Any:  # noqa: ANN401 - a Flask application; the stubs' type for one is narrower
        """Make the application, in the worker."""
        return self._make_app()
