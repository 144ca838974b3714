"""The databases of `support.databases`."""

from support.databases import (
    _closed_connections,
    database_url,
    empty_database_url,
    migrated_postgresql,
    migrated_sqlite,
    new_database,
    postgresql_server,
    postgresql_url,
)

__all__ = [
    "_closed_connections",
    "database_url",
    "empty_database_url",
    "migrated_postgresql",
    "migrated_sqlite",
    "new_database",
    "postgresql_server",
    "postgresql_url",
]
