"""Group commit: one writer at a time, in order, for all who wait; nobody is forgotten."""

import threading
from collections.abc import Callable, Sequence

import pytest

from lockgate.audit.errors import LogBusyError
from lockgate.audit.writing.group_commit import BATCH_MAX, GroupCommit, _Turn


class Desk:
    """Something to write to, which can be kept from finishing."""

    def __init__(self, waiting_max: int = 100) -> None:
        self.batches: list[list[int]] = []
        self.open = threading.Event()
        self.busy = threading.Semaphore(0)
        self.group = GroupCommit(self._write, waiting_max=waiting_max)
        self.failures: list[BaseException] = []

    def submit_apart(self, job: int) -> threading.Thread:
        """Submit in a thread of its own."""

        def submit() -> None:
            try:
                self.group.submit(job)
            except BaseException as exc:  # noqa: BLE001 - kept for the test to look at
                self.failures.append(exc)

        thread = threading.Thread(target=submit)
        thread.start()
        return thread

    def wait_for(self, waiting: int) -> None:
        """Wait until so many jobs are in the queue."""
        while len(self.group._waiting) < waiting:
            pass

    def _write(self, take: Callable[[], Sequence[int]]) -> None:
        self.batches.append(list(take()))
        self.busy.release()
        assert self.open.wait(10)


def test_a_lone_job_is_written_at_once() -> None:
    """A caller with nobody before it writes for itself."""
    desk = Desk()
    desk.open.set()
    desk.group.submit(1)
    desk.group.submit(2)

    assert desk.batches == [[1], [2]]


def test_who_waits_is_written_together() -> None:
    """All jobs that came during one write are the next batch, in their order."""
    desk = Desk()
    threads = [desk.submit_apart(0)]
    desk.busy.acquire()
    for job in range(1, 6):
        threads.append(desk.submit_apart(job))
        desk.wait_for(job)
    desk.open.set()
    for thread in threads:
        thread.join(10)

    assert desk.batches == [[0], [1, 2, 3, 4, 5]]
    assert desk.failures == []


def test_a_batch_has_a_largest_size() -> None:
    """Jobs beyond one batch go into the next."""
    desk = Desk(waiting_max=BATCH_MAX + 2)
    threads = [desk.submit_apart(0)]
    desk.busy.acquire()
    threads += [desk.submit_apart(job) for job in range(1, BATCH_MAX + 2)]
    desk.wait_for(BATCH_MAX + 1)
    desk.open.set()
    for thread in threads:
        thread.join(10)

    assert [len(batch) for batch in desk.batches] == [1, BATCH_MAX, 1]


def test_a_full_queue_refuses() -> None:
    """When too many wait, the next caller is told so at once, and those who wait are served."""
    desk = Desk(waiting_max=2)
    threads = [desk.submit_apart(0)]
    desk.busy.acquire()
    threads += [desk.submit_apart(1), desk.submit_apart(2)]
    desk.wait_for(2)
    with pytest.raises(LogBusyError):
        desk.group.submit(3)
    desk.open.set()
    for thread in threads:
        thread.join(10)

    assert sorted(job for batch in desk.batches for job in batch) == [0, 1, 2]


def test_a_writer_that_is_stopped_wakes_the_others() -> None:
    """An interrupt in the writer's thread reaches it alone; the next caller writes."""
    desk = Desk()
    stop = threading.Event()

    def write(take: Callable[[], Sequence[int]]) -> None:
        jobs = take()
        desk.batches.append(list(jobs))
        desk.busy.release()
        assert stop.wait(10)
        if 0 in jobs:
            raise KeyboardInterrupt

    desk.group = GroupCommit(write)
    threads = [desk.submit_apart(0)]
    desk.busy.acquire()
    threads.append(desk.submit_apart(1))
    desk.wait_for(1)
    stop.set()
    for thread in threads:
        thread.join(10)

    assert desk.batches == [[0], [1]]
    assert [type(failure) for failure in desk.failures] == [KeyboardInterrupt]


