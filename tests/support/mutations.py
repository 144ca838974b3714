"""What somebody who owns the database can do to a log, each way by itself; every one of them must flip the verdict.

A mutation is made and looked at inside one transaction and then taken back, triggers and all, so that many can be tried
on one log, on both databases.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from lockgate.audit import Verification, store, verify_log
from lockgate.audit.formats.merkle import leaf_hash, nodes_of
from lockgate.audit.reading import query_store
from lockgate.audit.verification.pruned import Pruned
from lockgate.audit.verification.verifier import Trust
from lockgate.storage import write_transaction
from lockgate.storage.tables import audit_attachment, audit_checkpoint, audit_entry
from support.audit_logs import ORIGIN, LogStand, drop_triggers

Mutate = Callable[[Connection, int, int], None]
"""Changes the database, given the position of a record and any number."""

_FAR = 1 << 40  # where records stand while they change places


class _TakenBackError(Exception):
    """Ends the transaction."""


@contextlib.contextmanager
def mutated(stand: LogStand, name: str, seq: int, number: int) -> Iterator[Connection]:
    """Change the database behind the log's back for the time of the block, which reads it by this connection."""
    with contextlib.suppress(_TakenBackError), write_transaction(stand.engine) as connection:
        drop_triggers(connection)
        MUTATIONS[name](connection, seq, number)
        yield connection
        raise _TakenBackError


def verify_here(connection: Connection, trust: Trust) -> Verification:
    """Verify the log as this transaction sees it."""
    head = store.read_head(connection, ORIGIN)
    assert head is not None
    pruned = None
    if head.first_seq:
        nodes = nodes_of((0, head.first_seq))
        hashes = store.read_nodes(connection, ORIGIN, nodes)
        leaf = query_store.read_prev(connection, ORIGIN, head.first_seq)
        assert leaf is not None
        pruned = Pruned(before=head.first_seq, leaf=leaf, edge=tuple(hashes[node] for node in nodes))
    return verify_log(
        # All at once: a verifier that stops at a broken chain would leave PostgreSQL's cursor open.
        records=[(entry.body, entry.columns) for entry in store.stream_entries(connection, ORIGIN)],
        checkpoints=list(store.stream_checkpoints(connection, ORIGIN)),
        trust=trust,
        attachments=partial(store.read_attachment, connection, ORIGIN),
        pruned=pruned,
    )


def flip(data: bytes, number: int) -> bytes:
    """Flip one bit, any one."""
    place, bit = number // 8 % len(data), number % 8
    return data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]


def _row(connection: Connection, seq: int) -> Row[Any]:
    return connection.execute(select(audit_entry).where(audit_entry.c.seq == seq)).one()


def _set(connection: Connection, seq: int, **values: object) -> None:
    connection.execute(update(audit_entry).where(audit_entry.c.seq == seq).values(**values))


def _flip_body(connection: Connection, seq: int, number: int) -> None:
    _set(connection, seq, body=flip(_row(connection, seq).body, number))


def _flip_body_and_leaf(connection: Connection, seq: int, number: int) -> None:
    # As somebody does who knows how the columns come about: the next record's `prev`, and the root, do not follow.
    edited = _row(connection, seq).body.replace(b'"inst":"', b'"inst":"%d' % (number % 10), 1)
    _set(connection, seq, body=edited, leaf=leaf_hash(edited))


def _delete(connection: Connection, seq: int, _number: int) -> None:
    connection.execute(delete(audit_entry).where(audit_entry.c.seq == seq))


def _delete_and_close_up(connection: Connection, seq: int, _number: int) -> None:
    _delete(connection, seq, 0)
    _shift(connection, seq + 1, -1)


def _shift(connection: Connection, begin: int, by: int) -> None:
    behind = audit_entry.c.seq >= begin
    connection.execute(update(audit_entry).where(behind).values(seq=audit_entry.c.seq + _FAR))
    behind = audit_entry.c.seq >= _FAR
    connection.execute(update(audit_entry).where(behind).values(seq=audit_entry.c.seq - _FAR + by))


def _repeat(connection: Connection, seq: int, number: int) -> None:
    row = _row(connection, seq)._asdict()
    _shift(connection, seq, 1)
    connection.execute(insert(audit_entry).values({**row, "id": f"repeated {number % 100}"}))


