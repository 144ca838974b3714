"""Events by cursor: what has come into a log since, so that a reader misses nothing and is told nothing twice.

The cursor is a place in the log, which has no gaps and never changes. A page says how far it looked, events or not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from sqlalchemy import Connection, Engine

from lockgate.audit import RecordPrunedError, RecordUnknownError, store
from lockgate.audit.reading.query_store import read_records
from lockgate.audit.types import RecordFilter, StoredRecord
from lockgate.delivery.cdevents import cdevent_of
from lockgate.delivery.events import CloudEvent, event_of
from lockgate.delivery.webhooks import Format
from lockgate.gate_logs import Logs
from lockgate.storage import read_transaction

STRETCH_RECORDS: Final = 200  # looked at in one go: 6 MiB of the largest records, some milliseconds of usual ones
PAGE_BYTES_MAX: Final = 256 * 1024  # of events; what a client of ours reads at most is twice that

View: TypeAlias = Callable[[StoredRecord], CloudEvent | None]
"""Returns what a record is as an event, in one format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events that follow one another.

    Attributes:
        last: The last place that was looked at, from which to go on.
        at_end: Whether that was the log's newest record.
    """

    events: tuple[CloudEvent, ...]
    last: int
    at_end: bool


def view_of(format_: Format, public_url: str) -> View:
    """Return how records become events of a format.

    Args:
        format_: Which.
        public_url: Where the gate is reached, without a slash at the end; "" if nobody said.
    """
    return event_of if format_ == "cloudevents" else partial(cdevent_of, public_url=public_url)


class EventReader:
    """Reads events of the gate's logs."""

    def __init__(self, *, database: Engine, logs: Logs, public_url: str) -> None:
        self._database = database
        self._logs = logs
        self._public_url = public_url

    def page(self, log: str, *, after: int | None, limit: int, format_: Format) -> EventPage:
        """Return the events that come after a place in a log, oldest first.

        Args:
            log: A log, by the name that `Logs` knows.
            after: The last place that was looked at; None for the log's beginning, or what pruning left of it.
            limit: How many at most.
            format_: How they are written.

        Raises:
            LogNotConfiguredError: There is no such log.
            RecordPrunedError: Records that follow `after` were pruned; the message says where the log begins.
            RecordUnknownError: The log does not reach as far as `after`.
            StorageError: The database cannot be read.
        """
        origin = self._logs.named(log).origin
        with read_transaction(self._database) as connection:
            begin, end = log_range(connection, origin)
            start = begin if after is None else after + 1
            if start > end:
                raise RecordUnknownError(f"the log holds no record {after}; want after below {end}")
            if start < begin:
                raise RecordPrunedError(f"records before {begin} were pruned; want after from {begin - 1}")
            records = read_stretch(connection, origin, range(start, end))
        view = view_of(format_, self._public_url)
        events: list[CloudEvent] = []
        last, size = start - 1, 0
        for stored in records:
            event = view(stored)
            size += len(event.encode()) if event is not None else 0
            if len(events) == limit or (events and size > PAGE_BYTES_MAX):
                break
            if event is not None:
                events.append(event)
            last = stored.seq
        return EventPage(events=tuple(events), last=last, at_end=last == end - 1)


def log_range(connection: Connection, origin: str) -> tuple[int, int]:
    """Return where a log begins, since it was pruned, and the place behind its newest record."""
    head = store.read_head(connection, origin)
    return (0, 0) if head is None else (head.first_seq, head.size)


def read_stretch(connection: Connection, origin: str, seqs: range) -> tuple[StoredRecord, ...]:
    """Return the first records of a range, up to `STRETCH_RECORDS`."""
    return read_records(connection, origin, seqs, wanted=RecordFilter(), limit=STRETCH_RECORDS)
