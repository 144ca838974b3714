"""What is PostgreSQL's own: its locks, its time-outs, its connections, and how they are lost."""

import threading
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, text

from lockgate.storage import (
    StorageBusyError,
    StorageError,
    StorageOutcomeError,
    StorageSchemaError,
    check_schema,
    database,
    database_exists,
    open_engine,
    postgresql,
    read_transaction,
    write_transaction,
)
from support.commit_cutter import CommitCutter
from support.databases import OWNER, PostgreSQLServer
from support.things import add, add_alone, names, run_threads


@pytest.fixture
def url(postgresql_server: PostgreSQLServer, _closed_connections: None) -> str:
    """An empty database."""
    return postgresql_server.new_database()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A PostgreSQL database with the table of `support.things`."""
    engine = open_engine(url)
    with write_transaction(engine) as connection:
        connection.execute(text("CREATE TABLE thing (name VARCHAR(1000) PRIMARY KEY)"))
    yield engine
    engine.dispose()


def shown(engine: Engine, setting: str, *, read: bool = False) -> str:
    """Return what a setting is inside a transaction."""
    with (read_transaction if read else write_transaction)(engine) as connection:
        value: str = connection.execute(text(f"SHOW {setting}")).scalar_one()
    return value


def kill_backends(server: PostgreSQLServer, engine: Engine) -> None:
    """End every connection to a database from outside."""
    database = sql.Literal(engine.url.database)
    server.execute(
        sql.SQL("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = {}").format(database)
    )


def test_a_transaction_has_its_limits(engine: Engine) -> None:
    """Nothing waits for ever, a reader has a snapshot, a writer sees what was committed before each statement."""
    limits = {
        "transaction_isolation": ("read committed", "repeatable read"),
        "transaction_read_only": ("off", "on"),
        "lock_timeout": ("5s", "0"),
        "statement_timeout": ("30s", "1min"),
        "idle_in_transaction_session_timeout": ("10s", "1min"),
    }
    found = {name: (shown(engine, name), shown(engine, name, read=True)) for name in limits}

    assert found == limits


def test_a_patient_writer_may_be_idle(engine: Engine) -> None:
    """It has no limit between two statements, and every other one; the next writer on the connection has that too."""
    settings = ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout", "transaction_isolation")
    with write_transaction(engine, patient=True) as connection:
        found = [connection.execute(text(f"SHOW {setting}")).scalar_one() for setting in settings]

    assert found == ["0", "5s", "30s", "read committed"]
    assert shown(engine, "idle_in_transaction_session_timeout") == "10s"


def test_a_commit_is_synchronous_whatever_the_role_s_setting(
    engine: Engine, postgresql_server: PostgreSQLServer
) -> None:
    """A database that has it off does not make an acknowledged commit less than durable."""
    postgresql_server.execute(
        sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(sql.Identifier(engine.url.database or ""))
    )
    engine.dispose()

    assert shown(engine, "synchronous_commit", read=True) == "off"
    assert shown(engine, "synchronous_commit") == "on"


def test_settings_end_with_their_transaction(engine: Engine) -> None:
    """Behind a pooler, the next user of the connection is not affected."""
    shown(engine, "lock_timeout")
    with engine.connect() as connection:
        left = connection.execute(text("SHOW lock_timeout")).scalar_one()

    assert left == "0"


def test_a_row_that_is_locked_for_too_long_is_busy(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for a lock longer than the limit gets `storage.busy`."""
    monkeypatch.setattr(database, "WRITE_WAIT_S_MAX", 0.05)
    add_alone(engine, "a")
    update = text("UPDATE thing SET name = 'b'")
    with write_transaction(engine) as first:
        first.execute(update)
        with pytest.raises(StorageBusyError) as caught, write_transaction(engine) as second:
            second.execute(update)

    assert caught.value.code == "storage.busy"


def test_a_deadlock_is_busy(engine: Engine) -> None:
    """Of two transactions that wait for each other, one is told `storage.busy`, and the other one commits."""
    add_alone(engine, "a")
    add_alone(engine, "b")
    both_hold_one = threading.Barrier(2)
    errors = []

    def lock(thread: int) -> None:
        first, second = ("a", "b") if thread else ("b", "a")
        query = text("SELECT 1 FROM thing WHERE name = :name FOR UPDATE")
        try:
            with write_transaction(engine) as connection:
                connection.execute(query, {"name": first})
                both_hold_one.wait()
                connection.execute(query, {"name": second})
        except StorageError as exc:
            errors.append(exc.code)

    run_threads(lock, 2)

    assert errors == ["storage.busy"]


def test_a_conflict_of_snapshots_is_busy(engine: Engine) -> None:
    """A transaction that must be tried again, because it was made serializable, is `storage.busy`."""
    add_alone(engine, "a")
    with pytest.raises(StorageBusyError) as caught, write_transaction(engine) as connection:
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        connection.execute(text("SELECT * FROM thing"))
        with write_transaction(engine) as other:
            other.execute(text("UPDATE thing SET name = 'b'"))
        connection.execute(text("UPDATE thing SET name = 'c'"))

    assert caught.value.code == "storage.busy"
    assert names(engine) == ["b"]


