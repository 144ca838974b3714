"""Counts of uses in the database. Every function works inside its caller's transaction."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, select, tuple_, union
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from lockgate.clock import EpochNs
from lockgate.storage import upsert_all
from lockgate.storage.tables import live_interval, model, usage
from lockgate.usage.types import IdleReason, IdleVersion, UsageFilter, UsageKey, UsageRow, day_at

_NEVER: Final = 0  # in the column for the last use


def put_rows(connection: Connection, rows: Sequence[UsageRow]) -> None:
    """Keep counts, each with a key of its own; of the counts in one row and these, the greatest hold."""
    kept = [
        {**row.key._asdict(), "loads": row.loads, "predictions": row.predictions, "last_ns": row.last or _NEVER}
        for row in rows
    ]
    upsert_all(connection, usage, kept, _greater)


def known_models(connection: Connection, models: Sequence[str]) -> frozenset[str]:
    """Return which of these models are registered, or were live anywhere."""
    registered = select(model.c.name).where(model.c.name.in_(models))
    was_live = select(live_interval.c.model).where(live_interval.c.model.in_(models))
    return frozenset(connection.scalars(union(registered, was_live)))


def list_rows(connection: Connection, wanted: UsageFilter) -> tuple[UsageRow, ...]:
    """Return a page of counts, by key."""
    columns = usage.c
    key = tuple(columns[name] for name in UsageKey._fields)
    statement = select(usage).order_by(*key).limit(wanted.limit).where(columns.day >= wanted.since_day)
    if wanted.model:
        statement = statement.where(columns.model == wanted.model)
    if wanted.environment:
        statement = statement.where(columns.environment == wanted.environment)
    if wanted.after is not None:
        statement = statement.where(tuple_(*key) > tuple_(*wanted.after))
    return tuple(
        UsageRow(
            key=UsageKey(*(row[name] for name in UsageKey._fields)),
            loads=row["loads"],
            predictions=row["predictions"],
            last=row["last_ns"] or None,
        )
        for row in connection.execute(statement).mappings()
    )


def last_used(connection: Connection, models: Sequence[str]) -> dict[str, EpochNs]:
    """Return when each of these models was last used; those that never were are left out."""
    columns = usage.c
    statement = (
        select(columns.model, func.max(columns.last_ns))
        .where(columns.model.in_(models), columns.last_ns > _NEVER)
        .group_by(columns.model)
    )
    return {row[0]: EpochNs(row[1]) for row in connection.execute(statement)}


def last_used_versions(connection: Connection, name: str, versions: Sequence[str]) -> dict[str, EpochNs]:
    """Return when each of a model's versions was last used; those that never were are left out."""
    columns = usage.c
    statement = (
        select(columns.version, func.max(columns.last_ns))
        .where(columns.model == name, columns.version.in_(versions), columns.last_ns > _NEVER)
        .group_by(columns.version)
    )
    return {row[0]: EpochNs(row[1]) for row in connection.execute(statement)}


def idle_versions(connection: Connection, since: EpochNs, *, after: int, limit: int) -> tuple[IdleVersion, ...]:
    """Return live versions that were live since a time and were not used since, by the number of their interval."""
    live, columns = live_interval.c, usage.c
    # A version that nobody knows by name cannot be counted; the reconciler tells of it.
    is_old = and_(live.is_live == 1, live.version != "", live.from_ns <= since)
    used_lately = exists().where(_is_of(live), columns.day >= day_at(since), columns.last_ns >= since)
    last = select(func.max(columns.last_ns)).where(_is_of(live)).scalar_subquery().label("last")
    statement = (
        select(live_interval, last).where(is_old, ~used_lately, live.number > after).order_by(live.number).limit(limit)
    )
    return tuple(
        IdleVersion(
            number=row["number"],
            model=row["model"],
            version=row["version"],
            environment=row["environment"],
            live_since=row["from_ns"],
            last_used=row["last"] or None,
            reason=_reason(row["last"]),
        )
        for row in connection.execute(statement).mappings()
    )


def _is_of(live: ReadOnlyColumnCollection[str, Any]) -> ColumnElement[bool]:
    columns = usage.c
    return and_(columns.model == live.model, columns.version == live.version, columns.environment == live.environment)


def _reason(last: int | None) -> IdleReason:
    if last is None:
        return "not_counted"
    return "zero_use" if last == _NEVER else "stale"


def _greater(new: ReadOnlyColumnCollection[str, Any]) -> dict[str, ColumnElement[int]]:
    """Return what a row that is there becomes: a count that did not grow is no newer use either."""
    old = usage.c
    grew = (new.loads > old.loads) | (new.predictions > old.predictions)
    return {
        "loads": case((new.loads > old.loads, new.loads), else_=old.loads),
        "predictions": case((new.predictions > old.predictions, new.predictions), else_=old.predictions),
        "last_ns": case((grew & (new.last_ns > old.last_ns), new.last_ns), else_=old.last_ns),
    }
