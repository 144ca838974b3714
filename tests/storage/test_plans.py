"""What is asked each second or minute is found by an index, however long the tables grow."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event

from lockgate.clock import EpochNs
from lockgate.delivery.rollout_queue import list_due, list_ended
from lockgate.lifecycle import list_live
from lockgate.reconciling.store import list_open
from lockgate.storage import open_engine, read_transaction

NOW = EpochNs(1)


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (lambda connection: list_due(connection, ["champion", "canary"], NOW, 10), "rollout_under_way"),
        (lambda connection: list_ended(connection, ["champion", "canary"], NOW, 10), "rollout_under_way"),
        (list_live, "live_interval_is_live"),
        (list_open, "finding_is_open"),
    ],
    ids=["due", "ended", "live", "open"],
)
def test_no_table_is_read_whole(database_url: str, ask: Callable[[Connection], Any], index: str) -> None:
    """By the database's own plan for the statement: it searches in the index that was made for it."""
    database = open_engine(database_url)
    asked: list[tuple[str, Any]] = []
    plans: list[str] = []
    with read_transaction(database) as connection:
        event.listen(
            connection,
            "before_cursor_execute",
            lambda _connection, _cursor, statement, parameters, *_: asked.append((statement, parameters)),
        )
        ask(connection)
        explain = "EXPLAIN QUERY PLAN"
        if database.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # empty tables are read whole otherwise
            explain = "EXPLAIN"
        for statement, parameters in asked[:1]:
            plans += [str(row) for row in connection.exec_driver_sql(f"{explain} {statement}", parameters)]

    plan = "\n".join(plans)
    assert f"ix_{index}" in plan, plan
    assert "Seq Scan" not in plan, plan
    assert "SCAN" not in plan, plan
