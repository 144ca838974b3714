"""Bringing a database to this version's tables, and refusing one that is not there."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from lockgate.storage.database import database_exists, migration_transaction, read_transaction
from lockgate.storage.errors import StorageDowngradeError, StorageSchemaError

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def upgrade_schema(engine: Engine, revision: str = "head") -> None:
    """Create or migrate the tables, in one transaction. Of instances that do so together, one waits for the other.

    Raises:
        StorageBusyError: Another migration, or a transaction on a table to be changed, took too long.
        StorageSchemaError: A newer version has migrated it.
        StorageError: The database cannot be written.
    """
    with migration_transaction(engine) as connection:
        config = _config()
        _current_revision(connection, ScriptDirectory.from_config(config))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def plan_downgrade(engine: Engine, revision: str) -> tuple[str, ...]:
    """Tell what would be lost if the tables went back to an older revision.

    Args:
        engine: The database.
        revision: `base`, which has no tables, or a number, as `lockgate db status` shows it.

    Returns:
        What would be lost, in words with the number of rows; empty if nothing.

    Raises:
        StorageDowngradeError: There is no such older revision; or it cannot hold what is stored, and to drop that would
            allow somebody what they may not do, or break a log.
        StorageError: The database cannot be read.
    """
    with read_transaction(engine) as connection:
        return _plan(connection, revision)


def downgrade_schema(engine: Engine, revision: str) -> None:
    """Take the tables back to an older revision, in one transaction. What `plan_downgrade` tells is lost.

    Raises:
        StorageBusyError: As `upgrade_schema`.
        StorageDowngradeError: As `plan_downgrade`.
        StorageError: The database cannot be written.
    """
    with migration_transaction(engine) as connection:
        _plan(connection, revision)
        config = _config()
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def _plan(connection: Connection, revision: str) -> tuple[str, ...]:
    # Each migration counts what its way back cannot keep; the columns that it asks for are there until it was undone.
    script = ScriptDirectory.from_config(_config())
    have = _current_revision(connection, script)
    below = "base" if have is None else have
    known = [step.revision for step in script.iterate_revisions(below, "base")]
    if revision not in {"base", *known[1:]} or not known:
        raise StorageDowngradeError(f"want one of {[*known[1:], 'base']}, older than {have}, got {revision[:20]!r}")
    steps = [step.module for step in script.iterate_revisions(below, revision)]
    refused = [words for step in steps for words in _count(connection, step.KEPT_NOWHERE_ELSE)]
    if refused:
        raise StorageDowngradeError(f"revision {revision} cannot hold {', nor '.join(refused)}")
    return tuple(words for step in steps for words in _count(connection, step.LOST_ON_THE_WAY_BACK))


def _current_revision(connection: Connection, script: ScriptDirectory) -> str | None:
    have = MigrationContext.configure(connection).get_current_revision()
    if have is not None and have not in {step.revision for step in script.walk_revisions()}:
        raise StorageSchemaError(
            f"want database revision {script.get_current_head()} or before, got {have}: a newer version migrated it"
        )
    return have


def _count(connection: Connection, queries: Mapping[str, str]) -> Iterator[str]:
    for words, rows in queries.items():
        count = connection.exec_driver_sql(f"SELECT count(*) FROM {rows}").scalar_one()  # noqa: S608 - the migration's
        if count:
            yield f"{count} {words}"


def read_revisions(engine: Engine) -> tuple[str | None, str]:
    """Return the revision of the tables, None where there are none, and the one that this version wants.

    Raises:
        StorageError: The database cannot be read.
    """
    want = ScriptDirectory.from_config(_config()).get_current_head()
    if want is None:
        raise StorageSchemaError("this installation has no migrations: it is not whole")
    with read_transaction(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision(), want


def check_schema(engine: Engine) -> None:
    """Make sure that the tables are those of this version.

    Raises:
        StorageSchemaError: They are not; the message names both revisions and the command that mends it.
        StorageError: The database cannot be read.
    """
    if not database_exists(engine):  # SQLite would make an empty one
        raise StorageSchemaError(f"there is no database at {engine.url.database}; 'lockgate init' makes it")
    have, want = read_revisions(engine)
    if have != want:
        raise StorageSchemaError(f"want database revision {want}, got {have}; run 'lockgate db upgrade'")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
