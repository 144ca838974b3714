"""The statements of queries and tiles. The caller holds the transaction; nothing here decides anything."""

from sqlalchemy import Connection, select

from lockgate.audit.types import RecordFilter, StoredRecord
from lockgate.storage.tables import audit_entry, audit_node


def read_records(  # noqa: PLR0913 - one parameter for each thing a query can be narrowed by
    connection: Connection, log: str, seqs: range, *, wanted: RecordFilter, limit: int, newest_first: bool = False
) -> tuple[StoredRecord, ...]:
    """Return up to `limit` of the records at these positions; `wanted` narrows by all but time."""
    table = audit_entry
    query = select(table.c.seq, table.c.body, table.c.leaf).where(
        table.c.log == log, table.c.seq >= seqs.start, table.c.seq < seqs.stop
    )
    for column, value in (
        (table.c.kind, wanted.kind),
        (table.c.actor, wanted.actor),
        (table.c.subject, wanted.subject),
    ):
        if value is not None:
            query = query.where(column == value)
    query = query.order_by(table.c.seq.desc() if newest_first else table.c.seq).limit(limit)
    return tuple(StoredRecord(seq=row.seq, body=row.body, leaf=row.leaf) for row in connection.execute(query))


def read_ts(connection: Connection, log: str, seq: int) -> str | None:
    """Return the time of one record."""
    query = select(audit_entry.c.ts).where(audit_entry.c.log == log, audit_entry.c.seq == seq)
    return connection.scalars(query).one_or_none()


def read_prev(connection: Connection, log: str, seq: int) -> bytes | None:
    """Return the leaf hash of the record before this one."""
    query = select(audit_entry.c.prev).where(audit_entry.c.log == log, audit_entry.c.seq == seq)
    return connection.scalars(query).one_or_none()


def read_row_of_nodes(connection: Connection, log: str, level: int, indexes: range) -> list[bytes]:
    """Return the hashes of neighbouring subtrees of one level, in order; those that are not stored are left out."""
    table = audit_node
    query = select(table.c.hash).where(
        table.c.log == log, table.c.level == level, table.c.idx >= indexes.start, table.c.idx < indexes.stop
    )
    return list(connection.scalars(query.order_by(table.c.idx)))
