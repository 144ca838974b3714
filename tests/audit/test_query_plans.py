"""What is read of a log does not grow with the log. On SQLite, which tells how it looks for rows, and how hard."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from sqlalchemy import event as engine_events

from support.audit_logs import ORIGIN, LogStand, make_event
from support.large_logs import lengthen

SMALL, LARGE = 2**10, 2**14
BATCH = 64
LEVELS = 15  # of the larger tree


@dataclass
class Effort:
    """What SQLite did: no time, so it is the same on every machine."""

    statements: int = 0
    steps: int = 0  # of SQLite's virtual machine: at least one for each row or index entry that is looked at
    rows_written: int = 0

    def note_statement(self, _statement: str) -> None:
        """Count one statement."""
        self.statements += 1

    def note_step(self) -> int:
        """Count one step; 0 lets SQLite go on."""
        self.steps += 1
        return 0


@contextlib.contextmanager
def _counted(engine: Engine) -> Iterator[Effort]:
    effort = Effort()
    changes: dict[sqlite3.Connection, int] = {}

    def begin(connection: sqlite3.Connection, *_: object) -> None:
        changes[connection] = connection.total_changes
        connection.set_trace_callback(effort.note_statement)
        connection.set_progress_handler(effort.note_step, 1)

    def end(connection: sqlite3.Connection, *_: object) -> None:
        effort.rows_written += connection.total_changes - changes.pop(connection)
        connection.set_trace_callback(None)
        connection.set_progress_handler(None, 1)

    engine_events.listen(engine, "checkout", begin)
    engine_events.listen(engine, "checkin", end)
    try:
        yield effort
    finally:
        engine_events.remove(engine, "checkout", begin)
        engine_events.remove(engine, "checkin", end)


def test_a_proof_reads_no_more_than_it_needs(stand: LogStand) -> None:
    """Each node is found by its whole key, however long the log is; SQLite says how it looks for them."""
    seen: list[str] = []
    engine_events.listen(stand.engine, "before_cursor_execute", lambda *args: seen.append(args[2]))
    stand.fill(6)
    seen.clear()
    stand.log.inclusion_proof(2, 7)
    (query,) = [statement for statement in seen if "audit_node" in statement]
    with stand.engine.connect() as connection:
        values = (ORIGIN, 0, 0) * (query.count("?") // 3)
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values).all()]

    searches = [step for step in plan if step.startswith(("SEARCH", "SCAN"))]
    assert searches
    assert all(step.endswith("(log=? AND level=? AND idx=?)") for step in searches)


ACTS: dict[str, Callable[[LogStand, int], Any]] = {
    "an append": lambda stand, _: stand.log.append(make_event()),
    "an append by a new process": lambda stand, _: stand.reopened().append(make_event()),
    "a look at the end": lambda stand, _: stand.log.check_head(),
    "a receipt": lambda stand, size: stand.log.receipt(size // 3),
    "an inclusion proof": lambda stand, size: stand.log.inclusion_proof(size // 3, size - 1),
    "a consistency proof": lambda stand, size: stand.log.consistency_proof(size // 3, size - 1),
}


def test_nothing_costs_more_than_the_levels_of_the_tree(stand: LogStand) -> None:
    """An append, a look at the end and each proof cost no more in a log of sixteen times the size, but for levels."""
    found: dict[str, list[Effort]] = {name: [] for name in ACTS}
    for begin, size in ((0, SMALL), (SMALL, LARGE)):
        for end in range(begin + BATCH, size, BATCH):  # each with a checkpoint of its own
            lengthen(stand.engine, stand.signer, end)
        lengthen(stand.engine, stand.signer, size - 1)  # the next record ends subtrees of every height
        stand.log.check_head()
        for name, act in ACTS.items():
            with _counted(stand.engine) as effort:
                act(stand, size - 1)
            found[name].append(effort)

    for name, (small, large) in found.items():
        assert 0 < large.statements <= small.statements + LEVELS, name
        assert 0 < large.steps < 2 * small.steps, (name, small, large)
    # An append writes its record, a checkpoint, the head and a node of each level; what reads writes nothing.
    assert [large.rows_written for _, large in found.values()] == [3 + LEVELS, 4, 0, 0, 0, 0]
