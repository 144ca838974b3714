"""What is SQLite's own: its file, its locks, and the turns of its writers."""

import contextlib
import errno
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from lockgate.storage import (
    StorageBusyError,
    StorageError,
    StorageOutcomeError,
    StorageSchemaError,
    check_schema,
    clear_remnants,
    database,
    database_exists,
    grant_service_role,
    open_engine,
    read_transaction,
    sqlite,
    write_transaction,
)
from support.things import add, add_alone, names


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A SQLite database with the table of `support.things`."""
    engine = open_engine(f"sqlite:///{tmp_path / 'lockgate.db'}")
    with write_transaction(engine) as connection:
        connection.execute(text("CREATE TABLE thing (name TEXT PRIMARY KEY)"))
    yield engine
    engine.dispose()


def test_a_commit_is_synchronous(engine: Engine) -> None:
    """WAL with synchronous=FULL: what was committed survives a power cut."""
    with read_transaction(engine) as connection:
        journal = connection.execute(text("PRAGMA journal_mode")).scalar_one()
        synchronous = connection.execute(text("PRAGMA synchronous")).scalar_one()

    assert (journal, synchronous) == ("wal", 2)


def test_the_file_is_its_owners_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the umask, nobody else reads the database or its journal; a link's target is made so too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to(tmp_path / "target.db")
    engines = [open_engine(f"sqlite:///{name}") for name in ("lockgate.db", "link.db")]
    before = os.umask(0o000)
    try:
        for engine in engines:
            with write_transaction(engine) as connection:
                connection.execute(text("CREATE TABLE thing (name TEXT PRIMARY KEY)"))
    finally:
        os.umask(before)
    modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.glob("*.db*")}
    for engine in engines:
        engine.dispose()

    assert {"lockgate.db", "lockgate.db-wal", "lockgate.db-shm", "target.db", "target.db-wal"} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_the_mode_of_a_file_that_is_there_stays(tmp_path: Path) -> None:
    """Whoever let a group read it meant that."""
    file = tmp_path / "lockgate.db"
    file.touch()
    file.chmod(0o640)
    engine = open_engine(f"sqlite:///{file}")
    with write_transaction(engine) as connection:
        connection.execute(text("CREATE TABLE thing (name TEXT PRIMARY KEY)"))
    engine.dispose()

    assert file.stat().st_mode & 0o777 == 0o640


def test_a_file_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The folder is missing: a storage error, and no path but the file's name."""
    with (
        pytest.raises(StorageError, match=r"cannot make the database file lockgate\.db: No such file") as caught,
        read_transaction(open_engine(f"sqlite:///{tmp_path / 'none' / 'lockgate.db'}")),
    ):
        pass

    assert caught.value.code == "storage.unavailable"


