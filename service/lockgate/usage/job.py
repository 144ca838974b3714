"""Asking a source again and again, in the background (`lockgate.background.job.Job`)."""

from typing import Final

import structlog

from lockgate.clock import NS_PER_S, Clock
from lockgate.usage.counts import KNOWN, UsageCounts
from lockgate.usage.errors import UsageSourceError
from lockgate.usage.prometheus import read_day_of
from lockgate.usage.settings import UsageSource
from lockgate.usage.types import DAY_NS, day_at

_WINDOW_NS_MIN: Final = 60 * NS_PER_S  # a day that just began has nothing to tell, and no window that Prometheus takes


class UsageJob:
    """Keeps what one source counted."""

    def __init__(self, source: UsageSource, counts: UsageCounts, clock: Clock) -> None:
        self._source = source
        self._counts = counts
        self._clock = clock

    @property
    def name(self) -> str:
        """What log lines call it."""
        return f"usage:{self._source.name}"

    def run(self) -> float:
        """Ask for yesterday and for today so far, and return in how many seconds to ask again.

        Yesterday too, each time: its last minutes come after midnight, and a count that is told twice counts once. So
        nothing need be remembered.

        Raises:
            StorageError: The counts could not be kept.
        """
        now = self._clock.now_ns()
        today = day_at(now)
        days = (today - 1, today) if now - today * DAY_NS >= _WINDOW_NS_MIN else (today - 1,)
        for day in days:
            try:
                reading = read_day_of(self._source, day, now)
            except UsageSourceError as exc:
                structlog.get_logger().warning(
                    "usage_source_failed", source=self._source.name, code=exc.code, detail=str(exc)
                )
                break
            known = self._counts.keep_known(reading.rows)
            skipped = reading.skipped + len(reading.rows) - len(known)
            if skipped:
                detail = reading.fault or f"want {KNOWN}"
                structlog.get_logger().warning(
                    "usage_samples_skipped", source=self._source.name, skipped=skipped, detail=detail
                )
            self._counts.take(known)
        return self._source.interval_s
