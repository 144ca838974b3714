"""Why a count of uses was not taken."""

from typing import ClassVar

from lockgate.errors import LockgateError


class UsageError(LockgateError):
    """A count of uses was not taken."""

    code: ClassVar[str] = "usage.failed"


class UsageDayError(UsageError):
    """A count is of a day that nobody can have counted, or that is too long ago."""

    code: ClassVar[str] = "usage.day_out_of_range"


class UsageUnknownError(UsageError):
    """A count is of a model or environment that this gate does not know."""

    code: ClassVar[str] = "usage.unknown"


class UsageSourceError(UsageError):
    """Somebody who counts gave no answer, or one that is not understood."""

    code: ClassVar[str] = "usage.source_failed"
