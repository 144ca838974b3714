"""What can go wrong with the database, by name. Nothing was written when one of these is raised."""

from typing import ClassVar

from lockgate.errors import LockgateError


class StorageError(LockgateError):
    """The database refused or failed: gone, full, read-only, corrupt."""

    code: ClassVar[str] = "storage.unavailable"


class StorageBusyError(StorageError):
    """Another writer held the database for longer than we may wait."""

    code: ClassVar[str] = "storage.busy"


class StorageSchemaError(StorageError):
    """The database's tables are not those of this version of Lockgate."""

    code: ClassVar[str] = "storage.schema"
