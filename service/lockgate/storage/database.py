"""The engine and its two kinds of transaction.

SQLite runs in WAL mode with `synchronous=FULL`, so that a committed transaction survives a power cut. Writers queue on
a lock file before `BEGIN IMMEDIATE`: SQLite's own busy time-out lets one of several processes starve (SQLite's lock
is not fair), `flock` does not.
"""

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from lockgate.storage.errors import StorageBusyError, StorageError

WRITE_WAIT_S_MAX: Final = 5.0  # past this a caller is told to come back (503), rather than held
_POLL_S: Final = 0.002
_BUSY_MESSAGES: Final = ("database is locked", "database table is locked", "database is busy")


def open_engine(url: str) -> Engine:
    """Open the database that `url` names; nothing is read or created yet.

    Args:
        url: An SQLAlchemy URL, `sqlite:////absolute/path`.

    Raises:
        StorageError: `url` is not a database this version can use.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise StorageError("want a database URL such as sqlite:////var/lib/lockgate/lockgate.db") from exc
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        raise StorageError(f"want sqlite:////path/to/file, got a {parsed.get_backend_name()} URL")
    engine = create_engine(parsed, connect_args={"timeout": WRITE_WAIT_S_MAX})
    event.listen(engine, "connect", _prepare_connection)
    return engine


@contextlib.contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """Give a connection that sees one snapshot of the database and writes nothing.

    Raises:
        StorageError: The database cannot be read.
    """
    with _named_errors(), engine.connect() as connection:
        connection.execute(text("BEGIN"))
        try:
            yield connection
        finally:
            connection.rollback()


@contextlib.contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """Give a connection that holds the write lock; commit at the end, roll back on any exception.

    Raises:
        StorageBusyError: Another writer held the lock for `WRITE_WAIT_S_MAX` seconds.
        StorageError: The database cannot be written.
    """
    with _named_errors(), _queue_for_writing(engine), engine.connect() as connection:
        connection.execute(text("BEGIN IMMEDIATE"))
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        connection.commit()


def _prepare_connection(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's own type
    connection.isolation_level = None  # transactions begin where this file says, not where the driver guesses
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}")


@contextlib.contextmanager
def _queue_for_writing(engine: Engine) -> Iterator[None]:
    path = Path(f"{engine.url.database}.lock")
    try:
        # A descriptor of our own for each transaction: flock then also queues the threads of one process.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise StorageError(f"cannot open the lock file beside the database: {exc.strerror}") from exc
    try:
        _lock(descriptor)
        yield
    finally:
        os.close(descriptor)  # gives the lock back


def _lock(descriptor: int) -> None:
    deadline = time.monotonic() + WRITE_WAIT_S_MAX
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            if time.monotonic() >= deadline:
                raise StorageBusyError(f"the database was busy for {WRITE_WAIT_S_MAX:g} s; try again") from exc
            time.sleep(_POLL_S)
        else:
            return


@contextlib.contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except DBAPIError as exc:
        reason = str(exc.orig)
        if any(message in reason for message in _BUSY_MESSAGES):
            raise StorageBusyError(f"the database is busy: {reason}") from exc
        raise StorageError(f"the database failed: {reason}") from exc
    except SQLAlchemyError as exc:
        raise StorageError(f"the database failed: {type(exc).__name__}") from exc