@pytest.mark.parametrize("called", [False, True])
def test_a_waiter_that_is_interrupted_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, *, called: bool) -> None:
    """An interrupt in a caller that waits, or that is just called to write, leaves the others their turns."""
    desk = Desk()
    first = desk.submit_apart(0)
    desk.busy.acquire()
    turn = _Turn(1)

    class Interrupted:
        """A signal that an interrupt hits while it is waited for."""

        def acquire(self) -> bool:
            desk.wait_for(1)
            if called:
                desk.open.set()
                first.join(10)
            raise KeyboardInterrupt

        def release(self) -> None:
            """Nobody waits any more."""

    turn.called = Interrupted()  # type: ignore[assignment]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("lockgate.audit.writing.group_commit._Turn", lambda _job: turn)
        desk.group.submit(1)
    desk.open.set()
    first.join(10)
    later = desk.submit_apart(2)
    later.join(10)

    assert not later.is_alive()
    assert desk.batches == [[0], [2]]


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_waiter_that_is_gone_breaks_no_chain(monkeypatch: pytest.MonkeyPatch, gone: int) -> None:
    """An interrupt in a caller whose job is being written leaves those who are woken after it awake."""
    desk = Desk()
    written = threading.Semaphore(0)
    leaving = threading.Event()

    def write(take: Callable[[], Sequence[int]]) -> None:
        desk.batches.append(list(take()))
        desk.busy.release()
        assert written.acquire(timeout=10)

    class Interrupted:
        """A signal that an interrupt hits while the batch is being written."""

        def acquire(self) -> bool:
            assert leaving.wait(10)
            raise KeyboardInterrupt

        def release(self) -> None:
            """Nobody waits any more."""

    def turn_of(job: int) -> _Turn[int]:
        turn = _Turn(job)
        if job == gone:
            turn.called = Interrupted()  # type: ignore[assignment]
        return turn

    monkeypatch.setattr("lockgate.audit.writing.group_commit._Turn", turn_of)
    desk.group = GroupCommit(write)
    threads = [desk.submit_apart(-1)]
    desk.busy.acquire()
    for job in range(4):
        threads.append(desk.submit_apart(job))
        desk.wait_for(1 + job)
    written.release()
    desk.busy.acquire()  # the batch of those who waited is being written
    leaving.set()
    threads[1 + gone].join(10)
    written.release()
    for thread in threads:
        thread.join(10)

    assert not any(thread.is_alive() for thread in threads)
    assert desk.batches == [[-1], [0, 1, 2, 3]]
    assert [type(failure) for failure in desk.failures] == [KeyboardInterrupt]


def test_who_comes_before_the_batch_is_taken_is_in_it() -> None:
    """A writer that first waits for its turn among other processes writes for all who came meanwhile."""
    desk = Desk()
    held_up = threading.Event()

    def write(take: Callable[[], Sequence[int]]) -> None:
        assert held_up.wait(10)
        desk.batches.append(list(take()))

    desk.group = GroupCommit(write)
    threads = [desk.submit_apart(0)]
    desk.wait_for(1)
    threads.append(desk.submit_apart(1))
    desk.wait_for(2)
    held_up.set()
    for thread in threads:
        thread.join(10)

    assert desk.batches == [[0, 1]]


def test_there_is_one_writer_at_a_time() -> None:
    """However many callers there are, writes never overlap and every job is written once."""
    inside = threading.Lock()
    written: list[int] = []

    def write(take: Callable[[], Sequence[int]]) -> None:
        assert inside.acquire(blocking=False)
        written.extend(take())
        inside.release()

    group = GroupCommit(write)

    def submit(start: int) -> None:
        for job in range(start, start + 200):
            group.submit(job)

    threads = [threading.Thread(target=submit, args=(1000 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(written) == sorted(1000 * number + job for number in range(8) for job in range(200))
