"""The tables: made, migrated up and down, and refused when they are another version's."""

import threading

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from lockgate.storage import (
    StorageError,
    StorageSchemaError,
    check_schema,
    migrate,
    open_engine,
    read_transaction,
    upgrade_schema,
    write_transaction,
)
from lockgate.storage.database import migration_transaction
from lockgate.storage.tables import metadata
from support.things import run_threads


def test_a_migrated_database_is_the_codes(database_url: str) -> None:
    """What the fixtures hand out has this version's tables."""
    check_schema(open_engine(database_url))


def test_migrating_twice_changes_nothing(empty_database_url: str) -> None:
    """`db upgrade` is safe to repeat."""
    engine = open_engine(empty_database_url)
    upgrade_schema(engine)
    upgrade_schema(engine)

    check_schema(engine)


def test_instances_that_start_together_migrate_once(empty_database_url: str) -> None:
    """Of four that migrate at the same time, one does it and the others wait; none fails."""
    together = threading.Barrier(4)
    errors: list[BaseException] = []

    def migrate_one(_: int) -> None:
        engine = open_engine(empty_database_url)
        together.wait()
        try:
            upgrade_schema(engine)
        except BaseException as exc:  # noqa: BLE001 - whatever it is, the test shows it
            errors.append(exc)
        engine.dispose()

    run_threads(migrate_one, 4)

    assert errors == []
    check_schema(open_engine(empty_database_url))


def test_a_migration_that_fails_leaves_the_database_as_it_was(empty_database_url: str) -> None:
    """All of a migration is one transaction, tables included."""
    engine = open_engine(empty_database_url)
    with write_transaction(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE token (mine INTEGER)")  # in the way of the first migration
    with pytest.raises(StorageError) as caught:
        upgrade_schema(engine)
    with read_transaction(engine) as connection:
        left = inspect(connection).get_table_names()

    assert caught.value.code == "storage.unavailable"
    assert left == ["token"]


def test_the_migrations_make_exactly_the_tables_of_the_code(empty_database_url: str) -> None:
    """No table, column or index differs between the migrations and `tables.py`."""
    engine = open_engine(empty_database_url)
    upgrade_schema(engine)
    with read_transaction(engine) as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)

    assert differences == []


def test_every_migration_can_be_undone_and_done_again(database_url: str) -> None:
    """Down to nothing, step by step, and up again: the tables are this version's, and nothing else stays behind."""
    engine = open_engine(database_url)
    with migration_transaction(engine) as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    with read_transaction(engine) as connection:
        left = inspect(connection).get_table_names()
    upgrade_schema(engine)

    assert left == ["alembic_version"]
    check_schema(engine)


def test_tables_of_another_version_are_refused(empty_database_url: str) -> None:
    """A database that was never migrated is named as such, with the command that mends it."""
    engine = open_engine(empty_database_url)
    with read_transaction(engine):
        pass  # SQLite makes an empty file
    with pytest.raises(StorageSchemaError, match="lockgate db upgrade") as caught:
        check_schema(engine)

    assert caught.value.code == "storage.schema"
