"""What saturates first at 10^2, 10^4 and 10^6 decisions a minute: a model of a gate, to be fed with your own constants.

    python benchmarks/scaling_model.py [--constants "call=1.6 forecast=4.0 ..."] [--cores N]

A decision is a call, a forecast (everything up to the verdict), the rest (its rows, its receipt, its answer), and a
share of a commit. Whoever writes to a log holds its lock for one commit and for each record in it; those who come
meanwhile wait together, and share the next. So a log's rate is bounded; it grows with those who wait, up to the threads
of one worker. Everything else is spread over cores, workers and machines. docs/scaling.md says what is left out.

Constants are milliseconds, as `bench_stages.py` prints them; those that end in `there` are the database server's.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Final

THREADS: Final = 8  # of a worker: no more records than that share a commit
BUSY_MAX: Final = 0.7  # above it queues grow faster than anybody likes
RATES_PER_MINUTE: Final = (100, 10_000, 1_000_000)
NEW_BUNDLES: Final = 1 / 3  # of all decisions: a request brings one, its two approvals decide again on the same
RECORDS: Final = 5 / 3  # of one decision: an approval is a record beside its decision's
MINUTES_PER_DAY: Final = 1440


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """What each stage costs, in milliseconds, and what it leaves, in bytes."""

    call: float
    forecast: float
    rest: float
    bundle: float
    record: float
    commit: float
    handover: float
    sync: float
    call_there: float = 0.0
    rest_there: float = 0.0
    record_there: float = 0.0
    commit_there: float = 0.0
    handover_there: float = 0.0
    stored: float
    wal: float = 0.0

    def here_ms(self, batch: float, writers: int) -> float:
        """Return the gate's CPU time for one decision of one record and known evidence."""
        commit = self.commit + self.handover * (1 - 1 / writers)
        return self.call + self.forecast + self.rest + self.record + commit / batch

    def there_ms(self, batch: float, writers: int) -> float:
        """Return the database server's CPU time for it."""
        commit = self.commit_there + self.handover_there * (1 - 1 / writers)
        return self.call_there + self.rest_there + self.record_there + commit / batch

    def hold_ms(self, batch: float, writers: int, records: float = RECORDS) -> float:
        """Return how long a log's lock is held for one commit of so many decisions: at most what its parts take."""
        handover = (self.handover + self.handover_there) * (1 - 1 / writers)
        each = (self.record + self.record_there) * records
        return self.commit + self.commit_there + self.sync + handover + each * batch


# Measured on 2026-11-23 on two shared vCPUs with much to do beside; docs/scaling.md has the commands.
SQLITE: Final = Constants(
    call=1.61, forecast=3.93, rest=3.19, bundle=1.5, record=0.45, commit=1.56, handover=4.64, sync=0.15, stored=9000
)
POSTGRESQL: Final = replace(SQLITE, call_there=0.7, record_there=1.25, commit_there=2.53, stored=6300, wal=7200)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a rate asks of each stage."""

    per_s: float
    cores: float  # of gates
    cores_there: float  # of the database server
    batch: int
    log_busy: float  # of one log
    commits_per_s: float
    logs: int
    wal_mb_per_s: float
    stored_gb_per_day: float


def demand(constants: Constants, per_minute: float) -> Demand:
    """Reckon what a rate asks for; workers are as many as it takes, and a log's commits as full as they must be."""
    per_s = per_minute / 60
    batch, workers = 1, 1
    while True:
        here = constants.here_ms(batch, workers) + constants.bundle * NEW_BUNDLES + constants.record * (RECORDS - 1)
        cores = per_s * here / 1000
        hold = constants.hold_ms(batch, workers)
        busy = per_s * hold / batch / 1000
        needed = max(1, math.ceil(cores / BUSY_MAX))
        if needed > workers:
            workers = needed
        elif busy > BUSY_MAX and batch < THREADS:
            batch += 1
        else:
            break
    there = constants.there_ms(batch, workers) + constants.record_there * (RECORDS - 1)
    return Demand(
        per_s=per_s,
        cores=cores,
        cores_there=per_s * there / 1000,
        batch=batch,
        log_busy=busy,
        commits_per_s=per_s / batch,
        logs=max(1, math.ceil(busy / BUSY_MAX)),
        wal_mb_per_s=per_s * constants.wal * RECORDS / 1e6,
        stored_gb_per_day=per_minute * MINUTES_PER_DAY * constants.stored * RECORDS / 1e9,
    )


def rows(constants: Constants, cores: int) -> Iterator[str]:
    """Yield the lines of a table, one for each rate."""
    yield " a minute  a second     gate  database    log  batch  commits/s  WAL MB/s  GB a day  first; then needed"
    for per_minute in RATES_PER_MINUTE:
        need = demand(constants, per_minute)
        workers = math.ceil(need.cores / BUSY_MAX)
        stages = {
            "gate's CPU": need.cores / cores,
            "database's CPU": need.cores_there / cores,
            "one log": need.log_busy,
        }
        first, load = max(stages.items(), key=lambda stage: stage[1])
        then = f"{workers} worker{'s' * (workers > 1)}, {need.logs} log{'s' * (need.logs > 1)}"
        yield (
            f"{per_minute:9,} {need.per_s:9,.1f} {need.cores:8.2f} {need.cores_there:9.2f} {need.log_busy:6.2f} "
            f"{need.batch:6d} {need.commits_per_s:10,.1f} {need.wal_mb_per_s:9.2f} {need.stored_gb_per_day:9.2f}  "
            f"{first} {load:.0%}; {then}"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--constants", default="", help="name=value, with blanks between; what is not named stays")
    parser.add_argument("--cores", type=int, default=2, help="of each machine: one for gates, one for the database")
    arguments = parser.parse_args()
    given = {name: float(value) for name, _, value in (word.partition("=") for word in arguments.constants.split())}
    unknown = given.keys() - {item.name for item in fields(Constants)}
    if unknown:
        parser.error(f"want names of constants, got {sorted(unknown)}")
    for title, constants in (("SQLite", SQLITE), ("PostgreSQL", POSTGRESQL)):
        changed = replace(constants, **given)
        print(f"{title}, machines of {arguments.cores} cores; gate and database in busy cores, log as its busy share")
        print("\n".join(rows(changed, arguments.cores)))
        ceiling = THREADS / changed.hold_ms(THREADS, THREADS) * 1000
        print(f"one log takes at most {ceiling:,.0f} decisions a second, by {THREADS} of a commit\n")


if __name__ == "__main__":
    main()
