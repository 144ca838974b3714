"""Deliveries for people: listing them, sending one again, and what the log says of those that were given up."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, Engine

from lockgate.audit import Actor, Event, Outcome
from lockgate.audit.reading.query_store import read_ts
from lockgate.clock import Clock, EpochNs, format_timestamp, parse_timestamp
from lockgate.delivery import store
from lockgate.delivery.errors import DeliveryUnknownError
from lockgate.delivery.types import Backlog, Delivery, DeliveryFilter, DeliveryState
from lockgate.gate_logs import Logs
from lockgate.ids import new_id
from lockgate.promotion import ContendedError
from lockgate.storage import read_transaction

DELIVERY: Final = "gate.delivery"
DELIVERY_KINDS: Final[Mapping[str, str]] = {DELIVERY: "v1/api/delivery_change"}
_TRIES_MAX: Final = 8  # a delivery moves when it is sent, which takes seconds: twice in a row is rare


class Deliveries:
    """The deliveries of a gate. Safe to share between threads."""

    def __init__(self, *, database: Engine, logs: Logs, clock: Clock, subscribers: Sequence[str]) -> None:
        """Take the parts.

        Args:
            database: Where deliveries are.
            logs: The gate's; the main one holds all that is recorded of deliveries.
            clock: For records.
            subscribers: Who is told of events now; those whom the settings no longer name are not looked after.
        """
        self._database = database
        self._logs = logs
        self._clock = clock
        self._subscribers = tuple(subscribers)

    def list(self, wanted: DeliveryFilter) -> tuple[Delivery, ...]:
        """Return a page of deliveries, newest first.

        Raises:
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            return store.list_deliveries(connection, wanted)

    def backlogs(self) -> tuple[Backlog, ...]:
        """Tell what each subscriber was not told yet.

        Raises:
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            return tuple(self._backlog(connection, name) for name in self._subscribers)

    def redeliver(self, actor: Actor, delivery_id: str, *, trace: str) -> Delivery:
        """Let a delivery be sent once more, now, whatever became of it before; recorded.

        The receiver sees the same id, so that it can tell that it has the event already. A receiver that wanted no more
        (410) is tried again from now on.

        Args:
            actor: Who wants it.
            delivery_id: Of the delivery.
            trace: The request's id.

        Returns:
            The delivery as it is then.

        Raises:
            DeliveryUnknownError: There is no such delivery.
            ContendedError: It kept changing at the same moment.
            AuditError: That could not be recorded, so nothing was changed.
            StorageError: The database failed.
        """
        now = self._clock.now_ns()

        def work(connection: Connection) -> Outcome[Delivery]:
            for _ in range(_TRIES_MAX):
                seen = store.read_delivery(connection, delivery_id)
                if seen is None:
                    raise DeliveryUnknownError("want the id of a delivery, got one that is not here")
                if store.change_delivery(connection, seen, state=DeliveryState.WAITING.value, due_ns=now):
                    break
            else:
                raise ContendedError("the delivery changed at the same moment, again and again; try again")
            store.end_state(connection, seen.subscriber, DeliveryState.GONE, "delivery.gone")
            event = delivery_event(seen, "redelivered", seen.code, actor=actor, now=now, trace=trace)
            after = store.read_delivery(connection, delivery_id)
            return Outcome(value=after or seen, events=(event,))

        return self._logs.main.transact(work).value

    def _backlog(self, connection: Connection, name: str) -> Backlog:
        backlog = store.read_backlog(connection, name)
        oldest = [] if backlog.oldest is None else [backlog.oldest]
        for log in self._logs.names():
            # What did not even become a delivery counts too: else nobody would notice that 'deliver' does not run.
            next_seq = store.read_next_seq(connection, name, log)
            ts = None if next_seq is None else read_ts(connection, self._logs.named(log).origin, next_seq)
            if ts is not None:
                oldest.append(parse_timestamp(ts))
        return replace(backlog, oldest=min(oldest, default=None))


def delivery_event(  # noqa: PLR0913 - what a record says
    delivery: Delivery, change: str, code: str, *, actor: Actor, now: EpochNs, trace: str | None = None
) -> Event:
    """Return what the log says of a delivery (schema `v1/api/delivery_change`).

    Args:
        delivery: Which.
        change: `dead`, `gone` or `redelivered`.
        code: Why the last attempt failed; "" if it did not, or there was none.
        actor: Who changed it.
        now: When.
        trace: The request's id, if there was one.
    """
    body: dict[str, Any] = {
        "schema_version": 1,
        "delivery_id": delivery.id,
        "change": change,
        "subscriber": delivery.subscriber,
        "log": delivery.log,
        "seq": delivery.seq,
        "event_type": delivery.event_type,
        "attempts": delivery.attempts,
        "code": code,
        "changed_at": format_timestamp(now),
    }
    subject = f"subscriber:{delivery.subscriber}"
    return Event(id=new_id(now), kind=DELIVERY, actor=actor, body=body, subject=subject, trace=trace)
