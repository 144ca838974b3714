"""Subscribers and deliveries in the database. Every function works inside its caller's transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, case, func, select

from lockgate.clock import EpochNs
from lockgate.delivery.types import Backlog, Delivery, DeliveryFilter, DeliveryState
from lockgate.storage import insert_new
from lockgate.storage.tables import delivery as delivery_table
from lockgate.storage.tables import subscriber as subscriber_table


def read_next_seq(connection: Connection, subscriber: str, log: str) -> int | None:
    """Return the place in a log that a subscriber is told of next; None if it was never told of any."""
    columns = subscriber_table.c
    query = select(columns.next_seq).where(columns.name == subscriber, columns.log == log)
    return connection.scalars(query).one_or_none()


def begin_at(connection: Connection, subscriber: str, log: str, next_seq: int) -> None:
    """Let a new subscriber begin at a place in a log; one that is there stays where it is."""
    insert_new(connection, subscriber_table, {"name": subscriber, "log": log, "next_seq": next_seq})


def advance(connection: Connection, subscriber: str, log: str, *, before: int, after: int) -> bool:
    """Move a subscriber on, unless somebody else did; tell whether it was moved."""
    columns = subscriber_table.c
    statement = (
        subscriber_table.update()
        .where(columns.name == subscriber, columns.log == log, columns.next_seq == before)
        .values(next_seq=after)
    )
    return connection.execute(statement).rowcount == 1


def insert_deliveries(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Take new deliveries in."""
    if rows:
        connection.execute(delivery_table.insert(), rows)


def due_deliveries(connection: Connection, subscriber: str, now: EpochNs, limit: int) -> tuple[Delivery, ...]:
    """Return deliveries that are to be sent now, in the order of the log."""
    columns = delivery_table.c
    query = (
        select(delivery_table)
        .where(columns.state == DeliveryState.WAITING.value, columns.due_ns <= now, columns.subscriber == subscriber)
        .order_by(columns.number)
        .limit(limit)
    )
    return tuple(_delivery(row) for row in connection.execute(query).mappings())


def read_delivery(connection: Connection, delivery_id: str) -> Delivery | None:
    """Return one delivery, or None."""
    row = connection.execute(select(delivery_table).where(delivery_table.c.id == delivery_id)).mappings().first()
    return None if row is None else _delivery(row)


def list_deliveries(connection: Connection, wanted: DeliveryFilter) -> tuple[Delivery, ...]:
    """Return a page of deliveries, newest first."""
    columns = delivery_table.c
    query = select(delivery_table).order_by(columns.number.desc()).limit(wanted.limit)
    if wanted.state:
        query = query.where(columns.state == wanted.state)
    if wanted.subscriber:
        query = query.where(columns.subscriber == wanted.subscriber)
    if wanted.before_number is not None:
        query = query.where(columns.number < wanted.before_number)
    return tuple(_delivery(row) for row in connection.execute(query).mappings())


def change_delivery(connection: Connection, seen: Delivery, **changes: Any) -> bool:  # noqa: ANN401 - a row's values
    """Change a delivery unless somebody did since it was seen; tell whether it was changed."""
    columns = delivery_table.c
    statement = (
        delivery_table.update()
        .where(
            columns.id == seen.id,
            columns.state == seen.state.value,
            columns.due_ns == seen.due,
            columns.attempts == seen.attempts,
        )
        .values(**changes)
    )
    return connection.execute(statement).rowcount == 1


def end_state(connection: Connection, subscriber: str, state: DeliveryState, code: str) -> int:
    """Let every delivery of a subscriber in this state be dead; return how many there were."""
    columns = delivery_table.c
    statement = (
        delivery_table.update()
        .where(columns.state == state.value, columns.subscriber == subscriber)
        .values(state=DeliveryState.DEAD.value, code=code)
    )
    return connection.execute(statement).rowcount


def is_gone(connection: Connection, subscriber: str) -> bool:
    """Tell whether a subscriber's receiver wants no more."""
    columns = delivery_table.c
    query = select(columns.id).where(columns.state == DeliveryState.GONE.value, columns.subscriber == subscriber)
    return connection.scalars(query.limit(1)).first() is not None


def subscribers_with_waiting(connection: Connection) -> list[str]:
    """Return the subscribers that deliveries wait for, sorted."""
    columns = delivery_table.c
    query = select(columns.subscriber).where(columns.state == DeliveryState.WAITING.value).distinct()
    return sorted(connection.scalars(query))


def read_backlog(connection: Connection, subscriber: str) -> Backlog:
    """Count what was made and not delivered."""
    columns = delivery_table.c
    undelivered = [state.value for state in DeliveryState if state is not DeliveryState.DELIVERED]
    waits = columns.state == DeliveryState.WAITING.value
    query = select(
        func.count(), func.sum(case((waits, 1), else_=0)), func.min(case((waits, columns.created_ns)))
    ).where(columns.state.in_(undelivered), columns.subscriber == subscriber)
    count, waiting, oldest = connection.execute(query).one()
    return Backlog(subscriber=subscriber, waiting=int(waiting or 0), dead=count - int(waiting or 0), oldest=oldest)


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(
        number=row["number"],
        id=row["id"],
        subscriber=row["subscriber"],
        log=row["log"],
        seq=row["seq"],
        event_type=row["event_type"],
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        created=row["created_ns"],
        due=row["due_ns"],
        tried=row["tried_ns"],
        status=row["status"],
        code=row["code"],
    )
