"""What a job in the background is. Rooms below keep to it without importing it. Pure."""

from typing import Protocol


class Job(Protocol):
    """Something that has to be done again and again."""

    @property
    def name(self) -> str:
        """What log lines call it."""
        ...

    def run(self) -> float:
        """Do what is due, and return in how many seconds to look again.

        What others do wrong (a registry that is down, a receiver that refuses) is the job's to say and to try again. It
        is run by one thread of this process at a time, perhaps by other processes at the same time.

        Raises:
            LockgateError: Our own part failed: the database or the log.
        """
        ...
