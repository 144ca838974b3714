"""Bringing a database to this version's tables, and refusing one that is not there."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from lockgate.storage.database import database_exists, migration_transaction, read_transaction
from lockgate.storage.errors import StorageSchemaError

_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def upgrade_schema(engine: Engine, revision: str = "head") -> None:
    """Create or migrate the tables, in one transaction. Of instances that do so together, one waits for the other.

    Raises:
        StorageBusyError: Another migration, or a transaction on a table to be changed, took too long.
        StorageError: The database cannot be written.
    """
    with migration_transaction(engine) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def check_schema(engine: Engine) -> None:
    """Make sure that the tables are those of this version.

    Raises:
        StorageSchemaError: They are not; the message names both revisions and the command that mends it.
        StorageError: The database cannot be read.
    """
    if not database_exists(engine):  # SQLite would make an empty one
        raise StorageSchemaError(f"there is no database at {engine.url.database}; 'lockgate init' makes it")
    want = ScriptDirectory.from_config(_config()).get_current_head()
    with read_transaction(engine) as connection:
        have = MigrationContext.configure(connection).get_current_revision()
    if have != want:
        raise StorageSchemaError(f"want database revision {want}, got {have}; run 'lockgate db upgrade'")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
