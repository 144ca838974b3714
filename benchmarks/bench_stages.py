"""What each stage of a decision costs by itself, in CPU time: the constants that `scaling_model.py` reckons with.

    python benchmarks/bench_stages.py [--quick] [--postgresql URL] [--dir FOLDER]

- a call: `GET /v1/policy` to a served gate: connection, authentication, authorisation, answer, log line;
- a forecast: `POST /v1/decisions:dry-run` less a call: request, evidence from the verdict cache, policy, document;
- the rest: a decision less all other stages: rows of the promotion, freshness, receipt;
- a new bundle: its verification by a verifier that never saw it;
- the log: a decision appended with its documents, in this process, by one thread and by eight that share commits; and
  by two processes in turns, for each looks at the log's end anew where another wrote (a handover).

The last line goes to `scaling_model.py --constants`. `bench_load.py` is what the model is checked against. CPU time
depends little on how long others keep the processor, and somewhat on what they leave of its caches: let the machine be
quiet. `call_there` and so on are the database server's.
"""

import argparse
import multiprocessing
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from bench_load import MANY_CLIENTS, ORIGIN, ROUNDS, Bench, counted, cpu_s, serving
from sqlalchemy import text

from lockgate.audit import Actor, AuditLog, Event, KindCatalogue
from lockgate.audit.formats.notes import make_signer
from lockgate.digests import parse_digest
from lockgate.evidence import EvidenceVerifier, VerifiedSignature, load_trust_domains
from lockgate.promotion import GATE_KINDS
from lockgate.storage import open_engine, read_transaction, upgrade_schema
from lockgate.system_clock import SystemClock

