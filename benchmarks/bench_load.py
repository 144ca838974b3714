"""A served gate under load: rates, CPU time for each call, records that share a commit, bytes on the disk, memory.

    python benchmarks/bench_load.py [--quick] [--postgresql URL] [--dir FOLDER]

Clients keep their connections and ask as fast as they are answered; they use the same machine. URL is an empty database
of a role that owns it, on this machine, so that its CPU time can be seen. `scaling_model.py` is checked against the CPU
times: they depend less than rates on what else the machine has to do.
"""

import argparse
import base64
import contextlib
import http.client
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import orjson
from sqlalchemy import text

from lockgate.demo.material import MODEL, RITA, make_material
from lockgate.demo.stage import Stage, free_port
from lockgate.evidence.model_folder import hash_model
from lockgate.storage import open_engine, read_transaction
from lockgate.system_clock import SystemClock

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
ORIGIN: Final = "bench.example/audit"
CALLS: Final = {  # what is asked -> method, path, the status of a good answer
    "read the policy's revision": ("GET", "/v1/policy", 200),
    "forecast": ("POST", "/v1/decisions:dry-run", 200),
    "decision": ("POST", "/v1/promotions", 202),
}
WARM_UP_S: Final = 1.0  # connections made, caches filled, statements prepared
ROUNDS: Final = 15  # what else the machine has to do only adds to CPU time: many short ones find a quiet moment
MANY_CLIENTS: Final = 8  # as many as one worker has threads


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one load showed."""

    calls: int
    seconds: float
    p50_ms: float
    p95_ms: float
    gate_ms: float  # CPU time of the gate for each call
    database_ms: float  # CPU time of the server for each call; 0 for SQLite, which is in the gate
    batch: float  # records that share a commit; 0 where none was written


@dataclass(kw_only=True)
class Bench:
    """A gate being served, and what is known of its processes."""

    folder: Path
    database_url: str
    body: bytes
    token: str
    port: int = field(default_factory=free_port)
    pid: int = 0
    database_pid: int = 0

    def load(self, call: str, clients: int, seconds: float) -> Point:
        """Ask the same again and again, several times over; of the rounds the one that took least CPU time counts."""
        self._ask(call, clients, WARM_UP_S)
        rounds = [self._round(call, clients, seconds) for _ in range(ROUNDS)]
        return min(rounds, key=lambda point: point.gate_ms + point.database_ms)

    def _round(self, call: str, clients: int, seconds: float) -> Point:
        before = (cpu_s(self.pid), self._database_cpu_s(), *counted(self.database_url))
        start = time.perf_counter()
        times = self._ask(call, clients, seconds)
        taken = time.perf_counter() - start
        after = (cpu_s(self.pid), self._database_cpu_s(), *counted(self.database_url))
        gate, database, records, batches = (new - old for new, old in zip(after, before, strict=True))
        quantiles = statistics.quantiles(times, n=20)
        return Point(
            calls=len(times),
            seconds=taken,
            p50_ms=quantiles[9],
            p95_ms=quantiles[18],
            gate_ms=gate / len(times) * 1000,
            database_ms=database / len(times) * 1000,
            batch=records / batches if batches else 0.0,
        )

    def stored_bytes(self) -> tuple[int, int]:
        """Return the bytes of the database, and those written to PostgreSQL's write-ahead log so far."""
        if self.database_url.startswith("sqlite"):
            files = self.folder.joinpath("data").glob("lockgate.db*")
            return sum(file.stat().st_size for file in files), 0
        with read_transaction(open_engine(self.database_url)) as connection:
            row = connection.execute(
                text("SELECT pg_database_size(current_database()), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')")
            ).one()
        return int(row[0]), int(row[1])

    def _database_cpu_s(self) -> float:
        return cpu_s(self.database_pid) if self.database_pid else 0.0

    def _ask(self, call: str, clients: int, seconds: float) -> list[float]:
        times: list[float] = []
        end = time.perf_counter() + seconds
        threads = [threading.Thread(target=self._client, args=(call, end, times)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return times

    def _client(self, call: str, end: float, times: list[float]) -> None:
        method, path, status = CALLS[call]
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        body = self.body if method == "POST" else None
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while (start := time.perf_counter()) < end:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status == status, content[:300]
            times.append((time.perf_counter() - start) * 1000)
        connection.close()


def counted(url: str) -> tuple[float, float]:
    """Return how many records and how many checkpoints a database has; each batch of records ends with a checkpoint."""
    with read_transaction(open_engine(url)) as connection:
        row = connection.execute(
            text("SELECT (SELECT count(*) FROM audit_entry), (SELECT count(*) FROM audit_checkpoint)")
        ).one()
    return float(row[0]), float(row[1])


def cpu_s(pid: int) -> float:
    """Return the CPU time of a process and its children, those that ended included, in seconds."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = stat.read_text().rpartition(") ")
            own, fields = int(name.split(" ", 1)[0]), rest.split()
            if pid in (own, int(fields[1])):
                # utime and stime; for the parent also those of children that ended
                total += sum(map(int, fields[11:15] if own == pid else fields[11:13]))
    return total / TICKS_PER_S


def memory_mib(pid: int) -> list[float]:
    """Return the resident and the proportional memory of each child of a process, in MiB, one after the other."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError, KeyError):
            facts = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            if int(facts["PPid"]) == pid:
                rollup = status.with_name("smaps_rollup").read_text()
                shared = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
                found += [int(facts["VmRSS"].split()[0]) / 1024, int(shared.split()[1]) / 1024]
    return found


@contextlib.contextmanager
def serving(folder: Path, database_url: str, workers: int) -> Iterator[Bench]:
    """Make a gate in an empty folder, or in one that holds it already, and serve it."""
    known = folder / "known.json"
    if not known.exists():
        material = make_material(folder, SystemClock())
        known.write_bytes(orjson.dumps({"trust": str(material.trust_dir), "policy": str(material.policy_config_dir)}))
        (folder / "body.json").write_bytes(_request_body(material.trusted_bundle, material.model))
    places = orjson.loads(known.read_bytes())
    environment = {
        "PATH": os.environ["PATH"],  # noqa: TID251 - of the processes that are started
        "LOCKGATE_DATA_DIR": str(folder / "data"),
        "LOCKGATE_DATABASE_URL": database_url,
        "LOCKGATE_TRUST_DIR": places["trust"],
        "LOCKGATE_DEFAULT_TRUST_DOMAIN": "demo",
        "LOCKGATE_POLICY_CONFIG_DIR": places["policy"],
        "LOCKGATE_REQUESTS_PER_MINUTE": "1000000",
        "LOCKGATE_REQUESTS_AT_ONCE": "1000",
    }
    stage = Stage(folder=folder, environment=environment)
    stage.run_or_stop(["init", "--origin", ORIGIN])
    who = ["--subject", RITA.subject, "--type", "user", "--role", "requester"]
    token = stage.run_or_stop(["token", "create", *who, "--expires-in", "1d"]).strip()
    bench = Bench(folder=folder, database_url=database_url, body=(folder / "body.json").read_bytes(), token=token)
    if not database_url.startswith("sqlite"):
        with read_transaction(open_engine(database_url)) as connection:
            backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        bench.database_pid = int(Path(f"/proc/{backend}/stat").read_text().rpartition(") ")[2].split()[1])
    with stage.serving(bench.port, workers) as bench.pid:
        yield bench


def _request_body(bundle: Path, model: Path) -> bytes:
    return orjson.dumps(
        {
            "schema_version": 1,
            "kind": "promote",
            "from": "staging",
            "to": "production",
            "model": MODEL,
            "version": "1.0.0",
            "digest": str(hash_model(model).digest),
            "contributors": [{"subject": "tess", "role": "trainer"}],
            "evidence": [{"bundle": base64.b64encode(bundle.read_bytes()).decode()}],
        }
    )


def _print(title: str, point: Point) -> None:
    print(
        f"{title:46} {point.calls / point.seconds:7.1f}/s  p50 {point.p50_ms:7.2f}  p95 {point.p95_ms:7.2f} ms  "
        f"CPU {point.gate_ms:6.2f} + {point.database_ms:5.2f} ms  {point.batch:5.2f} a commit",
        flush=True,
    )


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
            for call in ("read the policy's revision", "forecast"):
                _print(f"{call}, 1 worker, {MANY_CLIENTS} clients", bench.load(call, MANY_CLIENTS, seconds))
            before = (*bench.stored_bytes(), counted(url)[0])
            for clients in (1, MANY_CLIENTS // 2, MANY_CLIENTS):
                _print(f"decision, 1 worker, {clients} clients", bench.load("decision", clients, seconds))
            after = (*bench.stored_bytes(), counted(url)[0])
            size, wal, count = (new - old for new, old in zip(after, before, strict=True))
        with serving(folder, url, workers=2) as bench:
            for clients in (MANY_CLIENTS, 2 * MANY_CLIENTS):
                _print(f"decision, 2 workers, {clients} clients", bench.load("decision", clients, seconds))
            memory = memory_mib(bench.pid)
        print(f"bytes of the database for each decision {size / count:.0f}, of the write-ahead log {wal / count:.0f}")
        print("memory of each worker, MiB, resident and proportional:", " ".join(f"{one:.0f}" for one in memory))


if __name__ == "__main__":
    main()
