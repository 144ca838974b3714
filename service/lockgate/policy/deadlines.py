"""A deadline for work that has none of its own."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import Final, TypeVar

from lockgate.policy.errors import PolicyUnavailableError

T = TypeVar("T")

WORKERS_MAX: Final = 32  # evaluations at once in one process; more than a small gunicorn worker has threads


class DeadlineGuard:
    """Runs work aside, and gives up waiting for it in time.

    The work cannot be stopped from outside: it must end by itself some time, or it keeps its place for good, and when
    no place is left every call is refused. Its threads are daemons, so that no stuck work keeps the process alive, and
    there is none between calls, so that a fork is harmless.
    """

    def __init__(self, workers_max: int = WORKERS_MAX) -> None:
        self._places = threading.BoundedSemaphore(workers_max)

    def run(self, work: Callable[[], T], timeout_s: float) -> T:
        """Do the work within a time.

        Args:
            work: What to do; what it raises is raised here.
            timeout_s: The whole budget, waiting for a free place included.

        Raises:
            PolicyUnavailableError: The time is up.
        """
        if timeout_s <= 0:  # an answer that happened to be quick enough would depend on luck
            raise PolicyUnavailableError("no time left to ask the policy")
        deadline = monotonic() + timeout_s
        if not self._places.acquire(timeout=timeout_s):
            raise PolicyUnavailableError(f"no policy answer within {timeout_s:g} s: every worker is busy")
        outcome: Future[T] = Future()
        threading.Thread(target=self._work, args=(work, outcome), name="policy", daemon=True).start()
        try:
            return outcome.result(timeout=max(deadline - monotonic(), 0.0))
        except TimeoutError as exc:
            if outcome.done():  # the work's own time-out, not ours
                raise
            raise PolicyUnavailableError(f"no policy answer within {timeout_s:g} s") from exc

    def _work(self, work: Callable[[], T], outcome: Future[T]) -> None:
        try:
            outcome.set_result(work())
        except BaseException as exc:  # noqa: BLE001 - handed to the waiting caller, whatever it is
            outcome.set_exception(exc)
        finally:
            self._places.release()
