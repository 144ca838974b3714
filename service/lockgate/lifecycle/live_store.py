"""Live intervals in the database. Every function works inside its caller's transaction."""

from sqlalchemy import Connection, RowMapping, Select, select

from lockgate.clock import EpochNs
from lockgate.lifecycle.intervals import LiveInterval
from lockgate.storage.tables import live_interval as live_table


def read_open(connection: Connection, model: str, environment: str) -> LiveInterval | None:
    """Return the interval that lasts, or None: nothing was ever seen there."""
    statement = _of(model, environment).where(live_table.c.is_live == 1)
    row = connection.execute(statement).mappings().first()
    return None if row is None else _interval(row)


def read_at(connection: Connection, model: str, environment: str, when: EpochNs) -> LiveInterval | None:
    """Return the interval that holds an instant, or None.

    Intervals follow each other without gaps, so the one that began last before it is the one.
    """
    columns = live_table.c
    newest_first = (columns.from_ns.desc(), columns.number.desc())
    statement = _of(model, environment).where(columns.from_ns <= when).order_by(*newest_first).limit(1)
    row = connection.execute(statement).mappings().first()
    return None if row is None else _interval(row)


def list_intervals(
    connection: Connection, model: str, environment: str, *, before: int | None, limit: int
) -> list[tuple[int, LiveInterval]]:
    """Return a page of intervals, newest first, each with its number (the cursor)."""
    columns = live_table.c
    statement = _of(model, environment).order_by(columns.number.desc()).limit(limit)
    if before is not None:
        statement = statement.where(columns.number < before)
    return [(row["number"], _interval(row)) for row in connection.execute(statement).mappings()]


def list_intervals_of(connection: Connection, model: str, version: str, limit: int) -> list[LiveInterval]:
    """Return the newest intervals of one version in any environment, newest first."""
    columns = live_table.c
    of_version = select(live_table).where(columns.model == model, columns.version == version)
    newest = of_version.order_by(columns.number.desc()).limit(limit)
    return [_interval(row) for row in connection.execute(newest).mappings()]


def list_live(connection: Connection) -> list[LiveInterval]:
    """Return every interval that lasts, of all models, by model and environment."""
    columns = live_table.c
    lasting = select(live_table).where(columns.is_live == 1).order_by(columns.model, columns.environment)
    return [_interval(row) for row in connection.execute(lasting).mappings()]


def list_let_in(connection: Connection, model: str, environment: str, *, limit: int) -> list[LiveInterval]:
    """Return the newest intervals that promotions brought, newest first."""
    columns = live_table.c
    let_in = _of(model, environment).where(columns.promotion_id != "").order_by(columns.number.desc()).limit(limit)
    return [_interval(row) for row in connection.execute(let_in).mappings()]


def replace_open(connection: Connection, before: LiveInterval | None, after: LiveInterval) -> bool:
    """End the open interval and begin another; tell whether it still was the one that was read.

    Args:
        connection: Of the transaction that records it.
        before: What was open, as it was read; None if there was none.
        after: What begins now.
    """
    columns = live_table.c
    if before is None:
        if read_open(connection, after.model, after.environment) is not None:
            return False
    else:
        statement = live_table.update().where(columns.is_live == 1, columns.record_id == before.record_id)
        statement = statement.where(columns.model == before.model, columns.environment == before.environment)
        if connection.execute(statement.values(to_ns=after.begins, is_live=None)).rowcount != 1:
            return False
    connection.execute(
        live_table.insert().values(
            model=after.model,
            environment=after.environment,
            version=after.version,
            digest=after.digest,
            from_ns=after.begins,
            to_ns=None,
            is_live=1,
            promotion_id=after.promotion_id,
            log=after.log,
            record_id=after.record_id,
        )
    )
    return True


def _of(model: str, environment: str) -> Select[tuple[object, ...]]:
    return select(live_table).where(live_table.c.model == model, live_table.c.environment == environment)


def _interval(row: RowMapping) -> LiveInterval:
    return LiveInterval(
        model=row["model"],
        environment=row["environment"],
        version=row["version"],
        digest=row["digest"],
        begins=row["from_ns"],
        ends=row["to_ns"],
        promotion_id=row["promotion_id"],
        log=row["log"],
        record_id=row["record_id"],
    )
