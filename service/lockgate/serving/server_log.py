"""Gunicorn's own log, handed to ours."""

from typing import Any

from gunicorn.glogging import Logger


class ServerLog(Logger):
    """Writes nothing itself: what gunicorn says is a library's line (`lockgate.logs`)."""

    def setup(self, cfg: Any) -> None:  # noqa: ANN401 - gunicorn's configuration
        """Set the levels up, as gunicorn does, and leave writing to the root logger."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
