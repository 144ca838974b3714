"""What can go wrong when a record's log is looked for."""

from typing import ClassVar

from lockgate.errors import LockgateError


class LogNotConfiguredError(LockgateError):
    """The audit log that holds the promotion's records is not among those of this gate's settings."""

    code: ClassVar[str] = "promotion.log_not_configured"
