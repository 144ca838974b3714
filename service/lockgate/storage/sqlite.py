"""SQLite: how a connection is made, how writers take turns, what its errors mean.

WAL mode with `synchronous=FULL`, so that a committed transaction survives a power cut. Writers take turns (`turns.py`)
before `BEGIN IMMEDIATE`: SQLite's own busy time-out lets one of several processes starve.
"""

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from lockgate.storage.description import DatabaseDescription
from lockgate.storage.errors import REASON_CHARACTERS_MAX, StorageBusyError, StorageError
from lockgate.storage.turns import take_turn

FOREIGN_WAIT_S_MAX: Final = 5.0  # for a program that locks the file and knows nothing of the lock file
POOL_WAIT_S_MAX: Final = 5.0  # for a connection that another thread has; there are 15
# `secure_delete`: what is erased leaves the file too; not every build of SQLite has that as its default.
_PRAGMAS: Final = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF", "secure_delete=ON")
_SYNCHRONOUS_FULL: Final = 2  # as PRAGMA synchronous answers
_PRIMARY_CODE: Final = 0xFF  # of SQLite's extended result codes
_BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_CONNECTING: Final = threading.Lock()
# A child must not inherit it held by a thread that it has not.
os.register_at_fork(before=_CONNECTING.acquire, after_in_parent=_CONNECTING.release, after_in_child=_CONNECTING.release)


def open_engine(url: URL) -> Engine:
    """Open a database file; nothing is read or created yet.

    Args:
        url: Its database is the file's path.

    Raises:
        StorageError: `url` names no file.
    """
    if not url.database or url.database == ":memory:":
        raise StorageError("want sqlite:////path/to/file, got a URL without a file")
    engine = create_engine(
        url,
        pool_timeout=POOL_WAIT_S_MAX,
        hide_parameters=True,  # values of rows stay out of messages and tracebacks
        connect_args={"timeout": FOREIGN_WAIT_S_MAX},
    )
    event.listen(engine, "do_connect", lambda *_: _make_file(Path(url.database or "").resolve()))
    event.listen(engine, "connect", _prepare_connection)
    return engine


def database_exists(engine: Engine) -> bool:
    """Tell whether there is a file; to connect would make one."""
    return Path(engine.url.database or "").is_file()


def describe(connection: Connection) -> DatabaseDescription:
    """Say what the file is."""

    def pragma(name: str) -> int:
        return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())

    return DatabaseDescription(
        server=f"SQLite {sqlite3.sqlite_version}",
        role=None,
        rights="owner",
        tls="off",
        local=True,
        standby=False,
        durable=pragma("synchronous") >= _SYNCHRONOUS_FULL,
        size_bytes=pragma("page_count") * pragma("page_size"),
    )


def turn_to_write(engine: Engine, wait_s: float) -> contextlib.AbstractContextManager[None]:
    """Return what waits for this transaction's turn among the writers of all threads and processes."""
    return take_turn(engine, engine.url.database or "", wait_s)


def begin_read(connection: Connection) -> None:
    """Begin a transaction that sees one snapshot."""
    connection.exec_driver_sql("BEGIN")


def begin_write(connection: Connection, _wait_s: float) -> None:
    """Begin a transaction that holds the write lock."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def begin_patient_write(connection: Connection, wait_s: float) -> None:
    """Begin a transaction as `begin_write`: no time limit ends one here."""
    begin_write(connection, wait_s)


def begin_migration(connection: Connection, wait_s: float) -> None:
    """Begin a transaction that is the only one to change the tables: every writer is."""
    begin_write(connection, wait_s)


def is_in_transaction(connection: Connection) -> bool:
    """Tell whether a COMMIT would keep what was done: some errors make SQLite roll back at once."""
    driver: Any = connection.connection.dbapi_connection
    return bool(driver.in_transaction)


def name_error(error: DBAPIError) -> StorageError:
    """Return what an error of the driver means to a caller."""
    reason = str(error.orig)[:REASON_CHARACTERS_MAX]
    if _extended_code(error) & _PRIMARY_CODE in _BUSY:
        return StorageBusyError(f"the database is busy: {reason}")
    return StorageError(f"the database failed: {reason}")


def is_outcome_unknown(error: DBAPIError) -> bool:
    """Tell whether a COMMIT that failed with this may have been done nevertheless.

    When the WAL cannot be synced, SQLite forgets the transaction; but what it wrote is found again after a crash.
    """
    return _extended_code(error) == sqlite3.SQLITE_IOERR_FSYNC


def _make_file(path: Path) -> None:
    # Whoever reads the file reads every record: SQLite would leave that to the umask. Its -wal and -shm take the file's
    # mode. Under a lock: to close a file takes away the locks that SQLite has on it in this process.
    with _CONNECTING:
        if path.exists():
            return
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:  # another process was first
            return
        except OSError as exc:
            raise StorageError(f"cannot make the database file {path.name}: {exc.strerror}") from exc


def _prepare_connection(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own type
    connection.isolation_level = None  # transactions begin where this file says, not where the driver guesses
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _extended_code(error: DBAPIError) -> int:
    return getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_OK)  # the driver's own errors have none
