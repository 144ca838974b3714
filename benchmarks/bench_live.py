"""What was live at an instant, over a log of a million records, beside one bare look-up of the interval.

    python benchmarks/bench_live.py [--quick] [--postgresql URL]

A quarter of a million promotions of a thousand models, each with its interval, its rollout and four records. URL names
a database without tables. The floor is one indexed SELECT of the interval through the database's own driver; the
answer beside it also holds who let the version in, from the promotion, the rollout and the three records it names.
"""

import argparse
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, Table

from lockgate.audit import AuditLog, KindCatalogue, create_key_file
from lockgate.canonical_json import canonicalize
from lockgate.clock import NS_PER_S, EpochNs, format_timestamp
from lockgate.digests import sha256_hex
from lockgate.gate_logs import Logs
from lockgate.lifecycle.live import LiveReader
from lockgate.storage import open_engine, upgrade_schema, write_transaction
from lockgate.storage.tables import audit_entry, live_interval, promotion, rollout
from lockgate.system_clock import SystemClock

MODELS = 1_000
RECORD_KINDS = ("gate.decision", "gate.permit", "gate.pointer", "gate.confirmation")
BATCH = 2_000  # promotions in one statement for each table
STEP_NS = 3_600 * NS_PER_S  # between two promotions of one model
START = EpochNs(1_700_000_000 * NS_PER_S)
ENVIRONMENT = "production"
FLOOR = (
    "SELECT version, digest, from_ns, to_ns FROM live_interval WHERE model = {0} AND environment = {0} "
    "AND from_ns <= {0} ORDER BY from_ns DESC, number DESC LIMIT 1"
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgresql", metavar="URL", help="a database without tables; without it SQLite")
    parser.add_argument("--quick", action="store_true", help="a twenty-fifth of the records")
    arguments = parser.parse_args()
    promotions, rounds = (10_000, 300) if arguments.quick else (250_000, 2_000)
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).absolute()
        url = arguments.postgresql or f"sqlite:///{folder / 'live.db'}"
        engine = open_engine(url)
        upgrade_schema(engine)
        log = AuditLog(
            engine=engine,
            signer=create_key_file(folder / "log.key", "bench.example/audit"),
            clock=SystemClock(),
            catalogue=KindCatalogue({}),
            instance="bench",
        )
        fill(engine, log.origin, promotions)
        reader = LiveReader(database=engine, logs=Logs(main=log), clock=SystemClock())
        draw = random.Random(6)  # noqa: S311 - which instant is asked about
        asked = [ask(draw, promotions) for _ in range(rounds)]
        floor = measure(asked, bare(url))
        answered = measure(asked, lambda model, when: reader.at(model, ENVIRONMENT, when).let_in)
        print(f"{promotions:,} promotions, {promotions * len(RECORD_KINDS):,} records, {engine.dialect.name}")
        show("one bare SELECT", floor, floor)
        show("live at T, with who let it in", answered, floor)


def fill(engine: Engine, origin: str, promotions: int) -> None:
    """Write the rows as a gate would have; leaves and proofs are not read here, and not made."""
    tables = (promotion, rollout, live_interval, audit_entry)
    for first in range(0, promotions, BATCH):
        batch: dict[Table, list[dict[str, Any]]] = {table: [] for table in tables}
        for number in range(first, min(first + BATCH, promotions)):
            for table, row in rows_of(number, promotions, origin):
                batch[table].append(row)
        with write_transaction(engine, patient=True) as connection:
            for table, rows in batch.items():
                connection.execute(table.insert(), rows)


