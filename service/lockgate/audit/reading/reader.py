"""Reading a log: records, receipts, proofs, checkpoints, attachments. Changes nothing and needs no key."""

from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, Engine

from lockgate.audit import retention_store, store
from lockgate.audit.errors import (
    AuditError,
    ErasedError,
    LogInconsistentError,
    NotWitnessedError,
    RecordPrunedError,
    RecordUnknownError,
)
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.merkle import Span, consistency_spans, inclusion_spans, nodes_of, span_hash
from lockgate.audit.formats.proofs import InclusionProof, format_proof
from lockgate.audit.formats.tiles import Tile
from lockgate.audit.reading.queries import find_records
from lockgate.audit.reading.tiling import read_tile
from lockgate.audit.types import Receipt, RecordFilter, StoredRecord
from lockgate.digests import Sha256Hex, sha256_hex
from lockgate.storage import read_transaction

RECORDS_PAGE_MAX: Final = 1000  # 32 MiB of the largest records


class LogReader:
    """One log in a database, for reading; safe to use from many threads."""

    def __init__(self, engine: Engine, origin: str) -> None:
        self._engine = engine
        self._origin = origin

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._origin

    def receipt(self, seq: int) -> Receipt:
        """Return the receipt of a record: byte for byte the one that was given when it was written.

        Raises:
            RecordUnknownError: There is no such record.
            RecordPrunedError: It was pruned.
            StorageError: The database cannot be read.
        """
        with read_transaction(self._engine) as connection:
            return self._receipt(connection, seq)

    def witnessed_receipt(self, seq: int) -> Receipt:
        """Return a receipt of a record by the newest checkpoint that witnesses signed too, with their lines.

        Unlike `receipt` it is not always the same: a later one is by a larger checkpoint. Whether those witnesses are
        enough is for whoever verifies it to say.

        Raises:
            NotWitnessedError: No such checkpoint covers it yet.
            RecordUnknownError: There is no such record.
            RecordPrunedError: It was pruned.
            StorageError: The database cannot be read.
        """
        with read_transaction(self._engine) as connection:
            receipt = self._receipt(connection, seq)  # what is not there is told first
            note = store.read_newest_cosigned(connection, self.origin)
            size = 0 if note is None else read_checkpoint(note).size
            if note is None or size <= seq:
                raise NotWitnessedError(f"no checkpoint that a witness signed covers record {seq} yet")
            path = self._hashes(connection, size, inclusion_spans(seq, size))
        proof = InclusionProof(index=seq, path=path, checkpoint=note)
        return replace(receipt, proof=format_proof(proof))

    def receipt_by_id(self, event_id: str) -> Receipt:
        """Return the receipt of the record with this id.

        Raises:
            RecordUnknownError: There is no such record.
            RecordPrunedError: There is none any more; of a pruned log nobody can tell whether there was one.
            StorageError: The database cannot be read.
        """
        with read_transaction(self._engine) as connection:
            seq = store.find_seq(connection, self.origin, event_id)
            if seq is None:
                raise self._absent(connection, "record with this id")
            return self._receipt(connection, seq)

    def record_by_id(self, event_id: str) -> StoredRecord:
        """Return the record with this id, without proof that it is in the log.

        Raises:
            RecordUnknownError: There is no such record.
            RecordPrunedError: There is none any more; of a pruned log nobody can tell whether there was one.
            StorageError: The database cannot be read.
        """
        with read_transaction(self._engine) as connection:
            seq = store.find_seq(connection, self.origin, event_id)
            entry = None if seq is None else store.read_entry(connection, self.origin, seq)
            if entry is None:
                raise self._absent(connection, "record with this id")
            return StoredRecord(seq=entry.columns.seq, body=entry.body, leaf=entry.columns.leaf)

    def records(
        self, *, after: int | None = None, limit: int = 100, kind: str | None = None, actor: str | None = None
    ) -> tuple[StoredRecord, ...]:
        """Return a page of records, oldest first.

        Args:
            after: The last position already seen; None for the beginning.
            limit: How many at most, up to `RECORDS_PAGE_MAX`.
            kind: Only this kind.
            actor: Only by the actor with this id.
        """
        return self.find(RecordFilter(kind=kind, actor=actor), after=after, limit=limit)

    def find(
        self, wanted: RecordFilter, *, after: int | None = None, limit: int = 100, newest_first: bool = False
    ) -> tuple[StoredRecord, ...]:
        """Return a page of the records that a filter means.

        Args:
            wanted: Which records.
            after: The last position already seen, in the order asked for; None for the beginning.
            limit: How many at most, up to `RECORDS_PAGE_MAX`.
            newest_first: The order.

        Raises:
            LogInconsistentError: A record that is needed to find a time is missing.
            StorageError: The database cannot be read.
        """
        with read_transaction(self._engine) as connection:
            return find_records(
                connection,
                self.origin,
                wanted,
                after=after,
                limit=min(limit, RECORDS_PAGE_MAX),
                newest_first=newest_first,
            )

    def checkpoint(self) -> bytes:
        """Return the newest signed checkpoint, exact bytes.

        Raises:
            RecordUnknownError: The log was never created.
        """
        with read_transaction(self._engine) as connection:
            note = store.read_last_checkpoint(connection, self.origin)
        if note is None:
            raise RecordUnknownError("the log holds no checkpoint")
        return note

    def published_checkpoint(self) -> bytes:
        """Return the newest signed checkpoint, with the lines of witnesses where they have signed this very one.

        Raises:
            RecordUnknownError: The log was never created.
        """
        with read_transaction(self._engine) as connection:
            note = store.read_last_checkpoint(connection, self.origin)
            cosigned = store.read_newest_cosigned(connection, self.origin)
        if note is None:
            raise RecordUnknownError("the log holds no checkpoint")
        if cosigned is not None and read_checkpoint(cosigned).size == read_checkpoint(note).size:
            return cosigned
        return note

    def tile(self, tile: Tile) -> bytes:
        """Return a tile (C2SP tlog-tiles). Its bytes never change, whatever the log's size.

        Raises:
            RecordUnknownError: The log does not reach that far.
            RecordPrunedError: What the tile held was pruned.
            LogInconsistentError: A part of it is missing.
        """
        with read_transaction(self._engine) as connection:
            head = store.read_head(connection, self.origin)
            if head is None or not tile.in_tree(head.size):
                raise RecordUnknownError(f"the log has no tile {tile.path}")
            if tile.is_pruned(head.first_seq):
                raise RecordPrunedError(f"tile {tile.path} was pruned, with all records before {head.first_seq}")
            return read_tile(connection, self.origin, tile)

    def inclusion_proof(self, seq: int, size: int) -> tuple[bytes, ...]:
        """Return the path from a record to the root over the first `size` records.

        Raises:
            RecordUnknownError: `seq` is not below `size`, or `size` is beyond the log.
            RecordPrunedError: The path needs hashes that were pruned with their records.
        """
        if not 0 <= seq < size:
            raise RecordUnknownError("want a seq from 0 and below the size")
        with read_transaction(self._engine) as connection:
            return self._hashes(connection, size, inclusion_spans(seq, size))

    def consistency_proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the proof that the first `new` records begin with the first `old`.

        Raises:
            RecordUnknownError: Not 0 < old <= new, or `new` is beyond the log.
            RecordPrunedError: The proof needs hashes that were pruned with their records.
        """
        if not 0 < old <= new:
            raise RecordUnknownError("want sizes with 0 < old <= new")
        with read_transaction(self._engine) as connection:
            return self._hashes(connection, new, consistency_spans(old, new))

    def attachment(self, sha256: str) -> bytes:
        """Return a document that an event's body names by its SHA-256, 64 hex digits.

        Raises:
            RecordUnknownError: There is none.
            ErasedError: It was erased.
            RecordPrunedError: There is none any more; of a pruned log nobody can tell whether there was one.
            LogInconsistentError: What is stored under this digest is something else.
        """
        with read_transaction(self._engine) as connection:
            body = store.read_attachment(connection, self.origin, sha256)
            if body is None and retention_store.read_erased(connection, self.origin, [Sha256Hex(sha256)]):
                raise ErasedError("the attachment with this SHA-256 was erased")
            if body is None:
                raise self._absent(connection, "attachment with this SHA-256")
        if sha256_hex(body) != sha256:
            raise LogInconsistentError("the attachment's bytes do not hash to the digest that they are kept under")
        return body

    def _receipt(self, connection: Connection, seq: int) -> Receipt:
        entry = store.read_entry(connection, self.origin, seq)
        # The smallest checkpoint that covers it is the one of its own transaction, so that the bytes never change.
        note = store.read_checkpoint_covering(connection, self.origin, seq)
        if entry is None or note is None:
            head = store.read_head(connection, self.origin)
            if head is not None and 0 <= seq < head.first_seq:
                raise RecordPrunedError(f"record {seq} was pruned, with all before {head.first_seq}; see the archive")
            raise RecordUnknownError(f"the log holds no record {seq}")
        size = read_checkpoint(note).size
        return make_receipt(entry, self._hashes(connection, size, inclusion_spans(seq, size)), note)

    def _hashes(self, connection: Connection, size: int, spans: list[Span]) -> tuple[bytes, ...]:
        head = store.read_head(connection, self.origin)
        if head is None or size > head.size:
            raise RecordUnknownError(f"the log holds fewer than {size} records")
        wanted = [node for span in spans for node in nodes_of(span)]
        nodes = store.read_nodes(connection, self.origin, wanted)
        missing = set(wanted) - nodes.keys()
        if missing and all(retention_store.is_pruned(node, head.first_seq) for node in missing):
            raise RecordPrunedError(f"the proof needs hashes that were pruned with the records before {head.first_seq}")
        if missing:
            raise LogInconsistentError("a node of the stored tree is missing")
        return tuple(span_hash(span, nodes) for span in spans)

    def _absent(self, connection: Connection, what: str) -> AuditError:
        head = store.read_head(connection, self.origin)
        if head is not None and head.first_seq > 0:
            return RecordPrunedError(f"the log holds no {what} any more; records before {head.first_seq} were pruned")
        return RecordUnknownError(f"the log holds no {what}")


def make_receipt(entry: store.Entry, path: tuple[bytes, ...], note: bytes) -> Receipt:
    """Put a receipt together from a record, its inclusion path and the checkpoint that the path leads to."""
    proof = InclusionProof(index=entry.columns.seq, path=path, checkpoint=note)
    return Receipt(seq=entry.columns.seq, record=entry.body, proof=format_proof(proof))