LOG: Final = f"{ORIGIN}/stages"  # beside the gate's own, as the log of an environment
BLOCK_BYTES: Final = 4096
INPUT_BYTES: Final = 4000  # of the policy's input, which differs from decision to decision
REPEATS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one record cost, and how many shared a commit."""

    here_ms: float
    there_ms: float  # of the database server
    batch: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few of each: to see that it runs")
    parser.add_argument("--dir", default=".", help="where to write; the current folder unless given")
    parser.add_argument("--postgresql", metavar="URL", help="an empty database, instead of SQLite")
    arguments = parser.parse_args()
    seconds = 0.3 if arguments.quick else 0.7
    with tempfile.TemporaryDirectory(dir=arguments.dir) as name:
        folder = Path(name).absolute()
        url = arguments.postgresql or f"sqlite:///{folder / 'data' / 'lockgate.db'}"
        with serving(folder, url, workers=1) as bench:
            call = bench.load("read the policy's revision", MANY_CLIENTS, seconds)
            forecast = bench.load("forecast", MANY_CLIENTS, seconds)
            whole = bench.load("decision", MANY_CLIENTS, seconds)
            decision = _a_decision(url)
        log_url = arguments.postgresql or f"sqlite:///{folder / 'log.db'}"
        upgrade_schema(open_engine(log_url))
        open_log(log_url, folder).create()
        server = bench.database_pid
        one = append(log_url, folder, decision, server, (1, seconds))
        many = append(log_url, folder, decision, server, (MANY_CLIENTS, seconds))
        turns = append_in_turns(log_url, folder, decision, server, (MANY_CLIENTS // 2, seconds))
        share = 1 / one.batch - 1 / many.batch
        commit, commit_there = (one.here_ms - many.here_ms) / share, (one.there_ms - many.there_ms) / share
        record, record_there = one.here_ms - commit / one.batch, one.there_ms - commit_there / one.batch
        constants = {
            "call": call.gate_ms,
            "forecast": forecast.gate_ms - call.gate_ms,
            "rest": whole.gate_ms - forecast.gate_ms - record - commit / whole.batch,
            "bundle": new_bundle_ms(bench),
            "record": record,
            "commit": commit,
            # Of two writers in turns, every second commit is behind one of the other's.
            "handover": 2 * ((turns.here_ms - record) * turns.batch - commit),
            "call_there": call.database_ms,
            "rest_there": whole.database_ms - call.database_ms - record_there - commit_there / whole.batch,
            "record_there": record_there,
            "commit_there": commit_there,
            "handover_there": 2 * ((turns.there_ms - record_there) * turns.batch - commit_there),
            "sync": sync_ms(folder),
        }
    print(f"one thread {one}\neight threads {many}\ntwo processes {turns}")
    print(" ".join(f"{key}={value:.2f}" for key, value in constants.items()))


def open_log(url: str, folder: Path) -> AuditLog:
    """Open the log as a gate does: its kinds, a checkpoint file, a key in this process."""
    return AuditLog(
        engine=open_engine(url),
        signer=make_signer(LOG, bytes(range(32))),
        clock=SystemClock(),
        catalogue=KindCatalogue(GATE_KINDS),
        instance="bench",
        checkpoint_file=folder / f"checkpoints-{os.getpid()}.txt",
    )


def append(url: str, folder: Path, decision: dict[str, Any], server: int, load: tuple[int, float]) -> Cost:
    """Append decisions from threads of this process; of several rounds the cheapest counts.

    Args:
        url: The database.
        folder: Where the checkpoint file goes.
        decision: The body of the records.
        server: The database server's process; 0 if there is none.
        load: How many threads, and for how many seconds each time.
    """
    log = open_log(url, folder)
    _write(log, decision, *load)

    def one_round() -> Cost:
        before = (time.process_time(), cpu_s(server) if server else 0.0, *counted(url))
        _write(log, decision, *load)
        return _cost(before, (time.process_time(), cpu_s(server) if server else 0.0, *counted(url)))

    return min((one_round() for _ in range(ROUNDS)), key=lambda cost: cost.here_ms + cost.there_ms)


def append_in_turns(url: str, folder: Path, decision: dict[str, Any], server: int, load: tuple[int, float]) -> Cost:
    """The same from two processes, which write by turns."""
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        work = [(url, folder, decision, *load)] * 2
        pool.starmap(_process, work, chunksize=1)

        def one_round() -> Cost:
            before = (0.0, cpu_s(server) if server else 0.0, *counted(url))
            used = sum(pool.starmap(_process, work, chunksize=1))
            return _cost(before, (used, cpu_s(server) if server else 0.0, *counted(url)))

        return min((one_round() for _ in range(ROUNDS)), key=lambda cost: cost.here_ms + cost.there_ms)


def _process(url: str, folder: Path, decision: dict[str, Any], threads: int, seconds: float) -> float:
    log = open_log(url, folder)
    before = time.process_time()
    _write(log, decision, threads, seconds)
    return time.process_time() - before


def _cost(before: Sequence[float], after: Sequence[float]) -> Cost:
    here, there, records, batches = (new - old for new, old in zip(after, before, strict=True))
    return Cost(here_ms=here / records * 1000, there_ms=there / records * 1000, batch=records / batches)


def _write(log: AuditLog, decision: dict[str, Any], threads: int, seconds: float) -> None:
    end = time.perf_counter() + seconds

    def work() -> None:
        while time.perf_counter() < end:
            record_id = str(uuid.uuid4())
            log.append(
                Event(
                    id=record_id,
                    kind="gate.decision",
                    actor=Actor(type="user", id="rita", roles=("requester",)),
                    subject="model:fraud-detector",
                    body={**decision, "id": record_id},
                    attachments=(os.urandom(INPUT_BYTES // 2).hex().encode(),),
                )
            )

    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def _a_decision(url: str) -> dict[str, Any]:
    with read_transaction(open_engine(url)) as connection:
        row = connection.execute(
            text("SELECT body FROM audit_entry WHERE kind = 'gate.decision' ORDER BY seq DESC LIMIT 1")
        ).one()
    body: dict[str, Any] = orjson.loads(bytes(row[0]))["body"]
    return body


def new_bundle_ms(bench: Bench) -> float:
    """Return the CPU time to verify a bundle that was never seen."""
    request = orjson.loads(bench.body)
    bundle, digest = (bench.folder / "model.sig").read_bytes(), parse_digest(request["digest"])
    domains = load_trust_domains(bench.folder / "trust")
    times = []
    for _ in range(REPEATS):
        verifier = EvidenceVerifier(domains, SystemClock())
        start = time.thread_time()
        assert isinstance(verifier.verify(bundle, digest, "demo"), VerifiedSignature)
        times.append((time.thread_time() - start) * 1000)
    return min(times)


def sync_ms(folder: Path) -> float:
    """Return how long one overwrite of 4 KiB takes to be on the disk; the least of many, for others use it, too."""
    descriptor = os.open(folder / "raw", os.O_WRONLY | os.O_CREAT, 0o600)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        os.pwrite(descriptor, os.urandom(BLOCK_BYTES), 0)
        os.fdatasync(descriptor)
        times.append((time.perf_counter() - start) * 1000)
    os.close(descriptor)
    return min(times)


if __name__ == "__main__":
    main()
