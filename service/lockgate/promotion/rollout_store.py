"""Rollouts in the database. Every function works inside its caller's transaction."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, case, select

from lockgate.clock import EpochNs
from lockgate.permits import Permit
from lockgate.promotion.types import WHOLE_PERCENT, Rollout
from lockgate.storage.tables import NEVER_NS
from lockgate.storage.tables import rollout as rollout_table


def put_permitted(connection: Connection, permit: Permit, model: str, target: str) -> None:
    """Keep a promotion's newest permit: a rollout begins, or begins anew with another permit.

    Who carries it out stays who it was at first, and how often that was tried; where it was over, it is due again.
    """
    values: dict[str, Any] = {"under_way": 1, "step": 0, "percent": 0, "permit_id": permit.id, "permit_used_ns": None}
    columns = rollout_table.c
    begun = {"promotion_id": permit.promotion, "model": model, "environment": permit.environment, "target": target}
    again = rollout_table.update().where(columns.promotion_id == permit.promotion)
    due = case((columns.under_way.is_(None), permit.issued), else_=columns.due_ns)
    if connection.execute(again.values(row_version=columns.row_version + 1, due_ns=due, **values)).rowcount == 0:
        untried = {"attempts": 0, "due_ns": permit.issued, "code": ""}
        connection.execute(rollout_table.insert().values(row_version=1, **begun, **values, **untried))


def use_permit(connection: Connection, rollout: Rollout, *, percent: int, now: EpochNs) -> bool:
    """Mark a rollout's permit as used, if nobody did anything to the rollout since it was read; tell whether it was."""
    return _change(connection, rollout, {"permit_used_ns": now, "step": 1, "percent": percent})


def take_step(connection: Connection, rollout: Rollout, *, percent: int) -> bool:
    """Count a step, if nobody did anything to the rollout since it was read; tell whether it was counted."""
    return _change(connection, rollout, {"step": rollout.step + 1, "percent": percent})


def end_rollout(connection: Connection, promotion_id: str, *, code: str = "", is_confirmed: bool = False) -> None:
    """Make room for another rollout of the model into the environment; without one there is nothing to do.

    It is due no more, but where it ended badly with a share of traffic: that is taken back.
    """
    columns = rollout_table.c
    is_share = and_(columns.percent > 0, columns.percent < WHOLE_PERCENT)
    due = NEVER_NS if is_confirmed else case((is_share, columns.due_ns), else_=NEVER_NS)
    connection.execute(
        rollout_table.update()
        .where(columns.promotion_id == promotion_id, columns.under_way == 1)
        .values(under_way=None, due_ns=due, code=code, row_version=columns.row_version + 1)
    )


def read_rollout(connection: Connection, promotion_id: str) -> Rollout | None:
    """Return a promotion's rollout, or None: it never got a permit."""
    statement = select(rollout_table).where(rollout_table.c.promotion_id == promotion_id)
    row = connection.execute(statement).mappings().first()
    return None if row is None else _rollout(row)


def rollout_under_way(connection: Connection, model: str, environment: str) -> Rollout | None:
    """Return the one rollout of a model into an environment that is permitted or executing, or None."""
    columns = rollout_table.c
    statement = select(rollout_table).where(
        columns.model == model, columns.environment == environment, columns.under_way == 1
    )
    row = connection.execute(statement).mappings().first()
    return None if row is None else _rollout(row)


def _change(connection: Connection, rollout: Rollout, values: Mapping[str, int]) -> bool:
    columns = rollout_table.c
    statement = (
        rollout_table.update()
        .where(columns.promotion_id == rollout.promotion_id, columns.row_version == rollout.row_version)
        .values(row_version=rollout.row_version + 1, **values)
    )
    return connection.execute(statement).rowcount == 1


def _rollout(row: RowMapping) -> Rollout:
    return Rollout(
        promotion_id=row["promotion_id"],
        model=row["model"],
        environment=row["environment"],
        target=row["target"],
        under_way=row["under_way"] is not None,
        step=row["step"],
        percent=row["percent"],
        permit_id=row["permit_id"],
        row_version=row["row_version"],
    )
