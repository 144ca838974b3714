"""A connection that gives up on a server that says nothing at all.

The limits that the server keeps (`statement_timeout`) need a server that runs, and TCP notices a machine that is gone,
not a server that stands still on one that is there: a disk that hangs, a virtual machine that was suspended.
"""

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import ConnStatus

R = TypeVar("R")


class BoundedConnection(psycopg.Connection[Any]):
    """Waits for each answer for up to `answer_s_max` seconds, and is closed then; None: as long as it takes."""

    answer_s_max: float | None = None

    def wait(self, gen: PQGen[R], *args: Any, **kwargs: Any) -> R:  # noqa: ANN401 - psycopg's own
        """Wait for the server's answer.

        Raises:
            psycopg.OperationalError: None came in time; what was sent may have been done.
        """
        kwargs.setdefault("timeout", self.answer_s_max)
        try:
            return super().wait(gen, *args, **kwargs)
        except psycopg.OperationalError as exc:
            if exc.sqlstate is not None or self.pgconn.status != ConnStatus.OK:
                raise  # the server said why, or is gone
            # The answer may still come: nothing else can be asked on this connection.
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the server did not answer within {self.answer_s_max:g} s") from exc
