"""Time as a port: integers of nanoseconds since the Unix epoch, and the one text form they have in records.

Everything that needs the time takes a `Clock`; only `lockgate.system_clock` reads the machine's.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NewType, Protocol

from lockgate.errors import LockgateError

EpochNs = NewType("EpochNs", int)
"""Nanoseconds since 1970-01-01T00:00:00Z, leap seconds ignored as in POSIX."""

NS_PER_S: Final = 1_000_000_000
NS_PER_US: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIMESTAMP: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", re.ASCII)


class TimestampError(LockgateError):
    """A timestamp is not in the one accepted form."""

    code = "time.unparsable"


class Clock(Protocol):
    """What can tell the time."""

    def now_ns(self) -> EpochNs:
        """Return the time now, in nanoseconds since the epoch."""
        ...


def now_us(clock: Clock) -> EpochNs:
    """Return the time now, cut to the microsecond that records hold: a value must not change by being written."""
    now = clock.now_ns()
    return EpochNs(now - now % NS_PER_US)


def format_timestamp(when: EpochNs) -> str:
    """Write a time as RFC 3339 with exactly six fractional digits and `Z`, cutting off below the microsecond."""
    return (_EPOCH + timedelta(microseconds=when // NS_PER_US)).isoformat(timespec="microseconds")[:-6] + "Z"


def parse_timestamp(text: str) -> EpochNs:
    """Read what `format_timestamp` writes, and no other spelling.

    Raises:
        TimestampError: `text` is not `YYYY-MM-DDTHH:MM:SS.ffffffZ` or names no real instant.
    """
    if not _TIMESTAMP.fullmatch(text):
        raise TimestampError("want YYYY-MM-DDTHH:MM:SS.ffffffZ")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as exc:
        raise TimestampError("want a real instant as YYYY-MM-DDTHH:MM:SS.ffffffZ") from exc
    return EpochNs((moment - _EPOCH) // timedelta(microseconds=1) * NS_PER_US)


def is_expired(expires: EpochNs | None, now: EpochNs) -> bool:
    """Tell whether something that ends at `expires` has ended at `now`; it has, at the very instant.

    This is the only expiry predicate: the API, the gate, the command line, replay and reports all call it, and the
    Rego helper `data.lockgate.lib.times.expired` is tested against it. A missing time is an expired time.
    """
    return expires is None or expires <= now
