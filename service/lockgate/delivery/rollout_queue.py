"""Rollouts that an executor has to do something about. Every function works inside its caller's transaction."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, RowMapping, Select, and_, case, literal, or_, select

from lockgate.clock import EpochNs
from lockgate.promotion import PromotionState
from lockgate.promotion.types import WHOLE_PERCENT
from lockgate.storage.tables import NEVER_NS
from lockgate.storage.tables import promotion as promotion_table
from lockgate.storage.tables import rollout as rollout_table


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A promotion that is allowed and that nobody began to carry out."""

    promotion_id: str
    model: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A rollout that is due.

    Attributes:
        target: The executor's name in the settings.
        percent: Of traffic that goes to the version, as far as was decided.
        attempts: How often what is due was tried.
    """

    promotion_id: str
    state: PromotionState
    target: str
    percent: int
    permit_id: str
    attempts: int
    row_version: int


def list_waiting(
    connection: Connection, environments: Collection[str], now: EpochNs, limit: int
) -> tuple[Waiting, ...]:
    """Return what may be begun, newest first: an older one is superseded by it.

    Without those whose model has a rollout under way into the environment; but a rollback takes the place of what was
    asked for before it.
    """
    columns, others = promotion_table.c, rollout_table.c
    first = promotion_table.alias("first")
    taken = (
        select(others.promotion_id)
        .join(first, first.c.id == others.promotion_id)
        .where(
            others.model == columns.model,
            others.environment == columns.to_environment,
            others.under_way == 1,
            or_(columns.kind != "rollback", first.c.number > columns.number),
        )
    )
    statement = (
        select(columns.id, columns.model, columns.to_environment)
        .where(
            columns.state == PromotionState.ALLOWED.value,
            columns.to_environment.in_(environments),
            columns.expires_ns > now,
            ~taken.exists(),
        )
        .order_by(columns.number.desc())
        .limit(limit)
    )
    return tuple(
        Waiting(promotion_id=row.id, model=row.model, environment=row.to_environment)
        for row in connection.execute(statement)
    )


def list_due(connection: Connection, targets: Collection[str], now: EpochNs, limit: int) -> tuple[Task, ...]:
    """Return rollouts under way that some executors have to do something about now, longest due first."""
    return _tasks(connection, targets, (rollout_table.c.under_way == 1, rollout_table.c.due_ns <= now), limit)


def list_ended(connection: Connection, targets: Collection[str], now: EpochNs, limit: int) -> tuple[Task, ...]:
    """Return rollouts that ended, but not well, with a share of traffic that nobody took back."""
    columns = rollout_table.c
    bad = promotion_table.c.state.in_((PromotionState.DENIED.value, PromotionState.FAILED.value))
    wanted = (columns.under_way.is_(None), columns.percent.between(1, WHOLE_PERCENT - 1), columns.due_ns <= now, bad)
    return _tasks(connection, targets, wanted, limit)


def change_task(connection: Connection, task: Task, *, attempts: int, due: EpochNs, code: str) -> Task | None:
    """Keep when a rollout is due again; None if somebody did anything to it since it was read.

    One that is over, with nothing to take back, stays off the list.
    """
    columns = rollout_table.c
    is_over = and_(columns.under_way.is_(None), columns.due_ns == NEVER_NS)
    due_ns = case((is_over, columns.due_ns), else_=literal(due, BigInteger))
    if not _change(connection, task, {"attempts": attempts, "due_ns": due_ns, "code": code}):
        return None
    return replace(task, attempts=attempts, row_version=task.row_version + 1)


def close_task(connection: Connection, task: Task) -> None:
    """Keep that an ended rollout has no share of traffic any more, and take it off the list."""
    _change(connection, task, {"percent": 0, "due_ns": NEVER_NS})


def read_task(connection: Connection, promotion_id: str) -> Task | None:
    """Return a promotion's rollout as it stands, due or not; None where it has none."""
    columns = rollout_table.c
    row = connection.execute(_selected().where(columns.promotion_id == promotion_id)).mappings().first()
    return None if row is None else _task(row)


def _tasks(
    connection: Connection, targets: Collection[str], wanted: Collection[ColumnElement[bool]], limit: int
) -> tuple[Task, ...]:
    columns = rollout_table.c
    statement = _selected().where(columns.target.in_(targets), *wanted).order_by(columns.due_ns).limit(limit)
    return tuple(_task(row) for row in connection.execute(statement).mappings())


def _selected() -> Select[Any]:
    columns = rollout_table.c
    return select(rollout_table, promotion_table.c.state).join(
        promotion_table, promotion_table.c.id == columns.promotion_id
    )


def _task(row: RowMapping) -> Task:
    return Task(
        promotion_id=row["promotion_id"],
        state=PromotionState(row["state"]),
        target=row["target"],
        percent=row["percent"],
        permit_id=row["permit_id"],
        attempts=row["attempts"],
        row_version=row["row_version"],
    )


def _change(connection: Connection, task: Task, values: Mapping[str, Any]) -> bool:
    columns = rollout_table.c
    statement = (
        rollout_table.update()
        .where(columns.promotion_id == task.promotion_id, columns.row_version == task.row_version)
        .values(row_version=task.row_version + 1, **values)
    )
    return connection.execute(statement).rowcount == 1
