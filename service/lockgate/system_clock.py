"""The machine's own clock: the adapter of `lockgate.clock.Clock`."""

import time

from lockgate.clock import EpochNs


class SystemClock:
    """Reads the machine's wall clock."""

    def now_ns(self) -> EpochNs:
        """Return the time now, in nanoseconds since the epoch."""
        return EpochNs(time.time_ns())
