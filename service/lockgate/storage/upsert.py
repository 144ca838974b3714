"""The statements that SQLAlchemy Core has no words of its own for."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def upsert(connection: Connection, table: Table, row: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Insert a row; where one with the same primary key is there, change that one instead.

    Atomic on both databases: of two transactions that insert the same row, the second changes the first one's.

    Args:
        connection: Of a write transaction.
        table: A table with a primary key.
        row: Every column of a new row.
        changes: Columns to set in a row that is there.
    """
    statement = _insert(connection, table, row).on_conflict_do_update(
        index_elements=list(table.primary_key), set_=changes
    )
    connection.execute(statement)


def insert_new(connection: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert a row unless one with the same primary key is there; tell whether it was inserted.

    Atomic on both databases: of two transactions that insert the same row, the second waits for the first.
    """
    keys = list(table.primary_key)
    statement = _insert(connection, table, row).on_conflict_do_nothing(index_elements=keys).returning(*keys)
    return connection.execute(statement).first() is not None


def _insert(connection: Connection, table: Table, row: Mapping[str, Any]) -> postgresql.Insert | sqlite.Insert:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(table).values(row)