def test_a_reader_cannot_write(engine: Engine) -> None:
    """The server itself refuses what a read transaction would write."""
    with pytest.raises(StorageError, match="read-only transaction") as caught, read_transaction(engine) as connection:
        add(connection, "a")

    assert caught.value.code == "storage.unavailable"


def test_a_standby_is_named(engine: Engine, postgresql_server: PostgreSQLServer) -> None:
    """A server that follows another one is read from, and a write fails as `storage.unavailable`."""
    add_alone(engine, "a")
    signal = postgresql_server.folder / "data" / "standby.signal"
    with postgresql_server.without_fsync():
        postgresql_server.stop()
        signal.touch()
        postgresql_server.start()
        with pytest.raises(StorageError, match="read-write mode during recovery") as caught:
            add_alone(engine, "b")
        read = names(engine)
        postgresql_server.stop()
        signal.unlink()
        postgresql_server.start()

    assert caught.value.code == "storage.unavailable"
    assert read == names(engine) == ["a"]


def test_when_every_connection_is_in_use_it_is_busy(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections are bounded, and who gets none in time is told `storage.busy`."""
    monkeypatch.setattr(postgresql, "CONNECTIONS_MAX", 1)
    monkeypatch.setattr(postgresql, "POOL_WAIT_S_MAX", 0.05)
    small = open_engine(engine.url.render_as_string(hide_password=False))
    with read_transaction(small), pytest.raises(StorageBusyError) as caught, read_transaction(small):
        pass
    with read_transaction(small):
        pass

    assert caught.value.code == "storage.busy"


def test_after_a_restart_the_next_transaction_works(engine: Engine, postgresql_server: PostgreSQLServer) -> None:
    """Dead connections in the pool, several of them, are found when a transaction begins, and replaced."""
    with read_transaction(engine), read_transaction(engine):
        pass
    add_alone(engine, "a")
    with postgresql_server.without_fsync():  # or the checkpoint of every test's database would take seconds
        postgresql_server.stop()
        postgresql_server.start()
    add_alone(engine, "b")

    assert names(engine) == ["a", "b"]


def test_after_a_crash_what_was_committed_is_there(engine: Engine, postgresql_server: PostgreSQLServer) -> None:
    """A server that is killed loses no commit, and its open transaction leaves nothing."""
    add_alone(engine, "a")
    with postgresql_server.without_fsync():
        with pytest.raises(StorageError), write_transaction(engine) as connection:
            add(connection, "b")
            postgresql_server.stop(crash=True)
        postgresql_server.start()

    assert names(engine) == ["a"]


def test_a_server_that_is_not_there_is_named(engine: Engine, postgresql_server: PostgreSQLServer) -> None:
    """While the server is down, reading and writing fail as `storage.unavailable`."""
    with postgresql_server.without_fsync():
        postgresql_server.stop()
        with pytest.raises(StorageError, match="refused") as reading, read_transaction(engine):
            pass
        with pytest.raises(StorageError, match="refused") as writing, write_transaction(engine):
            pass
        postgresql_server.start()

    assert reading.value.code == writing.value.code == "storage.unavailable"
    assert names(engine) == []


def test_a_connection_lost_inside_a_transaction_leaves_nothing(
    engine: Engine, postgresql_server: PostgreSQLServer
) -> None:
    """A killed backend ends the transaction, by name; the next one has a new connection."""
    with pytest.raises(StorageError) as caught, write_transaction(engine) as connection:
        add(connection, "a")
        kill_backends(postgresql_server, engine)
        add(connection, "b")

    assert caught.value.code == "storage.unavailable"
    assert names(engine) == []


def test_a_connection_lost_inside_does_not_hide_why_the_transaction_ended(
    engine: Engine, postgresql_server: PostgreSQLServer
) -> None:
    """An exception of the caller's arrives as it was, although nothing could be rolled back any more."""
    with pytest.raises(KeyError, match="mine"), write_transaction(engine) as connection:
        add(connection, "a")
        kill_backends(postgresql_server, engine)
        raise KeyError("mine")

    assert names(engine) == []


def test_a_lost_connection_that_was_swallowed_is_not_taken_for_committed(
    engine: Engine, postgresql_server: PostgreSQLServer
) -> None:
    """Who goes on after the loss is told at the end."""
    with pytest.raises(StorageError, match="nothing was written"), write_transaction(engine) as connection:
        add(connection, "a")
        kill_backends(postgresql_server, engine)
        with pytest.raises(Exception, match="terminat"):
            add(connection, "b")

    assert names(engine) == []


@pytest.mark.parametrize("reaches_the_server", [True, False])
def test_a_connection_lost_during_the_commit_has_no_known_outcome(engine: Engine, *, reaches_the_server: bool) -> None:
    """The same error, whether the server had committed or not; only a look can tell."""
    with CommitCutter(engine.url.port or 0, reaches_the_server=reaches_the_server) as cutter:
        cut = open_engine(engine.url.set(port=cutter.port).render_as_string(hide_password=False))
        with pytest.raises(StorageOutcomeError, match="unknown") as caught:
            add_alone(cut, "a")

    assert caught.value.code == "storage.outcome_unknown"
    assert names(engine) == (["a"] if reaches_the_server else [])


def test_a_wrong_password_is_named_and_not_shown(postgresql_server: PostgreSQLServer) -> None:
    """The server's words arrive, without the password."""
    engine = open_engine(postgresql_server.url("postgres", password="hunter2hunter2"))
    with pytest.raises(StorageError, match="password authentication failed") as caught, read_transaction(engine):
        pass

    assert caught.value.code == "storage.unavailable"
    assert "hunter2" not in f"{caught.value}{caught.value.__cause__}{engine}"


def test_a_password_with_reserved_characters_works(url: str, postgresql_server: PostgreSQLServer) -> None:
    """Percent-encoded, whatever is in a password arrives at the server."""
    role = sql.SQL("CREATE ROLE odd LOGIN PASSWORD {}").format(sql.Literal("a@b:c/d%e"))
    postgresql_server.execute(role)
    database = url.rpartition("/")[2]
    engine = open_engine(postgresql_server.url(database, "odd", "a%40b%3Ac%2Fd%25e"))

    assert shown(engine, "transaction_read_only") == "off"


def test_parameters_of_the_url_are_honoured(url: str) -> None:
    """TLS that is asked for and not to be had is an error, and no silent fall-back."""
    engine = open_engine(f"{url}?sslmode=require")
    with pytest.raises(StorageError, match="SSL") as caught, read_transaction(engine):
        pass

    assert caught.value.code == "storage.unavailable"


def test_an_unknown_parameter_of_the_url_is_named(url: str) -> None:
    """A typing error in a parameter is told when connecting."""
    engine = open_engine(f"{url}?sslmoode=require")
    with pytest.raises(StorageError, match="sslmoode") as caught, read_transaction(engine):
        pass

    assert caught.value.code == "storage.unavailable"


def test_the_second_of_two_servers_is_found(engine: Engine) -> None:
    """Of a list of servers, the one that answers and takes writes is used."""
    user, port = engine.url.render_as_string(hide_password=False).split("@")[0], engine.url.port
    hosts = f"host=127.0.0.1:1&host=127.0.0.1:{port}&target_session_attrs=read-write"
    several = open_engine(f"{user}@/{engine.url.database}?{hosts}")
    add_alone(several, "a")

    assert names(engine) == ["a"]


def test_the_other_spelling_of_the_url_is_the_same(url: str) -> None:
    """`postgresql+psycopg://` names the driver that is used anyway."""
    engine = open_engine(url.replace("postgresql:", "postgresql+psycopg:"))

    assert shown(engine, "transaction_read_only") == "off"


def test_a_missing_database_is_named(postgresql_server: PostgreSQLServer) -> None:
    """A server without the database says so, with the next steps."""
    engine = open_engine(postgresql_server.url("nowhere"))
    with pytest.raises(StorageSchemaError, match=r"createdb.*lockgate init") as caught:
        check_schema(engine)

    assert caught.value.code == "storage.schema"


def test_a_server_is_always_something_to_connect_to(engine: Engine) -> None:
    """Nothing is made by connecting, so there is nothing to find out before."""
    assert database_exists(engine)


def test_migrations_wait_for_each_other_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second migration waits, at most for its limit; a transaction of the service does not."""
    monkeypatch.setattr(database, "MIGRATION_WAIT_S_MAX", 0.05)
    with database.migration_transaction(engine) as connection:
        unlimited = connection.execute(text("SHOW statement_timeout")).scalar_one()
        add_alone(engine, "a")
        with pytest.raises(StorageBusyError) as caught, database.migration_transaction(engine):
            pass

    assert caught.value.code == "storage.busy"
    assert unlimited == "0"
    assert names(engine) == ["a"]


def test_the_tests_do_not_connect_as_a_superuser(engine: Engine) -> None:
    """What works here works for a plain owner of a database."""
    with read_transaction(engine) as connection:
        row = connection.execute(text("SELECT rolname, rolsuper FROM pg_roles WHERE rolname = current_user")).one()

    assert tuple(row) == (OWNER, False)


def test_commits_without_fsync_are_for_the_test_that_asked(postgresql_server: PostgreSQLServer) -> None:
    """The setting is back afterwards."""

    def fsync() -> object:
        with psycopg.connect(postgresql_server.url("postgres", "postgres")) as connection:
            row = connection.execute("SHOW fsync").fetchone()
        return row and row[0]

    with postgresql_server.without_fsync():
        off = fsync()

    assert (off, fsync()) == ("off", "on")
