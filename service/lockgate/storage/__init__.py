"""The database: one engine, one schema, its migrations. SQLite by default, or PostgreSQL, through SQLAlchemy Core.

Other rooms import `open_engine` and the two transactions from here, the tables from `tables`, and keep their SQL in
files of their own, in SQLAlchemy's words that both databases understand. Nothing here knows what a row means.

It promises that a write transaction that ended without an exception is on the disk, that one that ended with an
exception other than `StorageOutcomeError` left nothing, and that no message shows a password or a row's values.
"""

from lockgate.storage.copying import copy_rows, count_rows, prepare_target
from lockgate.storage.database import (
    database_exists,
    describe_database,
    open_engine,
    read_transaction,
    write_transaction,
)
from lockgate.storage.errors import (
    MovedError,
    StorageBusyError,
    StorageDowngradeError,
    StorageError,
    StorageNotEmptyError,
    StorageOutcomeError,
    StorageSchemaError,
)
from lockgate.storage.grants import grant_service_role
from lockgate.storage.migrate import check_schema, downgrade_schema, plan_downgrade, read_revisions, upgrade_schema
from lockgate.storage.remnants import clear_remnants
from lockgate.storage.upsert import insert_new, upsert, upsert_all

__all__ = [
    "MovedError",
    "StorageBusyError",
    "StorageDowngradeError",
    "StorageError",
    "StorageNotEmptyError",
    "StorageOutcomeError",
    "StorageSchemaError",
    "check_schema",
    "clear_remnants",
    "copy_rows",
    "count_rows",
    "database_exists",
    "describe_database",
    "downgrade_schema",
    "grant_service_role",
    "insert_new",
    "open_engine",
    "plan_downgrade",
    "prepare_target",
    "read_revisions",
    "read_transaction",
    "upgrade_schema",
    "upsert",
    "upsert_all",
    "write_transaction",
]
