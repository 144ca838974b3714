"""The loop of `lockgate deliver`: every job runs, a failing one stops no other, and it ends when told to."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from lockgate.background import worker
from lockgate.background.worker import Worker
from lockgate.canonical_json import parse_json
from lockgate.cli.deliver import ALIVE
from lockgate.storage import StorageError
from support.served_gates import ServedGate, make_served_gate

WAIT_S_MAX = 20
LINE_BYTES_MAX = 65536


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> ServedGate:
    """A gate in a folder, beside which the process runs."""
    return make_served_gate(tmp_path_factory.mktemp("gate"))


class CountingJob:
    """Counts its runs; does what the test says in each."""

    def __init__(self, name: str, act: Callable[[], float]) -> None:
        self.name = name
        self.act = act
        self.runs = 0
        self.ran = threading.Event()

    def run(self) -> float:
        """Run once."""
        self.runs += 1
        self.ran.set()
        return self.act()


def _fail(error: Exception) -> Callable[[], float]:
    def act() -> float:
        raise error

    return act


def test_each_job_runs_once() -> None:
    """One round runs every job, after what changed was taken over."""
    order: list[str] = []
    jobs = [CountingJob(name, lambda: 1.0) for name in ("one", "two")]
    done = Worker(jobs, lambda: order.append("refreshed")).run_once()

    assert done
    assert [job.runs for job in jobs] == [1, 1]
    assert order == ["refreshed", "refreshed"]


@pytest.mark.parametrize(
    ("error", "code", "level"),
    [(StorageError("x"), "storage.unavailable", "warning"), (ZeroDivisionError(), "internal", "error")],
    ids=["expected", "defect"],
)
def test_failed_job_stops_no_other(error: Exception, code: str, level: str) -> None:
    """What a job raises is said by its code; the others run, and the round is told to have failed."""
    jobs = [CountingJob("bad", _fail(error)), CountingJob("good", lambda: 1.0)]
    with capture_logs() as lines:
        done = Worker(jobs, lambda: None).run_once()

    assert not done
    assert jobs[1].runs == 1
    assert [(line["event"], line["job"], line["code"], line["log_level"]) for line in lines] == [
        ("job_failed", "bad", code, level)
    ]


def test_slow_job_holds_up_no_other() -> None:
    """While one job waits for somebody, another runs as often as it wants; leaving waits for what is under way."""
    release = threading.Event()

    def wait() -> float:
        release.wait(WAIT_S_MAX)
        return 1.0

    slow = CountingJob("slow", wait)
    quick = CountingJob("quick", lambda: 0.0)
    with Worker([slow, quick], lambda: None).running():
        assert slow.ran.wait(WAIT_S_MAX)
        deadline = time.monotonic() + WAIT_S_MAX
        while quick.runs < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        release.set()

    assert slow.runs == 1
    assert quick.runs >= 3


def test_job_that_hangs_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is under way gets its time to end, and no more."""
    monkeypatch.setattr(worker, "STOP_S_MAX", 0.05)
    release = threading.Event()

    def hang() -> float:
        release.wait(WAIT_S_MAX)
        return 1.0

    job = CountingJob("hangs", hang)
    began = time.monotonic()
    with Worker([job], lambda: None).running():
        assert job.ran.wait(WAIT_S_MAX)
    took = time.monotonic() - began
    release.set()

    assert took < WAIT_S_MAX / 2


def test_job_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that takes longer than any may is told by the job's name; one that waits for its next turn is not."""
    monkeypatch.setattr(worker, "STUCK_S", 0.0)
    release = threading.Event()

    def hang() -> float:
        release.wait(WAIT_S_MAX)
        return WAIT_S_MAX

    hanging, waiting = CountingJob("hangs", hang), CountingJob("waits", lambda: WAIT_S_MAX)
    made = Worker([hanging, waiting], lambda: None)
    with made.running():
        assert hanging.ran.wait(WAIT_S_MAX)
        assert waiting.ran.wait(WAIT_S_MAX)
        deadline = time.monotonic() + WAIT_S_MAX
        while "waits" in made.stuck() and time.monotonic() < deadline:
            time.sleep(0.01)
        stuck = made.stuck()
        release.set()

    assert stuck == ("hangs",)
    assert made.stuck() == ()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_ends_when_told(gate: ServedGate, number: signal.Signals) -> None:
    """`lockgate deliver` says that it began, follows SIGHUP, and ends with 0 on SIGTERM and on Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lockgate", "deliver"],
        env=dict(gate.stage.environment),
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    lines: list[Any] = [parse_json(process.stderr.readline(), bytes_max=LINE_BYTES_MAX)]
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    process.send_signal(number)
    rest = process.communicate(timeout=WAIT_S_MAX)[1]
    lines += [parse_json(line, bytes_max=LINE_BYTES_MAX) for line in rest.splitlines()]

    assert (Path(gate.stage.environment["LOCKGATE_DATA_DIR"]) / ALIVE).exists()
    assert lines[0]["event"] == "delivering"
    assert [line["event"] for line in lines if line["level"] != "info"] == []
    assert process.returncode == 0


def test_once(gate: ServedGate) -> None:
    """`lockgate deliver --once` does what is due and ends with 0."""
    assert gate.stage.run(["deliver", "--once"]).exit_code == 0