def test_a_writer_that_waits_too_long_is_told_so(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A held database answers `storage.busy`, within the limit."""
    monkeypatch.setattr(database, "WRITE_WAIT_S_MAX", 0.05)
    with write_transaction(engine), pytest.raises(StorageBusyError) as caught, write_transaction(engine):
        pass

    assert caught.value.code == "storage.busy"


def test_a_writer_of_another_engine_waits_for_the_file(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is not in the same line waits for the lock file, and is told the same."""
    monkeypatch.setattr(database, "WRITE_WAIT_S_MAX", 0.05)
    other = open_engine(engine.url.render_as_string())
    with write_transaction(engine), pytest.raises(StorageBusyError, match=r"busy for 0\.05 s") as caught:
        add_alone(other, "a")
    add_alone(other, "b")
    other.dispose()

    assert caught.value.code == "storage.busy"
    assert names(engine) == ["b"]


def test_a_lock_held_by_a_foreign_program_is_busy_too(engine: Engine) -> None:
    """A program that knows nothing of the lock file blocks SQLite itself; the answer is the same."""
    with write_transaction(engine) as connection:
        connection.execute(text("PRAGMA busy_timeout=50"))
    foreign = sqlite3.connect(engine.url.database or "", isolation_level=None)
    foreign.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(StorageBusyError) as caught, write_transaction(engine):
            pass
    finally:
        foreign.close()

    assert caught.value.code == "storage.busy"


def test_a_full_database_is_named(engine: Engine) -> None:
    """When the database may not grow any more, the write fails as `storage.unavailable` and leaves nothing."""
    with pytest.raises(StorageError) as caught, write_transaction(engine) as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count={pages}"))
        for number in range(1000):
            add(connection, f"{number}" * 500)

    assert caught.value.code == "storage.unavailable"
    assert names(engine) == []


def test_a_full_disk_is_named(engine: Engine) -> None:
    """When the file may not grow, the write fails as `storage.unavailable`, leaves nothing, and the next one works."""
    add_alone(engine, "before")
    size = Path(f"{engine.url.database}-wal").stat().st_size
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        with pytest.raises(StorageError) as caught:
            add_alone(engine, "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, ignored)
    add_alone(engine, "after")

    assert caught.value.code == "storage.unavailable"
    assert names(engine) == ["after", "before"]


def test_an_error_that_made_sqlite_roll_back_is_not_committed_over(engine: Engine) -> None:
    """Where SQLite ended the transaction by itself, the end of the block is an error, not a success."""
    with write_transaction(engine) as connection:
        connection.execute(text("CREATE TRIGGER stop BEFORE INSERT ON thing BEGIN SELECT RAISE(ROLLBACK, 'no'); END"))
    with (
        pytest.raises(StorageError, match="nothing was written"),
        write_transaction(engine) as connection,
        contextlib.suppress(SQLAlchemyError),
    ):
        add(connection, "a")

    assert names(engine) == []


def test_a_commit_that_could_not_be_synced_has_no_known_outcome(engine: Engine, strace: str) -> None:
    """When the disk fails to sync, nobody can say whether the transaction comes back after a crash."""
    code = (
        "import sys; from lockgate.storage import *; from support.things import add_alone\n"
        "engine = open_engine(sys.argv[1]); add_alone(engine, 'before')\n"
        "try: add_alone(engine, 'a')\n"
        "except StorageError as error: print(error.code)\n"
    )
    trace = [strace, "-f", "-qq", "-o", os.devnull, "-e", "trace=fdatasync,fsync"]
    fault = ["-e", "inject=fdatasync,fsync:error=EIO:when=2+"]  # the first is of 'before'
    add_alone(engine, "0")  # this connection keeps the WAL, whose making would be synced too
    ended = subprocess.run(
        [*trace, *fault, sys.executable, "-c", code, engine.url.render_as_string()],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # noqa: TID251 - the test's own surroundings
    )

    assert ended.stdout.strip() == StorageOutcomeError.code, ended.stderr


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
    with pytest.raises(StorageError, match=os.strerror(errno.ENOENT)) as writing, write_transaction(engine):
        pass

    assert reading.value.code == writing.value.code == "storage.unavailable"


def test_a_read_only_database_is_named(engine: Engine) -> None:
    """A user who may not write is told so."""
    add_alone(engine, "a")
    with tempfile.TemporaryDirectory() as folder:  # not pytest's, which only its owner may enter
        engine.dispose()  # moves everything into the one file
        shutil.copy(engine.url.database or "", folder)
        Path(folder).chmod(0o555)
        theirs = open_engine(f"sqlite:///{folder}/lockgate.db")
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            with pytest.raises(StorageError) as caught:
                add_alone(theirs, "b")
        finally:
            os.seteuid(user)
            Path(folder).chmod(0o755)

    assert caught.value.code == "storage.unavailable"
    assert "Permission denied" in str(caught.value)


def test_a_missing_database_is_named_and_not_made(tmp_path: Path) -> None:
    """Looking for a database never creates one; the message says what does."""
    path = tmp_path / "none" / "lockgate.db"
    engine = open_engine(f"sqlite:///{path}")
    with pytest.raises(StorageSchemaError, match="lockgate init") as caught:
        check_schema(engine)

    assert caught.value.code == "storage.schema"
    assert not database_exists(engine)
    assert not path.parent.exists()


def test_a_database_that_is_there_exists(engine: Engine) -> None:
    """A file is found."""
    assert database_exists(engine)


def test_there_are_no_roles(engine: Engine) -> None:
    """Granting rights on a file is refused, by name."""
    with pytest.raises(StorageError, match="want a PostgreSQL database") as caught:
        grant_service_role(engine, "lockgate_service")

    assert caught.value.code == "storage.unavailable"


def test_clearing_waits_for_no_reader(engine: Engine) -> None:
    """Beside a reader it says at once that something is left; the connection then waits for others as before."""
    add_alone(engine, "a")
    reader = open_engine(engine.url.render_as_string())
    with read_transaction(reader) as connection:
        connection.execute(text("SELECT count(*) FROM thing")).scalar_one()
        add_alone(engine, "b")
        began = time.monotonic()
        cleared = clear_remnants(engine)
        took_s = time.monotonic() - began
    reader.dispose()
    with engine.connect() as connection:
        wait_ms = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()

    assert not cleared
    assert took_s < sqlite.FOREIGN_WAIT_S_MAX / 2
    assert wait_ms == sqlite.FOREIGN_WAIT_S_MAX * 1000
    assert clear_remnants(engine)


def test_clearing_takes_its_turn(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a writer has the turn, nothing is cleared, and that is said rather than raised."""
    monkeypatch.setattr(database, "WRITE_WAIT_S_MAX", 0.05)
    add_alone(engine, "a")
    with sqlite.turn_to_write(engine, 1.0):
        assert not clear_remnants(engine)

    assert clear_remnants(engine)
