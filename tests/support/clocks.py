"""A clock that tests set by hand."""

from lockgate.clock import EpochNs

START = EpochNs(1_795_000_000_000_000_000)


class FixedClock:
    """Stands still until it is moved."""

    def __init__(self, now: EpochNs = START) -> None:
        self.now = now

    def now_ns(self) -> EpochNs:
        """Return the time it was set to."""
        return self.now

    def advance(self, nanoseconds: int) -> None:
        """Move on."""
        self.now = EpochNs(self.now + nanoseconds)
