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
from multiprocessing.synchronize import Barrier
from pathlib import Path

from lockgate.audit import APP_EVENT, Actor, AuditLog, Event, KindCatalogue
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.formats.records import Columns
from lockgate.audit.store import Entry
from lockgate.audit.writing.append_store import AppendStore
from lockgate.canonical_json import canonicalize
from lockgate.storage import open_engine, upgrade_schema, write_transaction
from lockgate.system_clock import SystemClock

BLOCK_BYTES = 4096
ROUNDS = 5
FACTS = [{"name": f"fact_{number}", "value": "x" * 80} for number in range(8)]  # a record of about 1.4 KB
ACTOR = Actor(type="machine", id="bench")
CLIENTS = (8, 32, 128)
PROCESSES = ((4, 16), (2, 32), (2, 64))  # processes, clients of each
_start: Barrier


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
        for processes, clients in PROCESSES:
            _print(
                f"{processes} processes of {clients} clients",
                *_between(folder, lambda many=processes, each=clients: _processes(url, folder, many, each, seconds)),
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
    raw: list[float] = []
    plain: list[float] = []
    append: list[float] = []
    cpu_s = 0.0
    for _ in range(ROUNDS):
        raw += _raw(folder, count)
        plain += [_commit(log, len(plain) + number) for number in range(count)]
        start = time.process_time()
        append += [_append(log) for _ in range(count)]
        cpu_s += time.process_time() - start
    floor = statistics.median(raw)
    for name, times in (
        ("raw overwrite 4 KiB + fdatasync", raw),
        ("the record's row alone, committed", plain),
        ("1 client", append),
    ):
        quantiles = statistics.quantiles(times, n=100)
        median = statistics.median(times)
        print(
            f"{name:34} {1 / median:7.0f}/s  p50 {quantiles[49] * 1e3:6.2f} ms  p99 {quantiles[98] * 1e3:6.2f} ms  "
            f"{'':16} {floor / median:.2f} of raw"
        )
    print(f"{'':34} {cpu_s / len(append) * 1e3:.2f} ms of CPU for each append")


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


def _processes(url: str, folder: Path, processes: int, clients: int, seconds: float) -> tuple[list[float], float]:
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Barrier(processes)  # or the first has the disk to itself while the last is still starting
    with spawn.Pool(processes, _wait_at, (start,)) as pool:
        results = pool.starmap(_process, [(url, folder, clients, seconds)] * processes, chunksize=1)
    return [item for times, _ in results for item in times], sum(rate for _, rate in results)


def _wait_at(start: Barrier) -> None:
    global _start  # noqa: PLW0603 - a barrier reaches another process when it starts, and in no other way
    _start = start


def _process(url: str, folder: Path, clients: int, seconds: float) -> tuple[list[float], float]:
    log = _log(url, folder)
    _append(log)
    _start.wait()
    return _clients(log, clients, seconds)


def _append(log: AuditLog) -> float:
    body = {"event": "benchmarked", "level": "info", "facts": FACTS}
    event = Event(id=str(uuid.uuid4()), kind=APP_EVENT, actor=ACTOR, body=body)
    start = time.perf_counter()
    log.append(event)
    return time.perf_counter() - start


def _commit(log: AuditLog, seq: int) -> float:
    # The same row in the same table, without its tree, checkpoint and receipt: what a log costs beyond it is ours.
    columns = Columns(
        seq=seq,
        leaf=bytes(32),
        prev=bytes(32),
        id=str(uuid.uuid4()),
        kind=APP_EVENT,
        ts="2026-11-23T00:00:00.000000Z",
        actor=ACTOR.id,
        subject=None,
    )
    body = canonicalize({"facts": FACTS, "envelope": "x" * 500})
    start = time.perf_counter()
    with write_transaction(log._engine) as connection:  # noqa: SLF001 - the floor of this very database
        AppendStore(connection, "plain.example").add_entries([Entry(body=body, columns=columns)])
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
