"""Which permits were used: step 9 of docs/formats/permit.md, section 3."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

KEPT_S: Final = (
    86_400  # a permit lives for a minute; a day more, so that a clock that is set back brings none to life again
)
BUSY_S: Final = 5.0  # how long one worker waits for another, which holds the file for milliseconds


class SpentPermitsError(Exception):
    """What was used cannot be read or written: nothing may be moved."""


class SpentPermits:
    """A SQLite file that the workers of one server share, on a disk of their own machine: SQLite locks it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def prepare(self) -> None:
        """Make the file if it is not there. Only at the start: one that is lost later must stop the guard.

        Raises:
            SpentPermitsError: It cannot be made or is something else.
        """
        try:
            self._path.touch(mode=0o600)
            with contextlib.closing(self._connect()) as connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS spent (permit_id TEXT PRIMARY KEY, spent_s INTEGER NOT NULL)"
                )
                connection.execute("SELECT permit_id, spent_s FROM spent LIMIT 1")
        except (OSError, sqlite3.Error) as exc:
            raise SpentPermitsError(f"{self._path}: {type(exc).__name__}") from exc

    def spend(self, permit_id: str, *, now_s: float) -> bool:
        """Use a permit up, durably, before anything is done with it.

        Args:
            permit_id: Its `jti`.
            now_s: Seconds since the epoch.

        Returns:
            Whether this was the first time.

        Raises:
            SpentPermitsError: The file does not answer.
        """
        try:
            with contextlib.closing(self._connect()) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("DELETE FROM spent WHERE spent_s < ?", (int(now_s) - KEPT_S,))
                inserted = connection.execute(
                    "INSERT OR IGNORE INTO spent (permit_id, spent_s) VALUES (?, ?)", (permit_id, int(now_s))
                ).rowcount
                connection.execute("COMMIT")
        except sqlite3.Error as exc:
            raise SpentPermitsError(f"{self._path}: {type(exc).__name__}") from exc
        return inserted == 1

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path.absolute().as_uri() + "?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None
        )
        connection.execute("PRAGMA synchronous = FULL")
        return connection
