"""Nothing acknowledged is lost: writers are killed at any moment, and every system call of an append is made to fail.

`LOCKGATE_TEST_KILLS` and `-k killed` run the first test longer by hand; docs/performance.md has the longest run.
"""

import contextlib
import os
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from support.audit_logs import LogStand, make_stand, verify_export
from support.log_nursery import Child, Nursery

KILLS: Final = int(os.environ.get("LOCKGATE_TEST_KILLS", "110"))  # noqa: TID251 - of each database; a test's own
SEED: Final = 20_261_123
# What an append asks of the system that is not about files: memory, threads, time, signals.
NOT_FILES: Final = re.compile(
    "futex|mmap|munmap|mprotect|brk|madvise|rt_sig.*|clock_.*|getpid|gettid|getrandom|sched_.*|restart_syscall|poll|"
    "sendto|recvfrom|set_robust_list|rseq|select|pselect6|getuid|geteuid"
)


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[LogStand]:
    """A log with nothing but its genesis record; every test here runs on both databases."""
    made = make_stand(tmp_path, database_url)
    yield made
    made.engine.dispose()


@contextlib.contextmanager
def _nursery(stand: LogStand) -> Iterator[Nursery]:
    nursery = Nursery(stand.url, stand.checkpoint_file, stand.folder / "meeting")
    try:
        yield nursery
    finally:
        nursery.close()


@pytest.mark.slow
def test_killed_writers_lose_nothing(stand: LogStand) -> None:
    """However often processes under load are killed, every acknowledged record is in one valid log, in its place."""
    chance = random.Random(SEED)  # noqa: S311 - the moments of death, the same in each run
    acknowledged: list[int] = []
    with _nursery(stand) as nursery:
        for _ in range(KILLS // 2):
            children = [nursery.child(), nursery.child()]
            for child in children:
                child.append_for_ever(threads=3)
            time.sleep(chance.uniform(0.005, 0.12))
            for child in children:
                failures = [answer for answer in child.kill() if not answer.startswith("ok")]
                assert failures == []
                acknowledged += child.acknowledged
        survivor = nursery.child()
        assert survivor.append().startswith("ok")
        survivor.kill()

    verification = verify_export(stand.export(), stand.signer)
    assert verification.verdict == "valid"
    assert len(set(acknowledged)) == len(acknowledged)  # no position was given to two
    assert verification.size > max(acknowledged)
    stand.reopened().check_head()


@pytest.fixture
def strace() -> str:
    """The tracer that makes system calls fail; without it the test is skipped, or fails where CI must have it."""
    found = shutil.which("strace")
    if found is not None:
        return found
    reason = "strace is not on PATH; run `make tools`"
    if os.environ.get("CI") == "true":  # noqa: TID251 - a test run's own surroundings, not a setting of the service
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def _traced(strace: str, child: Child, *options: str) -> Iterator[None]:
    tracer = subprocess.Popen([strace, "-f", "-p", str(child.pid), *options], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    for line in tracer.stderr:
        if "attached" in line:
            break
    try:
        yield
    finally:
        tracer.terminate()
        tracer.communicate()


def _calls_of_an_append(strace: str, child: Child, out: Path) -> Counter[str]:
    with _traced(strace, child, "-o", str(out)):
        assert child.append().startswith("ok")
    names = re.findall(r"^\d+ +(\w+)\(", out.read_text(), flags=re.MULTILINE)
    return Counter(name for name in names if not NOT_FILES.fullmatch(name))


@pytest.mark.slow
def test_every_system_call_may_fail(tmp_path: Path, strace: str) -> None:
    """An error or death in any file call of an append on SQLite is told by name or is death; nothing is lost."""
    stand = make_stand(tmp_path)
    outcomes: Counter[str] = Counter()
    acknowledged: list[int] = []
    with _nursery(stand) as nursery:
        child = nursery.child()
        child.append()
        calls = _calls_of_an_append(strace, child, tmp_path / "trace")
        for fault in ("error=EIO", "error=ENOSPC", "signal=KILL"):
            for name, place in ((name, place) for name, count in calls.items() for place in range(1, count + 1)):
                with _traced(strace, child, "-e", f"trace={name}", "-e", f"inject={name}:{fault}:when={place}"):
                    answer = child.append()
                outcomes[answer.partition(" ")[0] or "died"] += 1
                assert answer.startswith(("ok ", "error storage.", "error audit.checkpoint_file")) or answer == ""
                if not answer:
                    acknowledged += child.acknowledged
                    child = nursery.child()
                assert child.append().startswith("ok"), (fault, name, place, answer)
        acknowledged += child.acknowledged
        child.kill()

    verification = verify_export(stand.export(), stand.signer)
    assert verification.verdict == "valid"
    assert set(acknowledged) <= set(range(verification.size))
    assert calls["pwrite64"] > 0
    assert calls["fdatasync"] > 0
    assert min(outcomes["ok"], outcomes["error"], outcomes["died"]) > 0
