"""A PostgreSQL server that stands still: given up in bounded time, and the next transaction works."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, Engine, text

from lockgate.storage import (
    StorageError,
    StorageOutcomeError,
    open_engine,
    postgresql,
    read_transaction,
    write_transaction,
)
from support.databases import PostgreSQLServer
from support.things import add, add_alone, names


@pytest.fixture
def engine(postgresql_server: PostgreSQLServer, _closed_connections: None) -> Iterator[Engine]:
    """A PostgreSQL database with the table of `support.things`."""
    engine = open_engine(postgresql_server.new_database())
    with write_transaction(engine) as connection:
        connection.execute(text("CREATE TABLE thing (name VARCHAR(1000) PRIMARY KEY)"))
    yield engine
    engine.dispose()


@pytest.fixture
def still() -> Iterator[Callable[[Connection], None]]:
    """Make the server process behind a connection stand still until the test is over, as on a disk that hangs."""
    stopped: list[int] = []

    def stand_still(connection: Connection) -> None:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        os.kill(pid, signal.SIGSTOP)
        stopped.append(pid)

    yield stand_still
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)


def test_a_server_that_stands_still_is_given_up(
    engine: Engine, still: Callable[[Connection], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer at all, from a process that can keep no time-out: an error in bounded time, and a new connection."""
    monkeypatch.setattr(postgresql, "STATEMENT_S_MAX", 0.1)
    monkeypatch.setattr(postgresql, "READ_STATEMENT_S_MAX", 0.1)
    monkeypatch.setattr(postgresql, "SILENT_SERVER_S", 0.1)
    for transaction in (read_transaction, write_transaction):
        with (
            pytest.raises(StorageError, match=r"did not answer within 0\.2 s") as caught,
            transaction(engine) as connection,
        ):
            still(connection)
            connection.execute(text("SELECT 1"))

        assert caught.value.code == "storage.unavailable"
    monkeypatch.undo()
    add_alone(engine, "a")

    assert names(engine) == ["a"]


def test_a_commit_that_is_not_answered_has_no_known_outcome(
    engine: Engine, still: Callable[[Connection], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may do it when it goes on again."""
    monkeypatch.setattr(postgresql, "STATEMENT_S_MAX", 0.1)
    monkeypatch.setattr(postgresql, "SILENT_SERVER_S", 0.1)
    with pytest.raises(StorageOutcomeError, match="unknown") as caught, write_transaction(engine) as connection:
        add(connection, "a")
        still(connection)

    assert caught.value.code == "storage.outcome_unknown"
