"""Holds: what was rolled back is not promoted again by automation, until a person lifts the hold."""

from sqlalchemy import Connection, select

from lockgate.storage.tables import hold as hold_table


def is_held(connection: Connection, model: str, environment: str) -> bool:
    """Tell whether a hold on a model in an environment is in force."""
    columns = hold_table.c
    statement = select(columns.model).where(
        columns.model == model, columns.environment == environment, columns.lifted_ns.is_(None)
    )
    return connection.execute(statement).first() is not None
