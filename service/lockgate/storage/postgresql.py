"""PostgreSQL: how a connection is made, how a transaction begins, what its errors mean.

Through psycopg, in autocommit, so that transactions begin where this file says. A BEGIN and everything that holds for
its transaction travel together, in one round trip; it is also what finds out that a pooled connection is dead.
"""

import contextlib
import ipaddress
import re
from typing import Any, Final, Literal

import psycopg
from psycopg import errors as sqlstates
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from lockgate.storage.bounded_connection import BoundedConnection
from lockgate.storage.description import DatabaseDescription
from lockgate.storage.errors import REASON_CHARACTERS_MAX, StorageBusyError, StorageError, StorageSchemaError

CONNECTIONS_MAX: Final = 10  # of one process: its eight threads, the audit writer, one to spare
CONNECT_S_MAX: Final = 3  # a server that is up answers in milliseconds; a request waits for this
POOL_WAIT_S_MAX: Final = 5.0  # for a connection that another thread has: as long as for the write lock
SILENCE_S_MAX: Final = 10  # a peer that acknowledges nothing for so long is gone; TCP alone would wait for minutes
STATEMENT_S_MAX: Final = 30  # of a write: it works on a few rows, so this is a server in trouble
IDLE_S_MAX: Final = 10  # of a write between two statements: its row locks hold everybody up, and it only computes
READ_STATEMENT_S_MAX: Final = 60  # of a read: an export fetches few rows at a time; more is a query gone wrong
SILENT_SERVER_S: Final = 5  # longer than the server's own limit: it stands still, and cannot keep that
READ_IDLE_S_MAX: Final = 60  # of a read: its snapshot keeps dead rows alive; an export writes a few rows meanwhile
_SCHEMA_LOCK: Final = 0x4C4F434B47415445  # "LOCKGATE": one migration at a time in one database
_HOST: Final = re.compile(r"[A-Za-z0-9._,:%-]+|/[^@]*", re.ASCII)  # names, addresses, a socket's folder
_BUSY: Final = (sqlstates.LockNotAvailable, sqlstates.DeadlockDetected, sqlstates.SerializationFailure)

_BEGIN_READ: Final = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
    f"SET LOCAL statement_timeout = '{READ_STATEMENT_S_MAX}s';"
    f"SET LOCAL idle_in_transaction_session_timeout = '{READ_IDLE_S_MAX}s'"
)
# READ COMMITTED: the row locks of the stores queue the writers, and each statement sees what the one before it in the
# queue committed. synchronous_commit is set here because a role or a database may have it off.
_BEGIN_WRITE: Final = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;"
    "SET LOCAL synchronous_commit = on;"
    "SET LOCAL lock_timeout = '{wait_ms}ms';"
    f"SET LOCAL statement_timeout = '{STATEMENT_S_MAX}s';"
    f"SET LOCAL idle_in_transaction_session_timeout = '{IDLE_S_MAX}s'"
)
_DESCRIBE: Final = (
    "SELECT 'PostgreSQL ' || current_setting('server_version') AS server, current_user AS role, "
    "pg_is_in_recovery() AS standby, pg_database_size(current_database()) AS size_bytes, "
    "current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on' AS durable, "
    "CASE WHEN to_regclass('audit_entry') IS NULL THEN 'none' "
    "WHEN pg_has_role(current_user, (SELECT relowner FROM pg_class WHERE oid = to_regclass('audit_entry')), 'USAGE') "
    "THEN 'owner' WHEN has_table_privilege('audit_entry', 'INSERT') THEN 'service' ELSE 'none' END AS rights"
)
_BE_PATIENT: Final = "SET LOCAL idle_in_transaction_session_timeout = 0"
_BEGIN_MIGRATION: Final = (
    "SET LOCAL statement_timeout = 0;"  # building an index on a large table takes what it takes
    f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"
)


def open_engine(url: URL) -> Engine:
    """Open a database on a server; nothing is connected yet.

    Args:
        url: Its query may hold libpq's parameters, `sslmode` and the like.

    Raises:
        StorageError: `url` names no database, or a host that is none.
    """
    hosts = [url.host or "", *_listed(url.query.get("host", ()))]
    if not url.database or not any(hosts):
        raise StorageError("want postgresql://user@host:port/database, got a URL without a host or a database")
    if not all(_HOST.fullmatch(host) for host in hosts if host):
        # Not shown: with a reserved character left as it is, a part of the password is taken for the host.
        raise StorageError(
            "want a host name in the database URL; write '@', ':' and '/' of a password as %40, %3A, %2F"
        )
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=CONNECTIONS_MAX,
        max_overflow=0,
        pool_timeout=POOL_WAIT_S_MAX,
        pool_use_lifo=True,  # the rest may go cold, and is dropped where a server or proxy ends it
        hide_parameters=True,  # values of rows stay out of messages and tracebacks
        use_native_hstore=False,  # saves a query
        connect_args={
            "autocommit": True,
            "client_encoding": "utf8",
            "application_name": "lockgate",
            "connect_timeout": CONNECT_S_MAX,
            "tcp_user_timeout": SILENCE_S_MAX * 1000,
            "keepalives_idle": SILENCE_S_MAX // 2,
            "keepalives_interval": 1,
            "keepalives_count": SILENCE_S_MAX // 2,
        },
    )
    event.listen(engine, "do_connect", _connect)
    return engine


