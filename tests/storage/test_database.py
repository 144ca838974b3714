"""The two kinds of transaction."""

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from lockgate.storage import (
    StorageBusyError,
    StorageError,
    StorageSchemaError,
    check_schema,
    database,
    open_engine,
    read_transaction,
    upgrade_schema,
    write_transaction,
)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """Give a database with one table."""
    engine = open_engine(f"sqlite:///{tmp_path / 'lockgate.db'}")
    with write_transaction(engine) as connection:
        connection.execute(text("CREATE TABLE thing (name TEXT PRIMARY KEY)"))
    return engine


def names(engine: Engine) -> list[str]:
    """Read the table."""
    with read_transaction(engine) as connection:
        return list(connection.execute(text("SELECT name FROM thing ORDER BY name")).scalars())


def test_what_a_write_transaction_did_is_there_afterwards(engine: Engine) -> None:
    """A write transaction commits at its end."""
    with write_transaction(engine) as connection:
        connection.execute(text("INSERT INTO thing VALUES ('a')"))

    assert names(engine) == ["a"]


def test_an_exception_undoes_the_whole_transaction(engine: Engine) -> None:
    """Nothing half-written stays behind."""
    with pytest.raises(KeyError), write_transaction(engine) as connection:
        connection.execute(text("INSERT INTO thing VALUES ('a')"))
        raise KeyError

    assert names(engine) == []


def test_a_commit_is_synchronous(engine: Engine) -> None:
    """WAL with synchronous=FULL: what was committed survives a power cut."""
    with read_transaction(engine) as connection:
        journal = connection.execute(text("PRAGMA journal_mode")).scalar_one()
        synchronous = connection.execute(text("PRAGMA synchronous")).scalar_one()

    assert (journal, synchronous) == ("wal", 2)


def test_a_reader_sees_one_snapshot(engine: Engine) -> None:
    """What others commit meanwhile is not seen before the next transaction."""
    with read_transaction(engine) as reading:
        before = reading.execute(text("SELECT count(*) FROM thing")).scalar_one()
        with write_transaction(engine) as writing:
            writing.execute(text("INSERT INTO thing VALUES ('a')"))
        after = reading.execute(text("SELECT count(*) FROM thing")).scalar_one()

    assert (before, after) == (0, 0)
    assert names(engine) == ["a"]


def test_a_writer_that_waits_too_long_is_told_so(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A held database answers `storage.busy`, within the limit."""
    monkeypatch.setattr(database, "WRITE_WAIT_S_MAX", 0.05)
    with write_transaction(engine), pytest.raises(StorageBusyError) as caught, write_transaction(engine):
        pass

    assert caught.value.code == "storage.busy"


def test_a_lock_held_by_a_foreign_program_is_busy_too(tmp_path: Path) -> None:
    """A program that knows nothing of the lock file blocks SQLite itself; the answer is the same."""
    path = tmp_path / "lockgate.db"
    engine = open_engine(f"sqlite:///{path}")
    with write_transaction(engine) as connection:
        connection.execute(text("CREATE TABLE thing (name TEXT)"))
        connection.execute(text("PRAGMA busy_timeout=50"))
    foreign = sqlite3.connect(path, isolation_level=None)
    foreign.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StorageBusyError) as caught, write_transaction(engine):
            pass
    finally:
        foreign.close()

    assert caught.value.code == "storage.busy"


def test_a_full_disk_is_named(engine: Engine) -> None:
    """When the database may not grow any more, the write fails as `storage.unavailable` and leaves nothing."""
    with pytest.raises(StorageError) as caught, write_transaction(engine) as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count={pages}"))
        for number in range(1000):
            connection.execute(text("INSERT INTO thing VALUES (:name)"), {"name": f"{number}" * 500})

    assert caught.value.code == "storage.unavailable"
    assert names(engine) == []


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    """A foreign file answers `storage.unavailable`, and is left as it was."""
    path = tmp_path / "lockgate.db"
    path.write_bytes(b"not a database, but long enough to look at" * 10)
    engine = open_engine(f"sqlite:///{path}")
    with pytest.raises(StorageError) as caught, read_transaction(engine):
        pass

    assert caught.value.code == "storage.unavailable"
    assert path.read_bytes().startswith(b"not a database")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A missing folder answers `storage.unavailable` to readers and writers."""
    engine = open_engine(f"sqlite:///{tmp_path / 'none' / 'lockgate.db'}")
    with pytest.raises(StorageError) as reading, read_transaction(engine):
        pass
    with pytest.raises(StorageError) as writing, write_transaction(engine):
        pass

    assert reading.value.code == writing.value.code == "storage.unavailable"


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "mysql://localhost/x"])
def test_an_unusable_url_is_refused(url: str) -> None:
    """A database that cannot be shared between processes, or that we do not know, stops the start."""
    with pytest.raises(StorageError) as caught:
        open_engine(url)

    assert caught.value.code == "storage.unavailable"


def test_writers_queue_and_none_starves(engine: Engine) -> None:
    """Eight threads write twenty rows each; all of them arrive."""

    def write(thread: int) -> None:
        for number in range(20):
            with write_transaction(engine) as connection:
                connection.execute(text("INSERT INTO thing VALUES (:name)"), {"name": f"{thread}-{number}"})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(names(engine)) == 160


def test_tables_of_another_version_are_refused(tmp_path: Path) -> None:
    """A database that was never migrated is named as such, with the command that mends it."""
    engine = open_engine(f"sqlite:///{tmp_path / 'lockgate.db'}")
    with read_transaction(engine):
        pass  # makes an empty file
    with pytest.raises(StorageSchemaError, match="lockgate db upgrade") as caught:
        check_schema(engine)

    assert caught.value.code == "storage.schema"


def test_a_missing_database_is_named_and_not_made(tmp_path: Path) -> None:
    """Looking for a database never creates one; the message says what does."""
    path = tmp_path / "none" / "lockgate.db"
    with pytest.raises(StorageSchemaError, match="lockgate init") as caught:
        check_schema(open_engine(f"sqlite:///{path}"))

    assert caught.value.code == "storage.schema"
    assert not path.parent.exists()


def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    """`db upgrade` is safe to repeat."""
    engine = open_engine(f"sqlite:///{tmp_path / 'lockgate.db'}")
    upgrade_schema(engine)
    upgrade_schema(engine)

    check_schema(engine)


def test_the_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    """No table, column or index differs between the migrations and `tables.py`."""
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415 - needed here alone
    from alembic.migration import MigrationContext  # noqa: PLC0415 - same

    from lockgate.storage.tables import metadata  # noqa: PLC0415 - same

    engine = open_engine(f"sqlite:///{tmp_path / 'lockgate.db'}")
    upgrade_schema(engine)
    with read_transaction(engine) as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    assert differences == []
