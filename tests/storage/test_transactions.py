"""The two kinds of transaction, the same on both databases."""

import contextlib
import multiprocessing
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from lockgate.storage import StorageError, open_engine, read_transaction, upsert, write_transaction
from lockgate.storage.tables import principal
from support.things import add, add_alone, add_many, add_many_in_threads, names, run_threads


def test_what_a_write_transaction_did_is_there_afterwards(database: Engine) -> None:
    """A write transaction commits at its end."""
    add_alone(database, "a")

    assert names(database) == ["a"]


def test_an_exception_undoes_the_whole_transaction(database: Engine) -> None:
    """Nothing half-written stays behind, and the exception arrives as it was."""
    with pytest.raises(KeyError, match="mine"), write_transaction(database) as connection:
        add(connection, "a")
        raise KeyError("mine")

    assert names(database) == []


def test_a_statement_that_fails_undoes_the_whole_transaction(database: Engine) -> None:
    """What the database refuses is named, and nothing stays behind."""
    with pytest.raises(StorageError) as caught, write_transaction(database) as connection:
        add(connection, "a")
        add(connection, "a")

    assert caught.value.code == "storage.unavailable"
    assert names(database) == []


def test_an_error_that_was_swallowed_is_not_committed_over(database: Engine) -> None:
    """PostgreSQL answers a COMMIT after a failed statement with a ROLLBACK and no error; here it is one.

    SQLite goes on after such a statement, so that there everything else is kept.
    """
    postgresql = database.dialect.name == "postgresql"
    expected = pytest.raises(StorageError, match="nothing was written") if postgresql else contextlib.nullcontext()
    with expected, write_transaction(database) as connection:
        add(connection, "a")
        with contextlib.suppress(IntegrityError):
            add(connection, "a")

    assert names(database) == ([] if postgresql else ["a"])


def test_a_transaction_that_was_ended_inside_is_not_taken_for_committed(database: Engine) -> None:
    """Whoever ends the transaction before its end is told, and what came after it is not kept."""
    with pytest.raises(StorageError, match="nothing was written") as caught, write_transaction(database) as connection:
        add(connection, "a")
        connection.exec_driver_sql("ROLLBACK")

    assert caught.value.code == "storage.unavailable"
    assert names(database) == []


def test_a_reader_sees_one_snapshot(database: Engine) -> None:
    """What others commit meanwhile is not seen before the next transaction."""
    with read_transaction(database) as reading:
        before = reading.execute(text("SELECT count(*) FROM thing")).scalar_one()
        add_alone(database, "a")
        after = reading.execute(text("SELECT count(*) FROM thing")).scalar_one()

    assert (before, after) == (0, 0)
    assert names(database) == ["a"]


def test_a_read_transaction_keeps_nothing(database: Engine) -> None:
    """Whatever a reader does is refused or undone."""
    with contextlib.suppress(StorageError), read_transaction(database) as connection:
        add(connection, "a")

    assert names(database) == []


def test_a_writer_sees_what_was_committed_before_its_turn(database: Engine) -> None:
    """Of writers that count and add in turns, each counts what the one before added."""
    counts: list[int] = []

    def count_and_add(thread: int) -> None:
        for number in range(5):
            with write_transaction(database) as connection:
                if database.dialect.name == "postgresql":  # stands for the row that a store locks
                    connection.exec_driver_sql("LOCK TABLE thing IN EXCLUSIVE MODE")
                counts.append(connection.execute(text("SELECT count(*) FROM thing")).scalar_one())
                add(connection, f"{thread}-{number}")

    run_threads(count_and_add, 4)

    assert counts == list(range(20))


def test_writers_of_many_threads_all_arrive(database: Engine) -> None:
    """Eight threads write twenty rows each; all of them arrive."""
    run_threads(lambda thread: add_many(database, f"{thread}", 20), 8)

    assert len(names(database)) == 160


def test_writers_of_many_processes_all_arrive(database: Engine) -> None:
    """Three processes of two threads each write ten rows per thread; all of them arrive."""
    url = database.url.render_as_string(hide_password=False)
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=add_many_in_threads, args=(url, f"{number}", 10, 2)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(names(database)) == 60


def test_the_values_of_rows_stay_out_of_messages(database: Engine) -> None:
    """The error does not show what was written, and SQLAlchemy's beneath it shows no parameters."""
    add_alone(database, "a-secret")
    with pytest.raises(StorageError) as caught:
        add_alone(database, "a-secret")
    beneath = caught.value.__cause__

    assert "a-secret" not in str(caught.value)
    assert isinstance(beneath, IntegrityError)
    assert beneath.hide_parameters


def test_an_upsert_makes_a_row_and_changes_it(database_url: str) -> None:
    """The first one inserts; the next changes what it is told to and nothing else."""
    engine = open_engine(database_url)
    row = {"subject": "ann", "type": "user", "roles": "[]", "identities": "[]", "created_ns": 1}
    with write_transaction(engine) as connection:
        upsert(connection, principal, row, {"roles": "never"})
        upsert(connection, principal, {**row, "created_ns": 2}, {"roles": '["auditor"]'})
        (found,) = connection.execute(principal.select()).mappings().all()

    assert {name: found[name] for name in row} == {**row, "roles": '["auditor"]'}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite+aiosqlite:////x.db",
        "mysql://localhost/x",
        "postgres://ann@localhost/x",
        "postgresql+psycopg2://ann@localhost/x",
        "postgresql://ann@localhost",
        "postgresql:///x",
        "postgresql://ann:s3cret@localhost:many/x",
        "postgresql://ann:s3cret@s3cret@localhost/x",
        "postgresql://ann:s3cret@/x?host=s3cret@localhost",
    ],
)
def test_an_unusable_url_is_refused(url: str) -> None:
    """A database that cannot be shared between processes, or that we do not know, stops the start; nothing is shown."""
    with pytest.raises(StorageError, match=r"want .*(sqlite:///|postgresql://|host name)") as caught:
        open_engine(url)

    assert caught.value.code == "storage.unavailable"
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


@settings(deadline=None, max_examples=300)
@given(
    scheme=st.sampled_from(["postgresql", "postgresql+psycopg", "sqlite", "mysql", ""]),
    rest=st.text(alphabet=st.sampled_from("s3cret:@/?&=%[]., \\\0é#"), max_size=40),
)
def test_no_url_makes_anything_but_an_engine_or_a_named_error(scheme: str, rest: str) -> None:
    """Whatever a URL looks like, it is opened or refused by name, in words that do not repeat it."""
    refused: StorageError | None = None
    try:
        open_engine(f"{scheme}://ann:s3cret@{rest}")
    except StorageError as exc:
        refused = exc

    assert refused is None or (refused.code == "storage.unavailable" and "s3cret" not in str(refused))
    assert refused is None or refused.__context__ is None or refused.__suppress_context__
