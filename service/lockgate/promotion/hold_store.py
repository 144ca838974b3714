"""Holds in the database. Every function works inside its caller's transaction.

A row alone decides nothing: what the log says of holds is in `recorded_holds`, and counts as well.
"""

from sqlalchemy import Connection, select

from lockgate.clock import EpochNs
from lockgate.storage import upsert
from lockgate.storage.tables import hold as hold_table


def is_held(connection: Connection, model: str, environment: str) -> bool:
    """Tell whether a hold on a model in an environment is in force, as its row says; see also `find_recorded`."""
    return held_by(connection, model, environment) is not None


def held_by(connection: Connection, model: str, environment: str) -> str | None:
    """Return the rollback that placed the hold in force; "" where a finding did, None where there is no hold."""
    columns = hold_table.c
    statement = select(columns.promotion_id).where(
        columns.model == model, columns.environment == environment, columns.lifted_ns.is_(None)
    )
    return connection.scalars(statement).first()


def put_hold(connection: Connection, model: str, environment: str, *, promotion_id: str, now: EpochNs) -> None:
    """Place a hold, or place it anew; `promotion_id`: the rollback that does, "" for a finding."""
    changes = {"promotion_id": promotion_id, "placed_ns": now, "lifted_ns": None}
    upsert(connection, hold_table, {"model": model, "environment": environment, **changes}, changes)


def lift_hold(connection: Connection, model: str, environment: str, *, now: EpochNs) -> None:
    """End the hold in force; where there is none, nothing happens."""
    columns = hold_table.c
    in_force = (columns.model == model) & (columns.environment == environment) & columns.lifted_ns.is_(None)
    connection.execute(hold_table.update().where(in_force).values(lifted_ns=now))


def list_holds(connection: Connection, limit: int) -> list[tuple[str, str, str, EpochNs]]:
    """Return (model, environment, promotion_id, placed) of each hold in force, by environment and model."""
    columns = hold_table.c
    statement = select(columns.model, columns.environment, columns.promotion_id, columns.placed_ns)
    in_force = statement.where(columns.lifted_ns.is_(None)).order_by(columns.environment, columns.model).limit(limit)
    return [
        (row.model, row.environment, row.promotion_id, EpochNs(row.placed_ns)) for row in connection.execute(in_force)
    ]
