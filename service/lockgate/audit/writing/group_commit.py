"""Group commit: many callers at once, one of them writes for all who wait.

A durable commit takes as long for a hundred records as for one. So whoever comes while nobody writes, writes; whoever
comes meanwhile waits, and when the write is done the first of them writes for all who wait by then. There is always at
most one writer in a process, as with a thread of its own, but no thread to start, or to hand a single caller's work to
and back (docs/adr/0007-group-commit.md). A child of a fork begins with an object of its own; fork while no thread
writes, as a server does before it serves: SQLite itself cannot be used in a child otherwise.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

from lockgate.audit.errors import LogBusyError, LogReentrantError

J = TypeVar("J")

WAITING_MAX: Final = 4096  # jobs; Tessera's pushback. Half a second of work; past that a caller is told to come back
BATCH_MAX: Final = 512  # jobs in one write; past that a batch gains little and its first caller waits


class GroupCommit(Generic[J]):
    """Hands jobs to `write` in batches, in the order in which they came, one batch at a time."""

    def __init__(self, write: Callable[[Callable[[], Sequence[J]]], None], *, waiting_max: int = WAITING_MAX) -> None:
        """Take what writes.

        Args:
            write: Takes a batch, once, by calling what it is given: late, when it can write at once, so that whoever
                came until then is in it. It writes the batch and notes each job's outcome in the job. It is called by
                one thread at a time.
            waiting_max: How many jobs may wait.
        """
        self._write = write
        self._waiting_max = waiting_max
        self._lock = threading.Lock()
        self._waiting: deque[_Turn[J]] = deque()
        self._writing = False
        self._writer = 0  # the identity of the thread that writes

    def submit(self, job: J) -> None:
        """Wait until the job was part of a batch that `write` is done with.

        Raises:
            LogBusyError: Too many jobs wait already; this one was not taken.
            LogReentrantError: The caller is itself part of a batch that is being written: it would wait for itself.
            BaseException: What `write` raised, when this caller wrote.
        """
        if self._writer == threading.get_ident():
            raise LogReentrantError("want work that does not call its own log: it would wait for itself")
        turn = _Turn(job)
        batch: list[_Turn[J]] = []
        # Whatever happens from here on, an interrupt too, nobody may go on waiting for a caller that is gone.
        try:
            with self._lock:
                if len(self._waiting) >= self._waiting_max:
                    raise LogBusyError(f"want fewer than {self._waiting_max} waiting writers; try again")
                self._waiting.append(turn)
                turn.leads = not self._writing
                self._writing = True
            if not turn.leads:
                turn.called.acquire()  # until it was written for us, or it is our turn to write
            if not turn.written:
                self._writer = threading.get_ident()
                self._write(lambda: self._take(batch))
        finally:
            self._leave(turn, batch)

    def _take(self, batch: list["_Turn[J]"]) -> list[J]:
        with self._lock:
            while self._waiting and len(batch) < BATCH_MAX:
                batch.append(self._waiting.popleft())
        return [each.job for each in batch]

    def _leave(self, turn: "_Turn[J]", batch: list["_Turn[J]"]) -> None:
        if not turn.written:  # it wrote, or was stopped
            with self._lock:
                turn.gone = True
                if turn in self._waiting:
                    self._waiting.remove(turn)
                if turn.leads:
                    self._call_writer()
                    # Each wakes the next. Woken all at once they would fight for the interpreter, also with the writer.
                    for other in reversed(batch):
                        if not other.gone:
                            other.written, other.next, turn.next = True, turn.next, other
        if turn.next is not None:
            turn.next.called.release()

    def _call_writer(self) -> None:
        self._writer = 0
        following = self._waiting[0] if self._waiting else None
        self._writing = following is not None
        if following is not None:  # first, so that the next write begins while the others go their ways
            following.leads = True
            following.called.release()


class _Turn(Generic[J]):
    """One caller in the queue."""

    __slots__ = ("called", "gone", "job", "leads", "next", "written")

    def __init__(self, job: J) -> None:
        self.job = job
        self.leads = False  # it is the one that writes, or the next one
        self.written = False
        self.gone = False  # it waits no more
        self.next: _Turn[J] | None = None  # whom to wake when it leaves
        self.called = threading.Lock()  # a lock as a one-time signal: taken now, given back by whoever calls
        self.called.acquire()
