"""Append with receipt against a raw durable write, in the same folder and the same minute.

    python benchmarks/bench_append.py [--quick] [--dir FOLDER]

A shared disk's speed moves by a factor of two between runs, so the ratio is the figure, not the rate. The two are
measured in turns. The folder must lie on the disk that matters: on tmpfs a durable write costs nothing.
"""

import argparse
import os
import statistics
import tempfile
import time
import uuid
from pathlib import Path

from lockgate.audit import APP_EVENT, Actor, AuditLog, Event, KindCatalogue
from lockgate.audit.formats.notes import make_signer
from lockgate.storage import open_engine, upgrade_schema
from lockgate.system_clock import SystemClock

BLOCK_BYTES = 4096
ROUNDS = 5
FACTS = [{"name": f"fact_{number}", "value": "x" * 80} for number in range(8)]  # a record of about 1.4 KB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--dir", default=".", help="where to write; the current folder unless given")
    arguments = parser.parse_args()
    count = 20 if arguments.quick else 200
    with tempfile.TemporaryDirectory(dir=arguments.dir) as folder:
        log = _log(Path(folder))
        raw, append = [], []
        for _ in range(ROUNDS):
            raw += _raw(Path(folder), count)
            append += _append(log, count)
    _print("raw overwrite 4 KiB + fdatasync", raw)
    _print("append with receipt, serial", append)
    print(f"ratio of rates: {statistics.median(raw) / statistics.median(append):.2f}")


def _log(folder: Path) -> AuditLog:
    engine = open_engine(f"sqlite:///{folder / 'bench.db'}")
    upgrade_schema(engine)
    log = AuditLog(
        engine=engine,
        signer=make_signer("bench.example", bytes(range(32))),
        clock=SystemClock(),
        catalogue=KindCatalogue({}),
        instance="bench",
    )
    log.create()
    return log


def _raw(folder: Path, count: int) -> list[float]:
    descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT, 0o600)
    block, times = os.urandom(BLOCK_BYTES), []
    for _ in range(count):
        start = time.perf_counter()
        os.pwrite(descriptor, block, 0)
        os.fdatasync(descriptor)
        times.append(time.perf_counter() - start)
    os.close(descriptor)
    return times


def _append(log: AuditLog, count: int) -> list[float]:
    actor, times = Actor(type="machine", id="bench"), []
    for _ in range(count):
        body = {"event": "benchmarked", "level": "info", "facts": FACTS}
        event = Event(id=str(uuid.uuid4()), kind=APP_EVENT, actor=actor, body=body)
        start = time.perf_counter()
        log.append(event)
        times.append(time.perf_counter() - start)
    return times


def _print(name: str, times: list[float]) -> None:
    quantiles = statistics.quantiles(times, n=100)
    print(f"{name:34} {len(times):5} times, p50 {quantiles[49] * 1e3:.2f} ms, p99 {quantiles[98] * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
