"""Several instances on one database, killed at any moment, and the database with them.

What was acknowledged is in the log; no key gave two decisions; there is one chain. `LOCKGATE_TEST_INSTANCES_S` makes
the trial longer than the seconds that every test run has for it.
"""

import os
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson
import pytest
from psycopg import sql
from sqlalchemy import Engine, select

from lockgate.storage import open_engine, read_transaction
from lockgate.storage.tables import approval, audit_entry, idempotency, promotion
from support.databases import PostgreSQLServer
from support.instances import Client, Fleet, clients, make_fleet

TRIAL_S: Final = float(os.environ.get("LOCKGATE_TEST_INSTANCES_S", "8"))  # noqa: TID251 - a test's own
CLIENTS: Final = 4
CRASHES_EVERY_S: Final = 60.0  # of the database; once at least
ROLE: Final = "instances_service"


@pytest.fixture
def shared_postgresql(
    tmp_path: Path, postgresql_server: PostgreSQLServer, _closed_connections: None
) -> tuple[Fleet, Engine]:
    """Two instances with the service's rights on one PostgreSQL database, and the owner's way to look at it."""
    url = postgresql_server.new_database()
    fleet = make_fleet(tmp_path, url)
    password = sql.Literal(postgresql_server.password)
    postgresql_server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ROLE), password))
    fleet.owner.run_or_stop(["db", "grants", "--role", ROLE])
    for _ in range(2):
        fleet.add(postgresql_server.url(url.rpartition("/")[2], ROLE))
    return fleet, open_engine(url)


def check_nothing_lost_or_doubled(fleet: Fleet, engine: Engine, asked: Sequence[Client]) -> int:
    """Hold what the clients were told against the database; return how many promotions there were."""
    done = [promoted for client in asked for promoted in client.done]
    with read_transaction(engine) as connection:
        ids = Counter(connection.scalars(select(audit_entry.c.id)))
        keys = {row.key: row.decision_id for row in connection.execute(select(idempotency))}
        promotions = Counter(connection.scalars(select(promotion.c.version)))
        approvals = Counter((row.promotion_id, row.approver) for row in connection.execute(select(approval)))
        entries = connection.execute(select(audit_entry.c.seq, audit_entry.c.kind).order_by(audit_entry.c.seq)).all()
    acknowledged = {each for promoted in done for each in (*promoted.decisions, *promoted.approvals)}

    assert acknowledged <= ids.keys()  # nothing lost
    assert {promoted.state for promoted in done} == {"allowed"}
    assert all(promoted.decisions[0] == keys[promoted.key] for promoted in done)  # nothing doubled
    assert promotions == dict.fromkeys((promoted.key for promoted in done), 1)
    assert set(approvals.values()) == {1}
    assert len(approvals) == 2 * len(done)
    assert set(ids.values()) == {1}
    assert [row.seq for row in entries] == list(range(len(entries)))  # one chain
    kinds = Counter(row.kind for row in entries)
    assert kinds["gate.approval"] == 2 * len(done)
    assert kinds["gate.decision"] == 3 * len(done)
    for instance in fleet.instances:
        verified = fleet.verify(instance)

        assert verified.exit_code == 0, verified.stdout + verified.stderr
        assert orjson.loads(verified.stdout)["size"] == len(entries)
    return len(done)


def test_instances_that_are_killed_and_a_database_that_crashes(
    shared_postgresql: tuple[Fleet, Engine], postgresql_server: PostgreSQLServer
) -> None:
    """Two instances on PostgreSQL, one killed as soon as both are up, and the server crashed in the middle."""
    fleet, engine = shared_postgresql
    kills = crashes = 0
    with fleet.running(), clients(fleet, CLIENTS) as asked:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < TRIAL_S or not crashes:
            time.sleep(1)
            instance = fleet.instances[kills % len(fleet.instances)]
            instance.kill()
            kills += 1
            if passed > TRIAL_S / 2 + CRASHES_EVERY_S * crashes:
                postgresql_server.stop(crash=True)
                time.sleep(1)
                postgresql_server.start()
                crashes += 1
            instance.start()
            instance.wait_until_ready()
    done = check_nothing_lost_or_doubled(fleet, engine, asked)
    problems = Counter(problem for client in asked for problem in client.problems)
    again = sum(client.asked_again for client in asked)

    print(f"{done} promotions, {kills} kills, {crashes} crashes, asked again {again} times: {dict(problems)}")  # noqa: T201 - the figure of a long trial
    assert done >= CLIENTS
    assert kills >= 1
    assert again >= 1
    assert {problem.partition(" ")[2].partition(".")[0] for problem in problems} <= {"storage", "audit", "promotion"}


def test_workers_that_are_killed_on_sqlite(tmp_path: Path) -> None:
    """Two workers on one SQLite file, one killed every second."""
    url = f"sqlite:///{tmp_path / 'lockgate.db'}"
    fleet = make_fleet(tmp_path, url)
    fleet.add(url, workers=2)
    kills = 0
    with fleet.running(), clients(fleet, CLIENTS) as asked:
        began = time.monotonic()
        while time.monotonic() - began < TRIAL_S / 2:
            time.sleep(1)
            fleet.instances[0].kill_a_worker()
            kills += 1
    done = check_nothing_lost_or_doubled(fleet, open_engine(url), asked)

    print(f"{done} promotions, {kills} kills")  # noqa: T201 - as above
    assert done >= CLIENTS
    assert kills >= 1
