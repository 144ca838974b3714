"""The database: one engine, one schema, its migrations. SQLite by default, through SQLAlchemy Core.

Other rooms import `open_engine`, `write_transaction` and the table objects from here, and keep their SQL in a file of
their own named `store.py`. Nothing here knows what a row means.
"""

from lockgate.storage.database import open_engine, read_transaction, write_transaction
from lockgate.storage.errors import StorageBusyError, StorageError, StorageSchemaError
from lockgate.storage.migrate import check_schema, upgrade_schema

__all__ = [
    "StorageBusyError",
    "StorageError",
    "StorageSchemaError",
    "check_schema",
    "open_engine",
    "read_transaction",
    "upgrade_schema",
    "write_transaction",
]
