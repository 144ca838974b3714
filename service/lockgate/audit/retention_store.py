"""The rows of erasing and pruning in SQL. The caller holds the transaction, and it is the log's only writer."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from lockgate.audit.formats.merkle import Node
from lockgate.audit.store import STREAM_ROWS
from lockgate.digests import Sha256Hex
from lockgate.storage.tables import audit_attachment, audit_entry, audit_erased, audit_head, audit_node

KEPT_LEVEL: Final = 8  # nodes from here on are kept for ever: a pruned log is cut at the tiles' width, 256 = 2**8
STEP: Final = 1 << KEPT_LEVEL  # a pruned log begins with a whole tile
_IDS_MAX: Final = 500  # in one statement; SQLite takes 32,766 values, older ones 999


def is_pruned(node: Node, first_seq: int) -> bool:
    """Tell whether a node of the tree went with the records before `first_seq`."""
    level, index = node
    return level < KEPT_LEVEL and (index + 1) << level <= first_seq


def read_kept(connection: Connection, log: str, digests: Sequence[Sha256Hex]) -> dict[Sha256Hex, int]:
    """Return which of some attachments are there, each with the position of the newest record that names it."""
    query = select(audit_attachment.c.sha256, audit_attachment.c.seq)
    query = query.where(audit_attachment.c.log == log, audit_attachment.c.sha256.in_(digests))
    return {Sha256Hex(row.sha256): row.seq for row in connection.execute(query)}


def read_erased(connection: Connection, log: str, digests: Sequence[Sha256Hex]) -> set[Sha256Hex]:
    """Return which of some attachments were erased, perhaps long ago."""
    query = select(audit_erased.c.sha256).where(audit_erased.c.log == log, audit_erased.c.sha256.in_(digests))
    return {Sha256Hex(sha256) for sha256 in connection.scalars(query)}


def erase_attachments(connection: Connection, log: str, digests: Sequence[Sha256Hex]) -> None:
    """Delete attachments, and note that this was meant; the caller records it."""
    erased = read_erased(connection, log, digests)  # one that came back after its erasure is erased again
    rows = [{"log": log, "sha256": sha256} for sha256 in digests if sha256 not in erased]
    if rows:
        connection.execute(insert(audit_erased), rows)
    connection.execute(
        delete(audit_attachment).where(audit_attachment.c.log == log, audit_attachment.c.sha256.in_(digests))
    )


def stream_bodies(connection: Connection, log: str, first: int, end: int) -> Generator[tuple[int, bytes], None, None]:
    """Return the position and bytes of the records from `first` up to, not including, `end`, a few at a time.

    Whoever does not read it to its end closes it, lest PostgreSQL's cursor stay open.
    """
    query = select(audit_entry.c.seq, audit_entry.c.body).where(
        audit_entry.c.log == log, audit_entry.c.seq >= first, audit_entry.c.seq < end
    )
    with connection.execute(query.order_by(audit_entry.c.seq).execution_options(yield_per=STREAM_ROWS)) as rows:
        for row in rows:
            yield row.seq, row.body


def read_bodies_of_kind(connection: Connection, log: str, kind: str) -> list[tuple[int, bytes]]:
    """Return the position and bytes of every record of a kind, oldest first."""
    query = select(audit_entry.c.seq, audit_entry.c.body).where(audit_entry.c.log == log, audit_entry.c.kind == kind)
    return [(row.seq, row.body) for row in connection.execute(query.order_by(audit_entry.c.seq))]


def oldest_of(
    connection: Connection, log: str, *, records: Iterable[str], attachments: Iterable[Sha256Hex]
) -> int | None:
    """Return the lowest position among records, by their ids, and the newest records naming attachments."""
    found: list[int] = []
    for ids in _portions(records):
        query = select(func.min(audit_entry.c.seq)).where(audit_entry.c.log == log, audit_entry.c.id.in_(ids))
        found += [seq for seq in connection.scalars(query) if seq is not None]
    for digests in _portions(attachments):
        query = select(func.min(audit_attachment.c.seq)).where(
            audit_attachment.c.log == log, audit_attachment.c.sha256.in_(digests)
        )
        found += [seq for seq in connection.scalars(query) if seq is not None]
    return min(found, default=None)


def delete_before(connection: Connection, log: str, before: int) -> None:
    """Move the log's beginning to `before`, a multiple of 256, and delete what only older records needed."""
    # The head goes first: the database's triggers let rows go only below it.
    connection.execute(update(audit_head).where(audit_head.c.log == log).values(first_seq=before))
    connection.execute(delete(audit_entry).where(audit_entry.c.log == log, audit_entry.c.seq < before))
    connection.execute(delete(audit_attachment).where(audit_attachment.c.log == log, audit_attachment.c.seq < before))
    for level in range(KEPT_LEVEL):
        nodes = delete(audit_node).where(audit_node.c.log == log, audit_node.c.level == level)
        connection.execute(nodes.where(audit_node.c.idx < before >> level))


def _portions(values: Iterable[str]) -> Iterator[list[str]]:
    listed = list(values)
    for start in range(0, len(listed), _IDS_MAX):
        yield listed[start : start + _IDS_MAX]
