"""The databases of `support.databases`, and one with a table to play with."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from lockgate.storage import open_engine, write_transaction
from support.databases import (
    _closed_connections,
    database_url,
    empty_database_url,
    migrated_postgresql,
    migrated_sqlite,
    new_database,
    postgresql_server,
    postgresql_url,
)

__all__ = [
    "_closed_connections",
    "database_url",
    "empty_database_url",
    "migrated_postgresql",
    "migrated_sqlite",
    "new_database",
    "postgresql_server",
    "postgresql_url",
]


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Engine]:
    """A database of either kind with the table of `support.things`."""
    engine = open_engine(empty_database_url)
    with write_transaction(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE thing (name VARCHAR(1000) PRIMARY KEY)")
    yield engine
    engine.dispose()
