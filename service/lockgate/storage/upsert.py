"""The one statement that SQLAlchemy Core has no word of its own for."""

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
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(row)
    connection.execute(statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=changes))
