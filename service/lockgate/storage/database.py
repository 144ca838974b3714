"""The engine and its two kinds of transaction, the same on both databases.

What differs between them is in `sqlite.py` and `postgresql.py`, two modules of one shape.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol
from weakref import WeakSet

from sqlalchemy import URL, Connection, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from lockgate.storage import postgresql, sqlite
from lockgate.storage.description import DatabaseDescription
from lockgate.storage.errors import StorageBusyError, StorageError, StorageOutcomeError

WRITE_WAIT_S_MAX: Final = 5.0  # past this a caller is told to come back (503), rather than held
MIGRATION_WAIT_S_MAX: Final = 60.0  # instances that start together wait for the first to migrate


class _Kind(Protocol):
    """What `sqlite.py` and `postgresql.py` each say of their database."""

    def open_engine(self, url: URL, /) -> Engine: ...
    def database_exists(self, engine: Engine, /) -> bool: ...
    def turn_to_write(self, engine: Engine, wait_s: float, /) -> contextlib.AbstractContextManager[None]: ...
    def describe(self, connection: Connection, /) -> DatabaseDescription: ...
    def begin_read(self, connection: Connection, /) -> None: ...
    def begin_write(self, connection: Connection, wait_s: float, /) -> None: ...
    def begin_patient_write(self, connection: Connection, wait_s: float, /) -> None: ...
    def begin_migration(self, connection: Connection, wait_s: float, /) -> None: ...
    def is_in_transaction(self, connection: Connection, /) -> bool: ...
    def name_error(self, error: DBAPIError, /) -> StorageError: ...
    def is_outcome_unknown(self, error: DBAPIError, /) -> bool: ...


# By the scheme of a URL; an engine's `dialect.name` is one of them.
_KINDS: Final[Mapping[str, _Kind]] = {"sqlite": sqlite, "postgresql": postgresql, "postgresql+psycopg": postgresql}


def open_engine(url: str) -> Engine:
    """Open the database that `url` names; nothing is read, created or connected yet.

    Args:
        url: `sqlite:////absolute/path`, or `postgresql://user@host:port/database` with libpq's parameters in its
            query (`?sslmode=verify-full`). A password stands in the URL or in libpq's password file.

    Raises:
        StorageError: `url` is not a database this version can use. The message does not show it: it may be a secret.
    """
    try:
        parsed = make_url(url)
        engine = _KINDS[parsed.drivername].open_engine(parsed)
    except (ArgumentError, ValueError, KeyError):  # ValueError: a port that is no number
        raise StorageError(
            "want a database URL, sqlite:////var/lib/lockgate/lockgate.db or postgresql://user@host:port/database"
        ) from None  # the library's message shows the URL
    _ENGINES.add(engine)
    return engine


_ENGINES: Final[WeakSet[Engine]] = WeakSet()


def _forget_connections() -> None:
    # In the child of a fork: what the parent is connected to is the parent's.
    for engine in list(_ENGINES):
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_forget_connections)


def database_exists(engine: Engine) -> bool:
    """Tell whether there is something to connect to; to find out, nothing is made.

    A PostgreSQL server is always something: whether it has the database, the first transaction tells.
    """
    return _KINDS[engine.dialect.name].database_exists(engine)


def describe_database(engine: Engine) -> DatabaseDescription:
    """Say what the database is, and how this process is connected to it.

    Raises:
        StorageError: The database cannot be read.
    """
    with read_transaction(engine) as connection:
        return _KINDS[engine.dialect.name].describe(connection)


@contextlib.contextmanager
def read_transaction(engine: Engine) -> Iterator[Connection]:
    """Give a connection that sees one snapshot of the database and writes nothing.

    Raises:
        StorageError: The database cannot be read.
    """
    with _named_errors(engine), _begun(engine, _KINDS[engine.dialect.name].begin_read) as connection:
        try:
            yield connection
        finally:
            _roll_back(connection)


@contextlib.contextmanager
def write_transaction(engine: Engine, *, patient: bool = False) -> Iterator[Connection]:
    """Give a connection that may write; commit at the end, durably, or roll back on any exception.

    On SQLite it holds the one write lock; on PostgreSQL it is READ COMMITTED and locks the rows that it changes.

    Args:
        engine: The database.
        patient: Whether it may do other things between two statements for longer than `postgresql.IDLE_S_MAX`,
            which is the limit there: for an operator's command that nobody else writes beside.

    Raises:
        StorageBusyError: Another writer held a lock for `WRITE_WAIT_S_MAX` seconds, or a deadlock was resolved.
        StorageOutcomeError: The database was lost during the commit.
        StorageError: The database cannot be written.
    """
    kind = _KINDS[engine.dialect.name]
    begin, wait_s = kind.begin_patient_write if patient else kind.begin_write, WRITE_WAIT_S_MAX
    with _writing(engine, lambda connection: begin(connection, wait_s), wait_s) as made:
        yield made


@contextlib.contextmanager
def migration_transaction(engine: Engine) -> Iterator[Connection]:
    """Give a connection that alone may change the tables; other migrations wait for `MIGRATION_WAIT_S_MAX` seconds.

    Raises:
        StorageError: As `write_transaction`.
    """
    kind = _KINDS[engine.dialect.name]
    wait_s = MIGRATION_WAIT_S_MAX
    with _writing(engine, lambda connection: kind.begin_migration(connection, wait_s), wait_s) as connection:
        yield connection


@contextlib.contextmanager
def _writing(engine: Engine, begin: Callable[[Connection], None], wait_s: float) -> Iterator[Connection]:
    kind = _KINDS[engine.dialect.name]
    with _named_errors(engine), kind.turn_to_write(engine, wait_s), _begun(engine, begin) as connection:
        try:
            yield connection
        except BaseException:
            _roll_back(connection)
            raise
        _commit(kind, connection)


@contextlib.contextmanager
def _begun(engine: Engine, begin: Callable[[Connection], None]) -> Iterator[Connection]:
    connection = engine.connect()
    try:
        try:
            begin(connection)
        except DBAPIError as exc:
            if not exc.connection_invalidated:
                raise
            # The pooled connection was dead, and with it the pool dropped all its others. Nothing was done on it yet.
            connection.close()
            connection = engine.connect()
            begin(connection)
        yield connection
    finally:
        connection.close()


def _roll_back(connection: Connection) -> None:
    try:
        connection.rollback()
    except SQLAlchemyError:
        # A lost connection has rolled back by itself; it must not hide why this transaction ended.
        connection.invalidate()


def _commit(kind: _Kind, connection: Connection) -> None:
    # A driver's commit() without a transaction that can be committed reports success, and nothing was kept.
    if connection.invalidated or not kind.is_in_transaction(connection):
        _roll_back(connection)
        raise StorageError("the database had given the transaction up after an error inside it; nothing was written")
    try:
        connection.commit()
    except DBAPIError as exc:
        if kind.is_outcome_unknown(exc):
            raise StorageOutcomeError(
                "the database was lost during the commit; whether the transaction was written is unknown"
            ) from exc
        raise


@contextlib.contextmanager
def _named_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DBAPIError as exc:
        named = _KINDS[engine.dialect.name].name_error(exc)
        if isinstance(exc, OperationalError) and not isinstance(named, StorageBusyError):
            # In whatever state an I/O error left its connections, the next transaction begins with new ones: SQLite,
            # for one, keeps a lock that it could not give back until the last of them is closed.
            engine.dispose()
        raise named from exc
    except PoolTimeoutError as exc:
        raise StorageBusyError("every connection to the database is in use; try again") from exc
    except SQLAlchemyError as exc:
        raise StorageError(f"the database failed: {type(exc).__name__}") from exc
