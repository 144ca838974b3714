"""What can go wrong with the database, by name. Nothing was written when one of these is raised, but for one."""

from typing import ClassVar, Final

from lockgate.errors import LockgateError

REASON_CHARACTERS_MAX: Final = 300  # of a database's own words in a message: three lines of a terminal


class StorageError(LockgateError):
    """The database refused or failed: gone, full, read-only, corrupt."""

    code: ClassVar[str] = "storage.unavailable"


class StorageBusyError(StorageError):
    """Another writer held the database for longer than we may wait."""

    code: ClassVar[str] = "storage.busy"


class StorageSchemaError(StorageError):
    """The database's tables are not those of this version of Lockgate."""

    code: ClassVar[str] = "storage.schema"


class StorageNotEmptyError(StorageError):
    """The database holds rows already; nothing is copied over them."""

    code: ClassVar[str] = "storage.not_empty"


class StorageDowngradeError(StorageError):
    """The tables cannot go back to that revision: it cannot hold what is in them, or is none."""

    code: ClassVar[str] = "storage.downgrade_refused"


class StorageOutcomeError(StorageError):
    """The database was lost during a commit: all of it was written, or nothing. Look before you repeat it."""

    code: ClassVar[str] = "storage.outcome_unknown"


class MovedError(Exception):
    """What was read moved before it could be written; who sees it starts over, or leaves it. Leaves no room."""
