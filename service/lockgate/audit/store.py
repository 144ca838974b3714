"""The log's rows in SQL. The caller holds the transaction; nothing here decides anything."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, TextClause, bindparam, select, text

from lockgate.audit.formats.merkle import Node
from lockgate.audit.formats.records import Columns
from lockgate.storage import upsert
from lockgate.storage.tables import (
    audit_attachment,
    audit_checkpoint,
    audit_cosigned,
    audit_entry,
    audit_head,
)

STREAM_ROWS: Final = 256  # rows held at once while a whole log streams by: 8 MiB of the largest records


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The end of a log."""

    size: int
    leaf: bytes  # leaf hash of record size-1; 32 zero bytes when empty
    first_seq: int = 0  # records before it were pruned


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A record as it lies in the database: the hashed bytes, and the copies beside them."""

    body: bytes
    columns: Columns


# Put together once: to do it for each call takes SQLAlchemy longer than the database takes to answer.
_HEAD: Final = select(audit_head).where(audit_head.c.log == bindparam("log"))
_ENTRY: Final = select(audit_entry).where(audit_entry.c.log == bindparam("log"), audit_entry.c.seq == bindparam("seq"))
_SEQ_OF_ID: Final = select(audit_entry.c.seq).where(
    audit_entry.c.log == bindparam("log"), audit_entry.c.id == bindparam("id")
)
_LAST_CHECKPOINT: Final = (
    select(audit_checkpoint.c.note)
    .where(audit_checkpoint.c.log == bindparam("log"))
    .order_by(audit_checkpoint.c.size.desc())
    .limit(1)
)
_COVERING_CHECKPOINT: Final = (
    select(audit_checkpoint.c.note)
    .where(audit_checkpoint.c.log == bindparam("log"), audit_checkpoint.c.size > bindparam("seq"))
    .order_by(audit_checkpoint.c.size)
    .limit(1)
)


def read_logs(connection: Connection) -> list[str]:
    """List the origins of the logs in this database, sorted."""
    return list(connection.scalars(select(audit_head.c.log).order_by(audit_head.c.log)))


def read_head(connection: Connection, log: str) -> Head | None:
    """Return the log's end, or None if there is no such log."""
    row = connection.execute(_HEAD, {"log": log}).one_or_none()
    return None if row is None else Head(size=row.size, leaf=row.leaf, first_seq=row.first_seq)


def read_entry(connection: Connection, log: str, seq: int) -> Entry | None:
    """Return one record."""
    row = connection.execute(_ENTRY, {"log": log, "seq": seq}).one_or_none()
    return None if row is None else _entry(row)


def stream_entries(connection: Connection, log: str) -> Iterator[Entry]:
    """Return every record in order, a few at a time."""
    query = _entries(log).order_by(audit_entry.c.seq).execution_options(yield_per=STREAM_ROWS)
    for row in connection.execute(query):
        yield _entry(row)


def find_seq(connection: Connection, log: str, event_id: str) -> int | None:
    """Return the position of the record with this id."""
    return connection.scalars(_SEQ_OF_ID, {"log": log, "id": event_id}).one_or_none()


def read_nodes(connection: Connection, log: str, nodes: Sequence[Node]) -> dict[Node, bytes]:
    """Return the hashes of complete subtrees; one that is not stored is left out."""
    if not nodes:
        return {}
    values: dict[str, object] = {"log": log}
    for place, (level, index) in enumerate(nodes):
        values |= {f"level{place}": level, f"idx{place}": index}
    rows = connection.execute(_nodes_query(len(nodes)), values)
    return {(row.level, row.idx): row.hash for row in rows}


def read_last_checkpoint(connection: Connection, log: str) -> bytes | None:
    """Return the newest signed checkpoint."""
    return connection.scalars(_LAST_CHECKPOINT, {"log": log}).one_or_none()


def read_checkpoint_covering(connection: Connection, log: str, seq: int) -> bytes | None:
    """Return the smallest signed checkpoint that covers a record."""
    return connection.scalars(_COVERING_CHECKPOINT, {"log": log, "seq": seq}).one_or_none()


def stream_checkpoints(connection: Connection, log: str) -> Iterator[bytes]:
    """Return every signed checkpoint by size, a few at a time."""
    query = select(audit_checkpoint.c.note).where(audit_checkpoint.c.log == log).order_by(audit_checkpoint.c.size)
    yield from connection.scalars(query.execution_options(yield_per=STREAM_ROWS))


def add_cosigned(connection: Connection, log: str, size: int, note: bytes) -> None:
    """Keep a checkpoint with the lines of witnesses, in the place of one of the same size."""
    upsert(connection, audit_cosigned, {"log": log, "size": size, "note": note}, {"note": note})


def read_newest_cosigned(connection: Connection, log: str) -> bytes | None:
    """Return the newest checkpoint that a witness signed too."""
    query = select(audit_cosigned.c.note).where(audit_cosigned.c.log == log)
    return connection.scalars(query.order_by(audit_cosigned.c.size.desc()).limit(1)).one_or_none()


def read_attachment(connection: Connection, log: str, sha256: str) -> bytes | None:
    """Return a document."""
    query = select(audit_attachment.c.body).where(audit_attachment.c.log == log, audit_attachment.c.sha256 == sha256)
    return connection.scalars(query).one_or_none()


def stream_attachments(connection: Connection, log: str) -> Iterator[tuple[str, bytes]]:
    """Return every document with the SHA-256 that it is kept under, one at a time: they can be large."""
    query = select(audit_attachment.c.sha256, audit_attachment.c.body).where(audit_attachment.c.log == log)
    for row in connection.execute(query.order_by(audit_attachment.c.sha256).execution_options(yield_per=1)):
        yield row.sha256, row.body


@functools.cache
def _nodes_query(count: int) -> TextClause:
    # Each node by its whole key: for `(level, idx) IN (…)`, or with `log` apart, SQLite reads all nodes of the log. As
    # text, since SQLAlchemy takes a millisecond to put three dozen comparisons together.
    places = (f"(log = :log AND level = :level{place} AND idx = :idx{place})" for place in range(count))
    return text(f"SELECT level, idx, hash FROM audit_node WHERE {' OR '.join(places)}")  # noqa: S608 - no value in it


def _entries(log: str) -> Select[Any]:
    return select(audit_entry).where(audit_entry.c.log == log)


def _entry(row: Row[Any]) -> Entry:
    columns = Columns(
        seq=row.seq,
        leaf=row.leaf,
        prev=row.prev,
        id=row.id,
        kind=row.kind,
        ts=row.ts,
        actor=row.actor,
        subject=row.subject,
    )
    return Entry(body=row.body, columns=columns)
