"""The statements that SQLAlchemy Core has no words of its own for."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Table, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from lockgate.digests import sha256_hex


def upsert(connection: Connection, table: Table, row: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Insert a row; where one with the same primary key is there, change that one instead.

    Atomic on both databases: of two transactions that insert the same row, the second changes the first one's.

    Args:
        connection: Of a write transaction.
        table: A table with a primary key.
        row: Every column of a new row.
        changes: Columns to set in a row that is there.
    """
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(row)
    connection.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changes))


def upsert_all(
    connection: Connection,
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    changes: Callable[[ReadOnlyColumnCollection[str, Any]], Mapping[str, Any]],
) -> None:
    """Insert rows; where one with the same primary key is there, change that one instead. Atomic as `upsert`.

    Args:
        connection: Of a write transaction.
        table: A table with a primary key.
        rows: Every column of each row, at least one row, no two with one key; in the order in which they are locked.
        changes: Given the columns of the row that came, says what to set in the row that is there.
    """
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    changed = statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changes(statement.excluded))
    connection.execute(changed, list(rows))


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any], *, key: Sequence[str] = ()) -> bool:
    """Insert a row unless one with the same key is there or is being inserted; tell whether it was inserted.

    It waits for nobody: of two transactions that insert the same row, the second is told that it was not inserted, even
    if the first is rolled back later. On SQLite there is never a second one.

    Args:
        connection: Of a write transaction.
        table: A table with that key.
        row: Every column of the row, but for one that the database counts up.
        key: The columns of a unique constraint; none = those of the primary key.
    """
    keys = [table.c[name] for name in key] or list(table.primary_key)
    if missing := {column.name for column in keys} - row.keys():
        raise AssertionError(f"want a key whose columns are in the row of {table.name}, without {sorted(missing)}")
    if connection.dialect.name != "postgresql":
        new = sqlite.insert(table).values(row).on_conflict_do_nothing(index_elements=keys)
        return connection.execute(new.returning(*keys)).first() is not None
    # Whoever inserts a row holds a lock of its key until the end: to wait for him could be to wait in a circle.
    name = "\n".join((table.name, *(str(row[column.name]) for column in keys)))
    number = int(sha256_hex(name.encode())[:16], 16) - 2**63  # a lock's name is a number of 64 bits with a sign
    is_ours = func.pg_try_advisory_xact_lock(literal(number, BigInteger))
    values = select(*(literal(value, table.c[column].type) for column, value in row.items())).where(is_ours)
    inserted = postgresql.insert(table).from_select(list(row), values).on_conflict_do_nothing(index_elements=keys)
    return connection.execute(inserted.returning(*keys)).first() is not None
