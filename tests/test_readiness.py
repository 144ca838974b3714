"""Readiness is open to everybody, and so it is looked at once however many ask."""

import threading
from typing import Any

import pytest
from sqlalchemy import event, text

from lockgate.readiness import SharedReadiness
from lockgate.storage import write_transaction
from support.gates import GateUnderTest

OTHER_SCHEMA = "UPDATE alembic_version SET version_num = '0000'"


def reads(gate: GateUnderTest) -> list[str]:
    """Return a list that gets every statement that reads the version of the tables: one a look."""
    found: list[str] = []

    def note(*arguments: Any) -> None:
        if "SELECT alembic_version.version_num" in arguments[2]:
            found.append(arguments[2])

    event.listen(gate.database, "before_cursor_execute", note)
    return found


def test_many_who_ask_cost_one_look(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other or all at once."""
    monkeypatch.setattr("lockgate.readiness.monotonic", lambda: 1000.0)
    readiness = SharedReadiness(gate.services.readiness)
    found = reads(gate)
    threads = [threading.Thread(target=readiness.check) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = len(found)
    statuses = {gate.client.get("/readyz").status_code for _ in range(20)}

    assert together == 1
    assert (len(found), statuses) == (2, {200})  # that of the application is another


def test_what_breaks_is_seen_within_a_second(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found before holds as long as it is fresh, good or bad, and no longer."""
    now = [1000.0]
    monkeypatch.setattr("lockgate.readiness.monotonic", lambda: now[0])
    statuses = []
    for statement, at in ((None, 0.0), (OTHER_SCHEMA, 0.9), (None, 1.0), (None, 1.9)):
        if statement is not None:
            with write_transaction(gate.database) as connection:
                connection.execute(text(statement))
        now[0] = 1000.0 + at
        statuses.append(gate.client.get("/readyz").status_code)

    assert statuses == [200, 200, 503, 503]
