"""The root of every error that Lockgate raises on purpose.

An expected outcome (a refusal, a deny) is a value, never an exception. An error means that no decision was made.
Each room keeps its own errors in its `errors.py`; they all come from here so that one handler can catch them by name.
"""

from typing import ClassVar


class LockgateError(Exception):
    """No decision was made, for a reason that has a stable name.

    Attributes:
        code: The stable reason, `<room>.<reason>`, lower case. Callers may branch on it; it is never reworded.
    """

    code: ClassVar[str] = "internal"


class ConfigError(LockgateError):
    """A setting is missing or unusable; the process must not start with it."""

    code: ClassVar[str] = "config.invalid"
