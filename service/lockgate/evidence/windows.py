"""The window in which a key or an authority is valid. Pure."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from lockgate.clock import NS_PER_US, EpochNs

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A closed interval of time: both ends belong to it. A missing end is open."""

    start: EpochNs | None
    end: EpochNs | None

    def contains(self, at: EpochNs) -> bool:
        """Tell whether `at` lies in the window; its ends do."""
        return (self.start is None or self.start <= at) and (self.end is None or at <= self.end)


def epoch_ns(moment: datetime) -> EpochNs:
    """Return an aware datetime as nanoseconds since the epoch, exactly."""
    return EpochNs((moment - _EPOCH) // timedelta(microseconds=1) * NS_PER_US)


def window_of(start: datetime | None, end: datetime | None) -> Window:
    """Return the window between two aware datetimes."""
    return Window(
        start=None if start is None else epoch_ns(start),
        end=None if end is None else epoch_ns(end),
    )
