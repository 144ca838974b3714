"""Which records a query means, and finding them. The caller holds the transaction."""

import re
from collections.abc import Iterator
from typing import Final

from sqlalchemy import Connection

from lockgate.audit import store
from lockgate.audit.errors import LogInconsistentError
from lockgate.audit.reading import query_store
from lockgate.audit.types import RecordFilter, StoredRecord
from lockgate.clock import EpochNs, TimestampError, format_timestamp, parse_timestamp

_STREAM_RECORDS: Final = 256  # records held at once while a whole log streams by: 8 MiB of the largest
_RFC3339_UTC: Final = re.compile(r"([0-9-]{10}T[0-9:]{8})(?:\.([0-9]{1,6}))?Z", re.ASCII)


def parse_bound(text: str) -> EpochNs:
    """Read a time that a person gives as a bound: RFC 3339 in UTC, down to the microsecond or coarser.

    Raises:
        TimestampError: It is not one, for example `2026-11-23T09:00:00Z`.
    """
    match = _RFC3339_UTC.fullmatch(text)
    if match is None:
        raise TimestampError("want a time in UTC, for example 2026-11-23T09:00:00Z")
    return parse_timestamp(f"{match[1]}.{match[2] or '':0<6}Z")


def find_records(  # noqa: PLR0913 - as the query that it answers
    connection: Connection, log: str, wanted: RecordFilter, *, after: int | None, limit: int, newest_first: bool
) -> tuple[StoredRecord, ...]:
    """Return one page of the records that a filter means.

    Args:
        connection: A read transaction.
        log: The log's origin.
        wanted: Which records.
        after: The last position already seen, in this order; None for the beginning.
        limit: How many at most.
        newest_first: The order.
    """
    seqs = _span(connection, log, wanted)
    if after is not None:
        seqs = (
            range(seqs.start, min(seqs.stop, after)) if newest_first else range(max(seqs.start, after + 1), seqs.stop)
        )
    return query_store.read_records(connection, log, seqs, wanted=wanted, limit=limit, newest_first=newest_first)


def each_record(connection: Connection, log: str, wanted: RecordFilter) -> Iterator[StoredRecord]:
    """Return all records that a filter means, oldest first, a few at a time."""
    seqs = _span(connection, log, wanted)
    while page := query_store.read_records(connection, log, seqs, wanted=wanted, limit=_STREAM_RECORDS):
        yield from page
        seqs = range(page[-1].seq + 1, seqs.stop)


def _span(connection: Connection, log: str, wanted: RecordFilter) -> range:
    head = store.read_head(connection, log)
    if head is None:
        return range(0)
    begin, end = head.first_seq, head.size
    if wanted.since is not None:
        begin = _first_from(connection, log, head, wanted.since)
    if wanted.until is not None:
        end = _first_from(connection, log, head, wanted.until)
    return range(begin, end)


def _first_from(connection: Connection, log: str, head: store.Head, when: EpochNs) -> int:
    # Within a log time never goes backwards, and the order of its one text form is the order of time: so the first
    # record of a time is found in some twenty looks, and no index of times has to be kept.
    text = format_timestamp(when)
    low, high = head.first_seq, head.size
    while low < high:
        middle = (low + high) // 2
        ts = query_store.read_ts(connection, log, middle)
        if ts is None:
            raise LogInconsistentError(f"record {middle} is missing")
        low, high = (middle + 1, high) if ts < text else (low, middle)
    return low
