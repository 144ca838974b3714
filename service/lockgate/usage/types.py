"""Counts of uses. Pure."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from lockgate.clock import NS_PER_S, EpochNs

DAY_NS: Final = 86_400 * NS_PER_S
_EPOCH: Final = date(1970, 1, 1)

IdleReason: TypeAlias = Literal["not_counted", "zero_use", "stale"]
"""Nobody ever counted; counted, and never a use; used, but not lately."""


class UsageKey(NamedTuple):
    """What a count is of, and whose count it is; in the order in which counts are listed."""

    model: str
    version: str
    environment: str
    day: int  # days since 1970-01-01, UTC
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """How often a version was used on one day, as one source counted it: the whole day so far, not what was added."""

    key: UsageKey
    loads: int  # of the version into memory
    predictions: int
    last: EpochNs | None  # the last use that is known of, at the latest the end of the day; None: it was not used


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageFilter:
    """Which counts to list, by key. Empty strings match everything."""

    model: str = ""
    environment: str = ""
    since_day: int = 0
    after: UsageKey | None = None  # exclusive; the cursor
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IdleVersion:
    """A live version that nobody seems to use."""

    number: int  # of its live interval; the cursor
    model: str
    version: str
    environment: str
    live_since: EpochNs
    last_used: EpochNs | None  # None: never, as far as anybody counted
    reason: IdleReason


def day_at(when: int) -> int:
    """Return the day of a time in nanoseconds since the epoch, UTC."""
    return when // DAY_NS


def write_day(day: int) -> str:
    """Write a day as YYYY-MM-DD."""
    return datetime.fromtimestamp(day * DAY_NS // NS_PER_S, UTC).date().isoformat()


def read_day(text: str) -> int:
    """Read what `write_day` writes.

    Raises:
        ValueError: It names no day.
    """
    return (date.fromisoformat(text) - _EPOCH).days


def last_use(day: int, uses: int, now: EpochNs) -> EpochNs | None:
    """Return when the last of a day's uses was, at the latest; None where there was none."""
    return EpochNs(min(now, (day + 1) * DAY_NS - 1)) if uses else None
