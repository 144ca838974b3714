"""Collecting lineage again and again, in the background (`lockgate.background.job.Job`)."""

from typing import Final

from lockgate.lineage.collecting import LineageCollector

BATCH_MAX: Final = 20  # versions in one run of the job: at some seconds each, it tells within a minute that it lives
REST_S: Final = 60.0  # when nothing is missing; a new version waits no longer for its first snapshot


class LineageJob:
    """Collects in the background for versions that have no snapshot."""

    def __init__(self, collector: LineageCollector) -> None:
        self._collector = collector
        self._after = 0  # where the last run ended, so that one version that cannot be collected holds up no other

    @property
    def name(self) -> str:
        """`lineage`."""
        return "lineage"

    def run(self) -> float:
        """Collect for some versions, and return in how many seconds to look again.

        Raises:
            LockgateError: Our own part failed: the database or the log.
        """
        self._after = self._collector.collect_missing(BATCH_MAX, self._after)
        return 0.0 if self._after else REST_S
