"""What deleted rows leave behind in a database's files, and getting rid of it."""

from typing import Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from lockgate.storage import database, sqlite
from lockgate.storage.errors import StorageBusyError, StorageError

_BUSY: Final = 1  # the first column that a checkpoint answers with


def clear_remnants(engine: Engine) -> bool:
    """Overwrite what deleted rows left behind, as far as that can be done beside a running service.

    SQLite deletes by overwriting with zeros (`secure_delete`), but the log of its last writes still has the old pages.
    It is moved into the database file and cut to nothing here. PostgreSQL keeps deleted rows until a VACUUM, and in its
    own write-ahead log and backups for longer: that is its operator's to do (docs/howto/erase-and-prune.md).

    Returns:
        Whether nothing is left in the files that are in use. If not on SQLite, somebody was reading or kept the
        turn to write: call it again.

    Raises:
        StorageError: The database failed.
    """
    if engine.dialect.name != "sqlite":
        return False
    try:
        with sqlite.turn_to_write(engine, database.WRITE_WAIT_S_MAX), engine.connect() as connection:
            return _empty_wal(connection)
    except StorageBusyError:
        return False
    except DBAPIError as exc:
        raise StorageError(f"the database could not be cleared: {type(exc.orig).__name__}") from exc


def _empty_wal(connection: Connection) -> bool:
    # SQLite would wait for readers with its write lock held, and every writer with it: it is not to wait at all.
    wait_ms = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql("PRAGMA busy_timeout = 0")
    try:
        answer = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {wait_ms}")  # the pool lends the connection again
    return bool(answer[0] != _BUSY)
