"""Work in the background of a gate: jobs that do what is due, each in a thread of its own, until told to stop.

Nothing here is in the path of a decision. A job that waits for a slow registry holds up no other; one that fails is
said in the log and tried again. Jobs keep what they know in the database, so that the process may be killed at any
time, and may run twice.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from time import monotonic
from typing import Final

import structlog

from lockgate.background.job import Job
from lockgate.errors import LockgateError

WAIT_S_MIN: Final = 0.1  # between two runs of a job: one that is always due must not take a whole processor
WAIT_S_MAX: Final = 3600.0
RETRY_S: Final = 15.0  # after a job failed: a database is back within seconds, and nobody waits for an answer
STUCK_S: Final = 1800.0  # a run that takes longer hangs: what the longest does in one run is bounded to minutes
STOP_S_MAX: Final = 10.0  # for what is under way when told to stop; below what systemd and Kubernetes allow


class Worker:
    """Runs jobs."""

    def __init__(self, jobs: Sequence[Job], refresh: Callable[[], None]) -> None:
        """Take the jobs.

        Args:
            jobs: What has to be done.
            refresh: Called before each run: takes over what changed meanwhile (policy, roots of trust).
        """
        self._jobs = tuple(jobs)
        self._refresh = refresh
        self._stop = threading.Event()
        self._begun: dict[str, float] = {}  # when each run began that is not over

    def run_once(self) -> bool:
        """Run each job once, one after the other; tell whether none failed."""
        done = [self._run(job) is not None for job in self._jobs]  # every one, whatever came of those before
        return all(done)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run the jobs while inside; leaving waits for what is under way, `STOP_S_MAX` seconds at most."""
        threads = [
            threading.Thread(target=self._repeat, args=(job,), name=f"job-{job.name}", daemon=True)
            for job in self._jobs
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            deadline = monotonic() + STOP_S_MAX
            for thread in threads:
                thread.join(max(deadline - monotonic(), 0))

    def stuck(self) -> tuple[str, ...]:
        """Return the jobs that hang: their run began `STUCK_S` seconds ago and is not over."""
        now = monotonic()
        return tuple(name for name, begun in self._begun.copy().items() if now - begun > STUCK_S)

    def _repeat(self, job: Job) -> None:
        wait_s: float | None = 0.0
        while not self._stop.wait(RETRY_S if wait_s is None else wait_s):
            wait_s = self._run(job)

    def _run(self, job: Job) -> float | None:
        """Run a job; return how long to wait, or None if it failed."""
        self._begun[job.name] = monotonic()
        try:
            self._refresh()
            return min(max(job.run(), WAIT_S_MIN), WAIT_S_MAX)
        except LockgateError as exc:
            structlog.get_logger().warning("job_failed", job=job.name, code=exc.code)
        except Exception as exc:  # noqa: BLE001 - a defect of one job stops no other; it goes to the operator's log
            structlog.get_logger().error("job_failed", job=job.name, code=LockgateError.code, exc_info=exc)
        finally:
            self._begun.pop(job.name, None)
        return None
