"""The turns of SQLite's writers: in order, without a way past, given back whatever happens."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from lockgate.storage import StorageBusyError, StorageError
from lockgate.storage.turns import Line, take_turn

WAIT_S = 5.0
SOON_S = 0.05


class Owner:
    """Stands for an engine."""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A database file that nobody writes."""
    return str(tmp_path / "lockgate.db")


@pytest.fixture
def alarm() -> Iterator[None]:
    """Ctrl-C, soon."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, SOON_S)
    yield
    signal.signal(signal.SIGALRM, before)


def is_locked(path: str) -> bool:
    """Tell whether somebody holds a lock file."""
    with Path(path).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def wait_until_waiting(line: Line, count: int) -> None:
    """Wait until so many threads stand in line behind the first."""
    deadline = time.monotonic() + WAIT_S
    while len(line._waiting) != count:
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_threads_go_in_the_order_in_which_they_came() -> None:
    """Of five threads that wait, the first to come is the first to go."""
    line, order = Line(), []

    def go(number: int) -> None:
        assert line.enter(WAIT_S)
        order.append(number)
        line.leave()

    assert line.enter(WAIT_S)
    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=go, args=(number,)))
        threads[-1].start()
        wait_until_waiting(line, number + 1)
    line.leave()
    for thread in threads:
        thread.join()

    assert order == [0, 1, 2, 3, 4]


def test_who_has_waited_too_long_is_out_of_the_line() -> None:
    """A thread that gave up is not waited for by those behind it."""
    line = Line()
    assert line.enter(WAIT_S)
    gave_up = line.enter(SOON_S)
    line.leave()

    assert not gave_up
    assert line.enter(SOON_S)


class LateLine(Line):
    """A line in which the turn comes at the very moment in which somebody gives up."""

    def _give_up(self, gate: threading.Lock) -> bool:
        self.leave()
        return super()._give_up(gate)


def test_a_turn_that_comes_at_the_last_moment_is_taken() -> None:
    """Who is handed the turn while giving up has it, and gives it back as any other."""
    line = LateLine()
    assert line.enter(WAIT_S)
    came = line.enter(SOON_S)
    line.leave()

    assert came
    assert line.enter(SOON_S)


@pytest.mark.usefixtures("alarm")
def test_a_turn_that_comes_while_being_interrupted_goes_to_the_next() -> None:
    """Ctrl-C at the moment in which the turn comes does not leave it with nobody."""
    line = LateLine()
    assert line.enter(WAIT_S)
    with pytest.raises(KeyboardInterrupt):
        line.enter(WAIT_S)

    assert line.enter(SOON_S)


@pytest.mark.usefixtures("alarm")
def test_who_is_interrupted_is_out_of_the_line() -> None:
    """Ctrl-C while waiting leaves the line as if nobody had come."""
    line = Line()
    assert line.enter(WAIT_S)
    with pytest.raises(KeyboardInterrupt):
        line.enter(WAIT_S)
    line.leave()

    assert line.enter(SOON_S)


def test_a_turn_is_given_back_after_an_exception(path: str) -> None:
    """Whatever ends a turn, the next one can be had."""
    owner = Owner()
    with pytest.raises(KeyError), take_turn(owner, path, WAIT_S):
        raise KeyError
    with take_turn(owner, path, SOON_S):
        held = is_locked(f"{path}.lock")

    assert held
    assert not is_locked(f"{path}.lock")


def test_nobody_passes_who_waits_at_the_door(path: str) -> None:
    """While somebody waits at the door, the lock is not taken, although it is free."""
    with Path(f"{path}.door").open("ab") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        with pytest.raises(StorageBusyError) as caught, take_turn(Owner(), path, SOON_S):
            pass

    assert caught.value.code == "storage.busy"
    assert not is_locked(f"{path}.lock")


def test_who_waits_for_the_lock_keeps_the_door_until_it_has_it(path: str) -> None:
    """The door is held while waiting for the lock, and open while writing."""
    seen = []

    def write() -> None:
        with take_turn(Owner(), path, WAIT_S):
            seen.append(is_locked(f"{path}.door"))

    with Path(f"{path}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=write)
        thread.start()
        deadline = time.monotonic() + WAIT_S
        while not is_locked(f"{path}.door"):
            assert time.monotonic() < deadline
    thread.join()

    assert seen == [False]


def test_who_gives_up_waiting_for_the_lock_opens_the_door(path: str) -> None:
    """A writer that was told to come back blocks nobody."""
    with Path(f"{path}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StorageBusyError), take_turn(Owner(), path, SOON_S):
            pass

    assert not is_locked(f"{path}.door")
    with take_turn(Owner(), path, SOON_S):
        pass


def test_a_fork_inside_a_turn_takes_nothing_along(path: str) -> None:
    """The parent's turn ends although a child has its files open, and the child stands in no line."""
    code = (
        "import os, sys, time\n"
        "from lockgate.storage.turns import take_turn\n"
        "class Owner: pass\n"
        "owner, path = Owner(), sys.argv[1]\n"
        "ready, done = os.pipe()\n"
        "with take_turn(owner, path, 5):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        os.read(ready, 1)\n"
        "        with take_turn(owner, path, 5): os._exit(7)\n"
        "with take_turn(owner, path, 1): os.write(done, b'.')\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, path], check=False, capture_output=True, text=True)

    assert ended.stdout.strip() == "7", ended.stderr


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Lock files that cannot be made are `storage.unavailable`, and the line moves on."""
    owner, path = Owner(), str(tmp_path / "none" / "lockgate.db")
    for _ in range(2):
        with pytest.raises(StorageError) as caught, take_turn(owner, path, SOON_S):
            pass

        assert caught.value.code == "storage.unavailable"


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else can own a file")
def test_a_lock_file_of_another_user_is_named() -> None:
    """Whoever is locked out by a file that root made first is told whose it is, and what to do."""
    with tempfile.TemporaryDirectory() as folder:  # not pytest's, which only its owner may enter
        Path(folder).chmod(0o755)
        path = f"{folder}/lockgate.db"
        with take_turn(Owner(), path, WAIT_S):
            pass
        os.seteuid(65534)
        try:
            with pytest.raises(StorageError, match=r"lockgate\.db\.lock .*owned by another user; run as") as caught:
                take_turn(Owner(), path, WAIT_S).__enter__()
        finally:
            os.seteuid(0)

    assert caught.value.code == "storage.unavailable"