def rows_of(number: int, promotions: int, origin: str) -> Iterator[tuple[Table, dict[str, Any]]]:
    """Make all rows of one promotion; the promotions of a model follow each other."""
    model, nth = f"model-{number % MODELS}", number // MODELS
    begins = EpochNs(START + nth * STEP_NS)
    is_last = number + MODELS >= promotions
    version, digest = str(nth), f"sha256:{sha256_hex(str(number).encode())}"
    promotion_id = identify(number, 0)
    subject = {"model": model, "version": version, "digest": digest}
    yield (
        promotion,
        {
            **subject,
            "id": promotion_id,
            "state": "confirmed",
            "row_version": 4,
            "kind": "promote",
            "from_environment": "staging",
            "to_environment": ENVIRONMENT,
            "requester": "ci",
            "created_ns": begins,
            "expires_ns": begins + 7 * 24 * STEP_NS,
            "request": canonicalize(
                {**subject, "kind": "promote", "from": "staging", "to": ENVIRONMENT}
                | {"contributors": [], "evidence": [], "reason": ""}
            ),
            "decision_id": identify(number, 1),
            "log": "",
        },
    )
    yield (
        rollout,
        {
            "promotion_id": promotion_id,
            "model": model,
            "environment": ENVIRONMENT,
            "target": "pull",
            "under_way": None,
            "step": 1,
            "percent": 100,
            "permit_id": identify(number, 2),
            "permit_used_ns": begins,
            "attempts": 0,
            "due_ns": begins,
            "code": "",
            "row_version": 3,
        },
    )
    yield (
        live_interval,
        {
            **subject,
            "environment": ENVIRONMENT,
            "from_ns": begins,
            "to_ns": None if is_last else begins + STEP_NS,
            "is_live": 1 if is_last else None,
            "promotion_id": promotion_id,
            "log": "",
            "record_id": identify(number, 4),
        },
    )
    for place in range(len(RECORD_KINDS)):
        row = record_row(number, place)
        yield audit_entry, {**row, "log": origin, "ts": format_timestamp(begins), "subject": f"model:{model}"}


def record_row(number: int, place: int) -> dict[str, Any]:
    """Make one record's row; the bodies are about as long as real ones."""
    kind = RECORD_KINDS[place]
    seq = number * len(RECORD_KINDS) + place
    facts = {"policy": {"revision": f"sha256:{'a' * 64}"}, "approvals": approvals(), "rules": ["x" * 60] * 20}
    body = facts if kind == "gate.decision" else {"promotion_id": identify(number, 0), "digest": "a" * 64}
    record = {"body": body, "id": identify(number, place + 1), "kind": kind, "seq": seq}
    return {
        "seq": seq,
        "body": canonicalize(record),
        "leaf": seq.to_bytes(32, "big"),
        "prev": bytes(32),
        "id": record["id"],
        "kind": kind,
        "actor": "ci",
    }


def approvals() -> list[dict[str, Any]]:
    """Return the approvals of a decision."""
    return [{"approver": who, "role": "ml-lead", "counted": True} for who in ("leo", "maya")]


def identify(number: int, place: int) -> str:
    """Return the id of a promotion (place 0) or of one of its records."""
    return f"01936e1a-{place:04d}-7000-8000-{number:012d}"


def ask(draw: random.Random, promotions: int) -> tuple[str, EpochNs]:
    """Draw a model and an instant at which something of it was live."""
    return f"model-{draw.randrange(MODELS)}", EpochNs(START + draw.randrange(promotions // MODELS * STEP_NS))


def bare(url: str) -> Callable[[str, EpochNs], object]:
    """Return the floor: one SELECT on an open connection, by the driver alone."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        return lambda model, when: connection.execute(FLOOR.format("?"), (model, ENVIRONMENT, when)).fetchone()
    session = psycopg.connect(url, autocommit=True)
    return lambda model, when: session.execute(FLOOR.format("%s").encode(), (model, ENVIRONMENT, when)).fetchone()


def measure(asked: list[tuple[str, EpochNs]], answer: Callable[[str, EpochNs], object]) -> list[float]:
    """Return the milliseconds of each answer; the first tenth warms up."""
    times = []
    for model, when in asked:
        begin = time.perf_counter()
        assert answer(model, when) is not None
        times.append((time.perf_counter() - begin) * 1e3)
    return times[len(times) // 10 :]


def show(name: str, times: list[float], floor: list[float]) -> None:
    """Print one line."""
    p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
    print(f"{name:32} p50 {p50:7.3f} ms  p99 {p99:7.3f} ms  {p50 / statistics.median(floor):6.1f} of the floor")


if __name__ == "__main__":
    main()