def _swap(connection: Connection, seq: int, _number: int) -> None:
    one, another = (_row(connection, each)._asdict() for each in (seq - 1, seq))
    for place in (seq - 1, seq):
        _delete(connection, place, 0)
    connection.execute(insert(audit_entry).values({**one, "seq": seq}))
    connection.execute(insert(audit_entry).values({**another, "seq": seq - 1}))


def _cut(connection: Connection, seq: int, _number: int) -> None:
    # All at once, as a restored backup lacks it: only what is kept outside tells.
    connection.execute(delete(audit_entry).where(audit_entry.c.seq >= seq))
    connection.execute(delete(audit_checkpoint).where(audit_checkpoint.c.size > seq))


def _column(name: str, value: object) -> Mutate:
    def change(connection: Connection, seq: int, _number: int) -> None:
        _set(connection, seq, **{name: value})

    return change


def _covering(connection: Connection, seq: int) -> int:
    size = connection.scalar(select(func.min(audit_checkpoint.c.size)).where(audit_checkpoint.c.size > seq))
    assert size is not None
    return int(size)


def _change_note(connection: Connection, size: int, change: Callable[[bytes], bytes]) -> None:
    at = audit_checkpoint.c.size == size
    note = connection.scalars(select(audit_checkpoint.c.note).where(at)).one()
    connection.execute(update(audit_checkpoint).where(at).values(note=change(note)))


def _flip_root(connection: Connection, seq: int, number: int) -> None:
    size = _covering(connection, seq)

    def change(note: bytes) -> bytes:
        root = note.split(b"\n")[2]
        at = number % 40  # of 44 characters, the last of which have bits that mean nothing
        return note.replace(root, root[:at] + (b"A" if root[at : at + 1] != b"A" else b"B") + root[at + 1 :])

    _change_note(connection, size, change)


def _note_of_another_size(connection: Connection, seq: int, _number: int) -> None:
    size = _covering(connection, seq)
    _change_note(connection, size, lambda note: note.replace(b"\n%d\n" % size, b"\n%d\n" % (size + 1), 1))


def _documents(connection: Connection, seq: int) -> Sequence[Any]:
    named = audit_attachment.c.seq == seq
    return connection.execute(select(audit_attachment.c.sha256, audit_attachment.c.body).where(named)).all()


def _lose_document(connection: Connection, seq: int, _number: int) -> None:
    names = [row.sha256 for row in _documents(connection, seq)]
    connection.execute(delete(audit_attachment).where(audit_attachment.c.sha256.in_(names)))


def _flip_document(connection: Connection, seq: int, number: int) -> None:
    for row in _documents(connection, seq):
        changed = flip(row.body, number)
        connection.execute(update(audit_attachment).where(audit_attachment.c.sha256 == row.sha256).values(body=changed))


_RECORDS: Final[dict[str, Mutate]] = {
    "flip a bit of a record": _flip_body,
    "edit a record and its leaf": _flip_body_and_leaf,
    "delete a record": _delete,
    "delete a record and close the gap": _delete_and_close_up,
    "repeat a record": _repeat,
    "swap a record with the one before": _swap,
    "cut the tail": _cut,
    "edit leaf": _column("leaf", bytes(32)),
    "edit prev": _column("prev", b"\1" * 32),
    "edit id": _column("id", "00000000-0000-0000-0000-000000000000"),
    "edit kind": _column("kind", "gate.denial"),
    "edit ts": _column("ts", "2020-01-01T00:00:00.000000Z"),
    "edit actor": _column("actor", "mallory"),
    "edit subject": _column("subject", "model:mallory"),
    "change the root in a checkpoint": _flip_root,
    "change the size in a checkpoint": _note_of_another_size,
}
_OF_DOCUMENTS: Final[dict[str, Mutate]] = {
    "lose a document": _lose_document,
    "flip a bit of a document": _flip_document,
}
MUTATIONS: Final[dict[str, Mutate]] = _RECORDS | _OF_DOCUMENTS
OF_RECORDS: Final = tuple(_RECORDS)
OF_DOCUMENTS: Final = tuple(_OF_DOCUMENTS)
