"""What is read of a log does not grow with the log. On SQLite, which tells how it will look for rows."""

from sqlalchemy import event as engine_events

from support.audit_logs import ORIGIN, LogStand


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
