"""What goes wrong when findings are closed and hints come in, by name."""

from typing import ClassVar

from lockgate.errors import LockgateError


class FindingUnknownError(LockgateError):
    """There is no such finding."""

    code: ClassVar[str] = "finding.unknown"


class FindingClosedError(LockgateError):
    """Somebody closed the finding before."""

    code: ClassVar[str] = "finding.closed"


class HookUnauthenticatedError(LockgateError):
    """Nobody who knows the registry's webhook secret signed this."""

    code: ClassVar[str] = "hook.unauthenticated"


class HookStaleError(LockgateError):
    """It was signed too long ago, or by a clock that differs too much from ours."""

    code: ClassVar[str] = "hook.stale"


class HookUnusableError(LockgateError):
    """The registry's webhook secret cannot be read at the moment."""

    code: ClassVar[str] = "hook.unusable"
