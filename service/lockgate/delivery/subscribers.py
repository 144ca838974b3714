"""The fan-out: records that came into the logs become deliveries, and the subscriber moves on, in one transaction.

So each subscriber has exactly one delivery for each event that it wants, however often this is stopped or run twice. A
subscriber begins at the end of each log when it is first seen; what was before, it can read with `GET /v1/events`.
"""

from typing import Any, Final

import structlog
from sqlalchemy import Engine

from lockgate.audit.types import StoredRecord
from lockgate.clock import Clock, EpochNs
from lockgate.delivery import store
from lockgate.delivery.events import CloudEvent, event_of
from lockgate.delivery.reading import View, log_range, read_stretch
from lockgate.delivery.types import DeliveryState
from lockgate.delivery.webhooks import Webhook
from lockgate.gate_logs import Logs
from lockgate.ids import new_id
from lockgate.storage import read_transaction, write_transaction

STRETCHES_MAX: Final = 10  # for one log before others get their turn, and before what is due is sent


def find_event(webhook: Webhook, view: View, stored: StoredRecord) -> CloudEvent | None:
    """Return what a subscriber is told of a record; None for nothing."""
    ours = event_of(stored)
    if ours is None or (webhook.events and ours.type not in webhook.events):
        return None
    return view(stored)


class FanOut:
    """Makes deliveries for one subscriber."""

    def __init__(self, *, webhook: Webhook, view: View, database: Engine, logs: Logs, clock: Clock) -> None:
        self._webhook = webhook
        self._view = view
        self._database = database
        self._logs = logs
        self._clock = clock

    def run(self) -> bool:
        """Make deliveries of what came since; tell whether every log's end was reached.

        Raises:
            StorageError: The database failed.
        """
        reached = [self._follow(log) for log in self._logs.names()]
        return all(reached)

    def _follow(self, log: str) -> bool:
        return any(self._stretch(log) for _ in range(STRETCHES_MAX))

    def _stretch(self, log: str) -> bool:
        """Take over the next records of a log; tell whether there were none."""
        name, origin = self._webhook.name, self._logs.named(log).origin
        with read_transaction(self._database) as connection:
            next_seq = store.read_next_seq(connection, name, log)
            begin, end = log_range(connection, origin)
            start = end if next_seq is None else max(next_seq, begin)
            records = read_stretch(connection, origin, range(start, end))
        if next_seq is None:
            with write_transaction(self._database) as connection:
                store.begin_at(connection, name, log, end)
            return True
        if start > next_seq:
            # Nobody can tell them any more; whoever needs them has the archive of what was pruned.
            structlog.get_logger().warning("events_pruned", subscriber=name, log=origin, after=next_seq, begin=start)
        if not records:
            return True
        now = self._clock.now_ns()
        rows = [row for stored in records if (row := self._row(log, stored, now)) is not None]
        with write_transaction(self._database) as connection:
            # First, so that of two processes the second waits here, and then makes none.
            if store.advance(connection, name, log, before=next_seq, after=records[-1].seq + 1):
                store.insert_deliveries(connection, rows)
        return False

    def _row(self, log: str, stored: StoredRecord, now: EpochNs) -> dict[str, Any] | None:
        event = find_event(self._webhook, self._view, stored)
        if event is None:
            return None
        return {
            "id": new_id(now),
            "subscriber": self._webhook.name,
            "log": log,
            "seq": stored.seq,
            "event_type": event.type,
            "state": DeliveryState.WAITING.value,
            "attempts": 0,
            "created_ns": now,
            "due_ns": now,
            "code": "",
        }
