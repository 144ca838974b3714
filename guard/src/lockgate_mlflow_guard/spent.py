"""Which permits were used, and when the newest of each pointer was signed: steps 9 and 10 of docs/formats/permit.md."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Final, Literal

from lockgate_mlflow_guard.permits import Move, Permit

KEPT_S: Final = (
    86_400  # a permit lives for a minute; a day more, so that a clock that is set back brings none to life again
)
BUSY_S: Final = 5.0  # how long one worker waits for another, which holds the file for milliseconds


_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS spent (permit_id TEXT PRIMARY KEY, spent_s INTEGER NOT NULL)",
    """CREATE TABLE IF NOT EXISTS newest (
        model TEXT NOT NULL, alias TEXT NOT NULL, issued_s INTEGER NOT NULL, promotion TEXT NOT NULL,
        spent_s INTEGER NOT NULL, PRIMARY KEY (model, alias))""",
)


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
                for table in _TABLES:
                    connection.execute(table)
                connection.execute("SELECT permit_id, spent_s FROM spent LIMIT 1")
                connection.execute("SELECT model, alias, issued_s, promotion, spent_s FROM newest LIMIT 1")
        except (OSError, sqlite3.Error) as exc:
            raise SpentPermitsError(f"{self._path}: {type(exc).__name__}") from exc

    def spend(self, permit: Permit, move: Move, *, now_s: float) -> Literal["permit.used", "permit.superseded"] | None:
        """Use a permit up, durably, before anything is done with it.

        Args:
            permit: It was verified for the move.
            move: What is about to happen.
            now_s: Seconds since the epoch.

        Returns:
            Why it does not count; None where it does.

        Raises:
            SpentPermitsError: The file does not answer.
        """
        try:
            with contextlib.closing(self._connect()) as connection:
                connection.execute("BEGIN IMMEDIATE")  # what returns before COMMIT has changed nothing
                for table in ("spent", "newest"):
                    connection.execute(f"DELETE FROM {table} WHERE spent_s < ?", (int(now_s) - KEPT_S,))  # noqa: S608 - ours
                # (9) Once.
                if not _insert(connection, permit.permit_id, now_s):
                    return "permit.used"
                # (10) In the order in which the gate signed.
                pointer = (move.model, move.alias)
                newest = connection.execute(
                    "SELECT issued_s, promotion FROM newest WHERE model = ? AND alias = ?", pointer
                ).fetchone()
                if newest is not None and not _follows(permit, *newest):
                    return "permit.superseded"
                connection.execute(
                    "INSERT OR REPLACE INTO newest (model, alias, issued_s, promotion, spent_s) VALUES (?, ?, ?, ?, ?)",
                    (*pointer, permit.issued_s, permit.promotion, int(now_s)),
                )
                connection.execute("COMMIT")
        except sqlite3.Error as exc:
            raise SpentPermitsError(f"{self._path}: {type(exc).__name__}") from exc
        return None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path.absolute().as_uri() + "?mode=rw", uri=True, timeout=BUSY_S, isolation_level=None
        )
        connection.execute("PRAGMA synchronous = FULL")
        return connection


def _insert(connection: sqlite3.Connection, permit_id: str, now_s: float) -> bool:
    statement = "INSERT OR IGNORE INTO spent (permit_id, spent_s) VALUES (?, ?)"
    return connection.execute(statement, (permit_id, int(now_s))).rowcount == 1


def _follows(permit: Permit, issued_s: int, promotion: str) -> bool:
    # Of two that were signed within one second nobody knows which came first, unless they are one promotion's.
    return permit.issued_s > issued_s or (permit.issued_s == issued_s and permit.promotion == promotion)