def database_exists(_engine: Engine) -> bool:
    """Say yes: a server makes no database by being asked, so that whoever connects is told."""
    return True


def describe(connection: Connection) -> DatabaseDescription:
    """Say what the server is, who we are there, and whether anybody else could listen."""
    row = connection.exec_driver_sql(_DESCRIBE).one()
    driver: Any = connection.connection.dbapi_connection
    # What libpq itself settled on, from the URL, its environment or its defaults.
    mode = {option.keyword: option.val for option in driver.pgconn.info}.get(b"sslmode")
    tls: Literal["verified", "unverified", "off"] = "off"
    if driver.pgconn.ssl_in_use:
        tls = "verified" if mode == b"verify-full" else "unverified"
    return DatabaseDescription(
        server=row.server,
        role=row.role,
        rights=row.rights,
        tls=tls,
        local=is_local(driver.info.host, driver.info.hostaddr),
        standby=row.standby,
        durable=row.durable,
        size_bytes=row.size_bytes,
    )


def is_local(host: str, address: str) -> bool:
    """Tell whether the way to a server stays on this machine.

    Args:
        host: What the URL names: a host, or the folder of a socket.
        address: What the host's name was resolved to; "" for a socket.
    """
    return host.startswith("/") or bool(address and ipaddress.ip_address(address.partition("%")[0]).is_loopback)


def turn_to_write(_engine: Engine, _wait_s: float) -> contextlib.AbstractContextManager[None]:
    """Wait for nothing: on a server, writers queue for the rows that they lock."""
    return contextlib.nullcontext()


def begin_read(connection: Connection) -> None:
    """Begin a transaction that sees one snapshot and can write nothing."""
    _limit_answers(connection, READ_STATEMENT_S_MAX)
    connection.exec_driver_sql(_BEGIN_READ)


def begin_write(connection: Connection, wait_s: float) -> None:
    """Begin a transaction whose commit is durable, and that waits for a lock for up to `wait_s`."""
    _limit_answers(connection, STATEMENT_S_MAX)
    connection.exec_driver_sql(_BEGIN_WRITE.format(wait_ms=int(wait_s * 1000)))


def begin_patient_write(connection: Connection, wait_s: float) -> None:
    """Begin a transaction as `begin_write`, for a caller that may compute at length between two statements."""
    begin_write(connection, wait_s)
    connection.exec_driver_sql(_BE_PATIENT)


def begin_migration(connection: Connection, wait_s: float) -> None:
    """Begin a transaction that is the only one to change the tables."""
    begin_write(connection, wait_s)
    _limit_answers(connection, None)
    connection.exec_driver_sql(_BEGIN_MIGRATION)


def is_in_transaction(connection: Connection) -> bool:
    """Tell whether a COMMIT would keep what was done.

    PostgreSQL answers a COMMIT after a failed statement with a ROLLBACK, and no error.
    """
    driver: Any = connection.connection.dbapi_connection
    return bool(driver.info.transaction_status == TransactionStatus.INTRANS)


def name_error(error: DBAPIError) -> StorageError:
    """Return what an error of the driver means to a caller; no value of a row, no password."""
    reason = _reason(error)
    if isinstance(error.orig, _BUSY):
        return StorageBusyError(f"the database is busy: {reason}")
    if re.search(r'FATAL: +database ".*" does not exist', reason):
        return StorageSchemaError("the server has no such database; make it (createdb), then run 'lockgate init'")
    return StorageError(f"the database failed: {reason}")


def is_outcome_unknown(error: DBAPIError) -> bool:
    """Tell whether a COMMIT that failed with this may have been done nevertheless."""
    return error.connection_invalidated


def _connect(_dialect: object, _record: object, arguments: Any, parameters: Any) -> BoundedConnection:  # noqa: ANN401 - SQLAlchemy's own types
    return BoundedConnection.connect(*arguments, **parameters)


def _limit_answers(connection: Connection, statement_s_max: float | None) -> None:
    driver: Any = connection.connection.dbapi_connection
    driver.answer_s_max = None if statement_s_max is None else statement_s_max + SILENT_SERVER_S


def _reason(error: DBAPIError) -> str:
    said = error.orig.diag.message_primary if isinstance(error.orig, psycopg.Error) else None
    return " ".join((said or str(error.orig)).split())[:REASON_CHARACTERS_MAX]


def _listed(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
