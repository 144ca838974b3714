"""A batch: the records of one transaction, chained behind the log's last record, then stored and signed together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.audit.errors import DuplicateIDError, LogInconsistentError, RecordInvalidError
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.kind_names import KIND, SEAL
from lockgate.audit.formats.merkle import leaf_hash
from lockgate.audit.formats.notes import Signer
from lockgate.audit.formats.records import ATTACHMENT_BYTES_MAX, Columns, Place, encode_record
from lockgate.audit.kinds import CheckedEvent
from lockgate.audit.reading.reader import make_receipt
from lockgate.audit.store import Entry, Head
from lockgate.audit.types import Receipt
from lockgate.audit.writing.append_store import AppendStore
from lockgate.audit.writing.appending import Ending, Growth, grow
from lockgate.clock import EpochNs, format_timestamp

EVENTS_MAX: Final = 64  # of one job; the gate writes at most fifty, when promotions run out


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """What every record of one process says of it."""

    log: str  # the origin
    instance: str
    boot: str  # a UUID of this run of it


class Batch:
    """New records on their way into a log."""

    def __init__(self, rows: AppendStore, ending: Ending, author: Author, ts: EpochNs) -> None:
        self._rows = rows
        self._ending = ending
        self._author = author
        self._ts = ts
        self._ts_text = format_timestamp(ts)
        self._entries: list[Entry] = []
        self._ids: set[str] = set()
        self._growth: Growth | None = None
        self.note = b""  # the checkpoint over the log with this batch; empty until it is signed

    @property
    def registers_kinds(self) -> bool:
        """Whether a kind of record is registered in it."""
        return any(entry.columns.kind == KIND for entry in self._entries)

    def chain(self, events: Sequence[CheckedEvent]) -> range:
        """Give events their places; all of them or, if this raises, none.

        Returns:
            Their positions.

        Raises:
            RecordInvalidError: An event or attachment breaks its format or size, or there are too many.
            DuplicateIDError: The log already holds an event's id.
        """
        if len(events) > EVENTS_MAX:
            raise RecordInvalidError(f"want at most {EVENTS_MAX} events in one transaction, got {len(events)}")
        first = self._ending.size + len(self._entries)
        prev = self._entries[-1].columns.leaf if self._entries else self._ending.leaf
        entries: list[Entry] = []
        for seq, checked in enumerate(events, first):
            entries.append(self._entry(checked, seq, prev))
            prev = entries[-1].columns.leaf
        ids = {checked.event.id for checked in events}
        if len(ids) < len(events) or not ids.isdisjoint(self._ids) or any(map(self._rows.holds, ids)):
            raise DuplicateIDError("the log already holds a record with this event's id")
        for seq, checked in enumerate(events, first):
            for document in checked.event.attachments:
                self._rows.keep_attachment(document, seq)
        self._entries += entries
        self._ids |= ids
        return range(first, first + len(events))

    def sign(self, signers: Sequence[Signer]) -> Ending | None:
        """Store the records, and the tree and the signed checkpoint over them.

        Returns:
            Where the log then ends; None if the batch is empty.

        Raises:
            LogInconsistentError: The database gave back something else than it was given, or the new tree does not
                begin with the signed one.
        """
        if not self._entries:
            return None
        rows, author = self._rows, self._author
        rows.add_entries(self._entries)
        # From the bytes that the database gives back, not from those it was given: only what is stored gets signed. The
        # record before the batch is looked at again too, since the tree goes on from what was known of it.
        before = [self._ending.leaf] if self._ending.size else []
        first = self._ending.size - len(before)
        stored = [leaf_hash(body) for body in rows.read_bodies(first, len(before) + len(self._entries) + 1)]
        leaves = stored[len(before) :]
        if stored[: len(before)] != before:
            raise LogInconsistentError("the last record's bytes do not hash to the log's head")
        if leaves != [entry.columns.leaf for entry in self._entries]:
            raise LogInconsistentError("the database gave back other records than it was given")
        growth = grow(self._ending, leaves)
        self.note = sign_checkpoint(Checkpoint(origin=author.log, size=growth.size, root=growth.root), *signers)
        rows.add_nodes(growth.nodes)
        rows.add_checkpoint(growth.size, self.note)
        rows.move_head(Head(size=growth.size, leaf=leaves[-1]))
        self._growth = growth
        return Ending(
            size=growth.size,
            leaf=leaves[-1],
            ts=self._ts,
            root=growth.root,
            edge=growth.edge(),
            sealed=self._entries[-1].columns.kind == SEAL,
        )

    def receipt(self, seq: int) -> Receipt:
        """Return the receipt of one of the batch's records, after it was signed and committed."""
        if self._growth is None:
            raise LogInconsistentError("want a batch that was signed")
        return make_receipt(self._entries[seq - self._ending.size], self._growth.path(seq), self.note)

    def _entry(self, checked: CheckedEvent, seq: int, prev: bytes) -> Entry:
        author, event = self._author, checked.event
        for document in event.attachments:
            if len(document) > ATTACHMENT_BYTES_MAX:
                raise RecordInvalidError(
                    f"want at most {ATTACHMENT_BYTES_MAX} bytes of attachment, got {len(document)}"
                )
        place = Place(
            log=author.log,
            seq=seq,
            prev=prev,
            ts=self._ts,
            instance=author.instance,
            boot=author.boot,
            schema_sha256=checked.schema_sha256,
        )
        body = encode_record(event, place, checked.body)
        columns = Columns(
            seq=seq,
            leaf=leaf_hash(body),
            prev=prev,
            id=event.id,
            kind=event.kind,
            ts=self._ts_text,
            actor=event.actor.id,
            subject=event.subject,
        )
        return Entry(body=body, columns=columns)
