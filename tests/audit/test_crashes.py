"""Nothing acknowledged is lost: writers are killed at any moment, and every system call of an append is made to fail.

`LOCKGATE_TEST_KILLS` and `-k killed` run the first test longer by hand; docs/performance.md has the longest run.
"""

import contextlib
import logging
import os
import random
import re
import subprocess
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy import event as engine_events

from lockgate.audit import Outcome
from lockgate.storage import StorageError, read_transaction
from lockgate.storage.tables import audit_attachment, audit_entry
from support.audit_logs import LogStand, make_event, make_stand, verify_export
from support.databases import PostgreSQLServer
from support.log_nursery import Child, Nursery

KILLS: Final = int(os.environ.get("LOCKGATE_TEST_KILLS", "110"))  # noqa: TID251 - of each database; a test's own
SEED: Final = 20_261_123
AT_WORK: Final = 2  # processes at once
THREADS: Final = 3  # of each
READY: Final = 3  # processes that are made ahead
LIFE_APPENDS_MAX: Final = 16  # what a process has acknowledged when its turn to die comes; less than one batch to many
PAUSE_S_MAX: Final = 0.004  # and then as long as some appends take, so that death comes anywhere in one
LOGGER: Final = logging.getLogger(__name__)
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
    nursery = Nursery(stand.folder / "meeting")
    try:
        yield nursery
    finally:
        nursery.close()


def _stored_ids(stand: LogStand) -> dict[int, str]:
    with read_transaction(stand.engine) as connection:
        return {row.seq: row.id for row in connection.execute(select(audit_entry.c.seq, audit_entry.c.id))}


def _kill_under_load(stand: LogStand, kills: int) -> list[Child]:
    """Kill one process after the other, each in the middle of its appends and beside another at work; return them."""
    chance = random.Random(SEED)  # noqa: S311 - for how long each lives, the same in each run
    dead: list[Child] = []
    with _nursery(stand) as nursery:
        for _ in range(READY):
            nursery.order(stand)
        working: deque[Child] = deque()
        while len(dead) < kills:
            while len(working) < AT_WORK:
                working.append(nursery.child(stand))
                working[-1].append_for_ever(THREADS)
                working[-1].wait_for(1)
            child = working.popleft()
            child.wait_for(chance.randint(1, LIFE_APPENDS_MAX))
            time.sleep(chance.uniform(0, PAUSE_S_MAX))
            assert [answer for answer in child.kill() if not answer.startswith("ok ")] == []
            dead.append(child)
        for child in working:
            child.kill()
        survivor = nursery.child(stand)
        assert survivor.append().startswith("ok ")
        survivor.kill()
    return [*dead, *working, survivor]


