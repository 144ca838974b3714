"""Append with receipt against a raw durable write, in the same folder and the same minute.

    python benchmarks/bench_append.py [--quick] [--dir FOLDER] [--postgresql URL]

A shared disk's speed moves by a factor of two between runs, so the ratio is the figure, not the rate: each measurement
stands between two of the raw floor. The folder must lie on the disk that matters: on tmpfs a durable write is free.

A receipt is counted when the caller has it in hand: record chained and durable, tree and signed checkpoint stored, the
checkpoint written outside the database, the tlog-proof text made.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import threading
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
ACTOR = Actor(type="machine", id="bench")
CLIENTS = (8, 32, 128)
PROCESSES = 4
CLIENTS_PER_PROCESS = 16


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--dir", default=".", help="where to write; the current folder unless given")
    parser.add_argument("--postgresql", metavar="URL", help="an empty database, to be measured instead of SQLite")
    arguments = parser.parse_args()
    seconds = 0.5 if arguments.quick else 5.0
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        folder = Path(name)
        url = arguments.postgresql or f"sqlite:///{folder / 'bench.db'}"
        upgrade_schema(open_engine(url))
        log = _log(url, folder)
        log.create()
        _serial(log, folder, 20 if arguments.quick else 200)
        for clients in CLIENTS:
            _print(f"{clients} clients", *_between(folder, lambda count=clients: _clients(log, count, seconds)))
        _print(
            f"{PROCESSES} processes of {CLIENTS_PER_PROCESS} clients",
            *_between(folder, lambda: _processes(url, folder, seconds)),
        )


def _log(url: str, folder: Path) -> AuditLog:
    return AuditLog(
        engine=open_engine(url),
        signer=make_signer("bench.example", bytes(range(32))),
        clock=SystemClock(),
        catalogue=KindCatalogue({}),
        instance="bench",
        checkpoint_file=folder / "checkpoints.txt",
    )


def _serial(log: AuditLog, folder: Path, count: int) -> None:
    raw, append = [], []
    for _ in range(ROUNDS):
        raw += _raw(folder, count)
        append += [_append(log) for _ in range(count)]
    for name, times in (("raw overwrite 4 KiB + fdatasync", raw), ("1 client", append)):
        quantiles = statistics.quantiles(times, n=100)
        rate = 1 / statistics.median(times)
        print(f"{name:34} {rate:7.0f}/s  p50 {quantiles[49] * 1e3:6.2f} ms  p99 {quantiles[98] * 1e3:6.2f} ms")
    print(f"{'':34} {statistics.median(raw) / statistics.median(append):.2f} of raw")


def _between(folder: Path, measure: object) -> tuple[list[float], float, float]:
    before = _raw(folder, 200)
    times, rate = measure()  # type: ignore[operator]
    return times, rate, 1 / statistics.median(before + _raw(folder, 200))


def _clients(log: AuditLog, clients: int, seconds: float) -> tuple[list[float], float]:
    times: list[float] = []
    end = time.perf_counter() + seconds

    def work() -> None:
        while time.perf_counter() < end:
            times.append(_append(log))

    threads = [threading.Thread(target=work) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, len(times) / (time.perf_counter() - start)


def _processes(url: str, folder: Path, seconds: float) -> tuple[list[float], float]:
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        results = pool.starmap(_process, [(url, folder, seconds)] * PROCESSES)
    return [item for times, _ in results for item in times], sum(rate for _, rate in results)


def _process(url: str, folder: Path, seconds: float) -> tuple[list[float], float]:
    return _clients(_log(url, folder), CLIENTS_PER_PROCESS, seconds)


def _append(log: AuditLog) -> float:
    body = {"event": "benchmarked", "level": "info", "facts": FACTS}
    event = Event(id=str(uuid.uuid4()), kind=APP_EVENT, actor=ACTOR, body=body)
    start = time.perf_counter()
    log.append(event)
    return time.perf_counter() - start


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


def _print(name: str, times: list[float], rate: float, raw_rate: float) -> None:
    quantiles = statistics.quantiles(times, n=100)
    print(
        f"{name:34} {rate:7.0f}/s  p50 {quantiles[49] * 1e3:6.2f} ms  p99 {quantiles[98] * 1e3:6.2f} ms  "
        f"max {max(times) * 1e3:6.0f} ms  {rate / raw_rate:.2f} of raw ({raw_rate:.0f}/s)"
    )


if __name__ == "__main__":
    main()
