"""A database of either kind, with a table to play with."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from lockgate.storage import open_engine, write_transaction


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Engine]:
    """A database of either kind with the table of `support.things`."""
    engine = open_engine(empty_database_url)
    with write_transaction(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE thing (name VARCHAR(1000) PRIMARY KEY)")
    yield engine
    engine.dispose()