@pytest.mark.slow
@pytest.mark.timeout(max(300, 2 * KILLS))
def test_killed_writers_lose_nothing(stand: LogStand) -> None:
    """However often processes under load are killed, one valid log holds what was acknowledged, in its place."""
    dead = _kill_under_load(stand, KILLS)
    acknowledged = {seq: event_id for child in dead for seq, event_id in child.acknowledged.items()}
    stored = _stored_ids(stand)
    verification = verify_export(stand.export(), stand.signer)
    in_flight = verification.size - 1 - len(acknowledged)  # written, and nobody told; the first record is the genesis
    least = min(len(child.acknowledged) for child in dead[:KILLS])
    LOGGER.info(
        "%d kills: %d acknowledged (%d at least by each process), %d more written",
        *(KILLS, len(acknowledged), least, in_flight),
    )

    assert (verification.verdict, verification.size) == ("valid", len(stored))
    assert acknowledged.items() <= stored.items()
    assert sum(len(child.acknowledged) for child in dead) == len(acknowledged)  # no position was given to two
    assert least > 1
    assert 0 < in_flight <= THREADS * len(dead)
    stand.reopened().check_head()


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
    acknowledged: dict[int, str] = {}
    with _nursery(stand) as nursery:
        child = nursery.child(stand)
        child.append()
        calls = _calls_of_an_append(strace, child, tmp_path / "trace")
        for fault in ("error=EIO", "error=ENOSPC", "signal=KILL"):
            for name, place in ((name, place) for name, count in calls.items() for place in range(1, count + 1)):
                with _traced(strace, child, "-e", f"trace={name}", "-e", f"inject={name}:{fault}:when={place}"):
                    answer = child.append()
                outcomes[answer.partition(" ")[0] or "died"] += 1
                assert answer.startswith(("ok ", "error storage.", "error audit.checkpoint_file")) or answer == ""
                if not answer:
                    acknowledged |= child.acknowledged
                    child = nursery.child(stand)
                assert child.append().startswith("ok"), (fault, name, place, answer)
        acknowledged |= child.acknowledged
        child.kill()

    verification = verify_export(stand.export(), stand.signer)
    assert verification.verdict == "valid"
    assert acknowledged.items() <= _stored_ids(stand).items()
    assert calls["pwrite64"] > 0
    assert calls["fdatasync"] > 0
    assert min(outcomes["ok"], outcomes["error"], outcomes["died"]) > 0


class _Killer:
    """Ends a PostgreSQL session right before its next statement but `place`."""

    def __init__(self, server: PostgreSQLServer, engine: Engine) -> None:
        self._server = server
        self.place = -1
        self.statements = 0
        killer = self

        class Cursor(psycopg.Cursor[tuple[object, ...]]):
            def execute(self, *args: Any, **kwargs: Any) -> "Cursor":
                killer.count(self.connection)
                return super().execute(*args, **kwargs)

            def executemany(self, *args: Any, **kwargs: Any) -> None:
                killer.count(self.connection)
                super().executemany(*args, **kwargs)

        def use_cursor(connection: psycopg.Connection, _record: object) -> None:
            connection.cursor_factory = Cursor

        engine_events.listen(engine, "connect", use_cursor)
        engine_events.listen(engine, "commit", lambda connection: self.count(connection.connection.driver_connection))

    def count(self, connection: psycopg.Connection) -> None:
        """Note one more statement, and end the session if it is the one."""
        if self.statements == self.place:
            statement = sql.SQL("SELECT pg_terminate_backend({})").format(connection.info.backend_pid)
            self._server.execute(statement)
        self.statements += 1


def test_a_session_may_end_before_any_statement(
    tmp_path: Path, postgresql_url: str, migrated_postgresql: PostgreSQLServer
) -> None:
    """A PostgreSQL session that ends between two statements of an append is named; nothing is written or lost."""
    stand = make_stand(tmp_path, postgresql_url)
    stand.engine.dispose()
    killer = _Killer(migrated_postgresql, stand.engine)
    stand.log.append(make_event())
    killer.statements = 0
    stand.log.append(make_event())
    statements = killer.statements

    def work(connection: Connection) -> Outcome[None]:
        connection.execute(insert(audit_attachment).values(log="x", sha256=str(killer.place), body=b""))
        return Outcome(value=None, events=(make_event(),))

    acknowledged, refused = 3, 0
    for place in range(statements + 3):  # the work above has three statements more
        killer.statements, killer.place = 0, place
        try:
            stand.log.transact(work)
        except StorageError:
            refused += 1
        else:  # the transaction had not begun, and began anew in another session
            acknowledged += 1
        killer.place = -1
        stand.log.append(make_event())
        acknowledged += 1

    assert refused >= statements
    assert statements > 8
    verification = verify_export(stand.export(), stand.signer)
    assert (verification.verdict, verification.size) == ("valid", acknowledged)
    with read_transaction(stand.engine) as connection:
        rows = connection.execute(select(audit_attachment).where(audit_attachment.c.log == "x")).all()
    assert len(rows) == statements + 3 - refused
