"""Turns to write: threads and processes that share a SQLite file write one after the other, and none is passed over.

The threads of a process stand in a line. The first of each line competes with the other processes for two lock files:

1. the door: whoever holds it writes next;
2. the lock: whoever holds it writes.

A writer waits for the door, then, holding it, for the lock, and then lets go of the door. A process that has just
written cannot be the next to write while another one is waiting at the door, however quick it is.

This is about waiting alone. What keeps two writers apart is SQLite's own lock, so that a lock file that was deleted
does no harm.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from lockgate.storage.errors import StorageBusyError, StorageError

# flock has no time-out, so who waits looks again. Only one in all waits for the lock, and the disk idles meanwhile.
_LOCK_POLL_S: Final = 0.00005
_DOOR_POLL_S: Final = 0.0003  # about one commit
# The longer one has waited, the less often it looks: three that look all the time take a third of two processors away
# from the one that writes.
_POLL_SHARE: Final = 1 / 8  # of what it has waited so far: by so much the wait is longer at most
_POLL_S_MAX: Final = 0.002


class Line:
    """Threads of one process, in the order in which they came."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._busy = False
        self._waiting: deque[threading.Lock] = deque()

    def enter(self, wait_s: float) -> bool:
        """Wait to be first; tell whether that came within `wait_s`."""
        with self._mutex:
            if not self._busy:
                self._busy = True
                return True
            gate = threading.Lock()
            gate.acquire()
            self._waiting.append(gate)
        try:
            return gate.acquire(timeout=wait_s) or not self._give_up(gate)
        except BaseException:  # KeyboardInterrupt, and the like: nobody will leave for it
            if not self._give_up(gate):
                self.leave()
            raise

    def leave(self) -> None:
        """Let the next one be first."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._busy = False

    def _give_up(self, gate: threading.Lock) -> bool:
        with self._mutex:
            if gate in self._waiting:
                self._waiting.remove(gate)
                return True
        return False  # its turn came at the last moment


_LINES: Final[WeakKeyDictionary[object, Line]] = WeakKeyDictionary()
os.register_at_fork(after_in_child=_LINES.clear)  # whoever stood in line stayed in the parent


@contextlib.contextmanager
def take_turn(owner: object, path: str, wait_s: float) -> Iterator[None]:
    """Wait for the turn to write to a database file, and give it back at the end.

    Args:
        owner: Whose threads stand in one line: the engine.
        path: The database file. The lock files lie beside it.
        wait_s: How long to wait at most, in seconds.

    Raises:
        StorageBusyError: The turn did not come.
        StorageError: The lock files cannot be opened.
    """
    deadline = time.monotonic() + wait_s
    line = _LINES.get(owner) or _LINES.setdefault(owner, Line())
    if not line.enter(wait_s):
        raise _busy(wait_s)
    try:
        with _held(f"{path}.lock") as lock:
            with _held(f"{path}.door") as door:
                _acquire(door, _DOOR_POLL_S, deadline, wait_s)
                _acquire(lock, _LOCK_POLL_S, deadline, wait_s)
            yield
    finally:
        line.leave()


@contextlib.contextmanager
def _held(path: str) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise StorageError(
            f"cannot open the lock file {Path(path).name} beside the database: {_reason(path, exc)}"
        ) from exc
    try:
        yield descriptor
    finally:
        # Unlocked by name: a child that was forked meanwhile has the descriptor too, and would keep the lock. A failure
        # is no reason to call a transaction failed that is durable: to close a descriptor frees it even then.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _reason(path: str, error: OSError) -> str:
    # Whoever comes first makes the file, for itself alone: often root, by a first `lockgate init`.
    with contextlib.suppress(OSError):
        if isinstance(error, PermissionError) and Path(path).stat().st_uid != os.geteuid():
            return f"{error.strerror}: it is owned by another user; run as the service's user, or remove it"
    return str(error.strerror)


def _acquire(descriptor: int, poll_s: float, deadline: float, wait_s: float) -> None:
    start = time.monotonic()
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            now = time.monotonic()
            if now >= deadline:
                raise _busy(wait_s) from exc
            time.sleep(min(max(poll_s, (now - start) * _POLL_SHARE), _POLL_S_MAX))
        except OSError as exc:
            raise StorageError(f"cannot lock the file beside the database: {exc.strerror}") from exc
        else:
            return


def _busy(wait_s: float) -> StorageBusyError:
    return StorageBusyError(f"the database was busy for {wait_s:g} s; try again")
