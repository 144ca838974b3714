"""The audit log in a database: work, its records, the tree and a signed checkpoint, all in one transaction.

The life of a record: `transact` takes the write lock, makes sure that the stored log still ends where its last signed
checkpoint says, runs the caller's work, writes its events as records at the end of the chain, computes the new root
along two code paths, signs it, and commits all of it together. Whatever fails on the way, nothing was written. The
receipts are ready before the commit, so that nothing that could fail stands between the two.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine

from lockgate.audit import store
from lockgate.audit.appending import BEGINNING, Ending, check_ending, grow
from lockgate.audit.checkpoints import Checkpoint, read_checkpoint, sign_checkpoint
from lockgate.audit.errors import (
    DuplicateIDError,
    LogForeignError,
    LogInconsistentError,
    NoEventError,
    RecordInvalidError,
    RecordUnknownError,
)
from lockgate.audit.kinds import KindCatalogue
from lockgate.audit.merkle import Span, consistency_spans, inclusion_spans, leaf_hash, nodes_of, span_hash
from lockgate.audit.notes import Signer
from lockgate.audit.proofs import InclusionProof, format_proof
from lockgate.audit.records import ATTACHMENT_BYTES_MAX, GENESIS, Place, columns_of, encode_record, parse_record
from lockgate.audit.types import Actor, Committed, Event, Outcome, Receipt, StoredRecord
from lockgate.clock import Clock, EpochNs
from lockgate.digests import sha256_hex
from lockgate.ids import new_id
from lockgate.storage import read_transaction, write_transaction

T = TypeVar("T")

EVENTS_MAX: Final = 64  # in one transaction; the gate writes at most fifty, when promotions run out
RECORDS_PAGE_MAX: Final = 1000  # 32 MiB of the largest records


class AuditLog:
    """One log; safe to use from many threads, and by many processes on one database."""

    def __init__(
        self, *, engine: Engine, signer: Signer, clock: Clock, catalogue: KindCatalogue, instance: str
    ) -> None:
        """Take what the log needs; nothing is read or written yet.

        Args:
            engine: Of `lockgate.storage.open_engine`, with its tables in place.
            signer: Whose key signs the checkpoints; the key's name is the log's origin.
            clock: What the records' times come from.
            catalogue: The kinds that may be written.
            instance: This process's name in its records.
        """
        self._engine = engine
        self._signer = signer
        self._clock = clock
        self._catalogue = catalogue
        self._instance = instance
        self._boot = new_id(clock.now_ns())

    @property
    def origin(self) -> str:
        """The log's name."""
        return self._signer.verifier_key.name

    def create(self) -> None:
        """Begin the log with its genesis record, or make sure that the one that is there is ours.

        Raises:
            LogForeignError: The database holds a log of this origin under another key, or only logs of other origins.
            LogInconsistentError: The stored log contradicts its own checkpoint.
            StorageError: The database cannot be written.
        """
        with write_transaction(self._engine) as connection:
            logs = store.read_logs(connection)
            if self.origin in logs:
                check_ending(connection, self._signer.verifier_key)
                return
            if logs:
                raise LogForeignError(f"want a database for the log {self.origin!r}, got one of {logs[0]!r}")
            store.create_head(connection, self.origin)
            genesis = Event(
                id=new_id(self._clock.now_ns()),
                kind=GENESIS,
                actor=Actor(type="system", id="lockgate"),
                body={"key": str(self._signer.verifier_key)},
            )
            self._extend(connection, BEGINNING, (genesis,))

    def transact(self, work: Callable[[Connection], Outcome[T]]) -> Committed[T]:
        """Do a piece of work and record it, both or neither.

        Args:
            work: Changes the database through the connection it is given and says what to record. It runs while the
                log's write lock is held, so it must be short and must not call the log again.

        Returns:
            The work's value and a receipt for each event, in order, durable.

        Raises:
            NoEventError: The work left no event: a change without a record is refused.
            KindUnknownError: An event's kind is not in the catalogue.
            RecordInvalidError: An event or attachment breaks its format, schema or size.
            DuplicateIDError: The log already holds an event's id.
            LogForeignError: The log was never created, or is another key's.
            LogInconsistentError: The stored log contradicts its own checkpoint.
            StorageError: The database cannot be written.
            Exception: Whatever `work` raises. In each of these cases nothing was written.
        """
        with write_transaction(self._engine) as connection:
            ending = check_ending(connection, self._signer.verifier_key)
            outcome = work(connection)
            if not outcome.events:
                raise NoEventError("want at least one event for work that may have changed the database")
            receipts = self._extend(connection, ending, outcome.events)
        return Committed(value=outcome.value, receipts=receipts)

    def append(self, event: Event) -> Receipt:
        """Record an event that changes nothing else.

        Raises:
            AuditError: As for `transact`.
            StorageError: The database cannot be written.
        """
        return self.transact(lambda _: Outcome(value=None, events=(event,))).receipts[0]

    def receipt(self, seq: int) -> Receipt:
        """Return the receipt of a record: byte for byte the one that was given when it was written.

        Raises:
            RecordUnknownError: There is no such record.
            StorageError: The database cannot be read.
        """
        with read_transaction(self._engine) as connection:
            return self._receipt(connection, seq)

    def receipt_by_id(self, event_id: str) -> Receipt:
        """Return the receipt of the record with this id.

        Raises:
            RecordUnknownError: There is no such record.
            StorageError: The database cannot be read.
        """
        with read_transaction(self._engine) as connection:
            seq = store.find_seq(connection, self.origin, event_id)
            if seq is None:
                raise RecordUnknownError("the log holds no record with this id")
            return self._receipt(connection, seq)

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
        start = -1 if after is None else after
        with read_transaction(self._engine) as connection:
            entries = store.read_entries(
                connection, self.origin, after=start, limit=min(limit, RECORDS_PAGE_MAX), kind=kind, actor=actor
            )
        return tuple(StoredRecord(seq=entry.columns.seq, body=entry.body, leaf=entry.columns.leaf) for entry in entries)

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

    def inclusion_proof(self, seq: int, size: int) -> tuple[bytes, ...]:
        """Return the path from a record to the root over the first `size` records.

        Raises:
            RecordUnknownError: `seq` is not below `size`, or `size` is beyond the log.
        """
        if not 0 <= seq < size:
            raise RecordUnknownError("want a seq from 0 and below the size")
        with read_transaction(self._engine) as connection:
            return self._hashes(connection, size, inclusion_spans(seq, size))

    def consistency_proof(self, old: int, new: int) -> tuple[bytes, ...]:
        """Return the proof that the first `new` records begin with the first `old`.

        Raises:
            RecordUnknownError: Not 0 < old <= new, or `new` is beyond the log.
        """
        if not 0 < old <= new:
            raise RecordUnknownError("want sizes with 0 < old <= new")
        with read_transaction(self._engine) as connection:
            return self._hashes(connection, new, consistency_spans(old, new))

    def attachment(self, sha256: str) -> bytes:
        """Return a document that an event's body names by its SHA-256, 64 hex digits.

        Raises:
            RecordUnknownError: There is none.
            LogInconsistentError: What is stored under this digest is something else.
        """
        with read_transaction(self._engine) as connection:
            body = store.read_attachment(connection, self.origin, sha256)
        if body is None:
            raise RecordUnknownError("the log holds no attachment with this SHA-256")
        if sha256_hex(body) != sha256:
            raise LogInconsistentError("the attachment's bytes do not hash to the digest that they are kept under")
        return body

    def check_head(self) -> None:
        """Make sure that the next append would find the log whole at its end; for a readiness probe.

        Raises:
            LogForeignError: The log was never created, or is another key's.
            LogInconsistentError: The stored log contradicts its own checkpoint.
            StorageError: The database cannot be read.
        """
        with read_transaction(self._engine) as connection:
            check_ending(connection, self._signer.verifier_key)

    def _extend(self, connection: Connection, ending: Ending, events: tuple[Event, ...]) -> tuple[Receipt, ...]:
        if len(events) > EVENTS_MAX:
            raise RecordInvalidError(f"want at most {EVENTS_MAX} events in one transaction, got {len(events)}")
        entries = self._chain(connection, ending, events)
        store.add_entries(connection, self.origin, entries)
        # From the bytes that the database gives back, not from those it was given: only what is stored gets signed.
        stored = store.read_entries(
            connection, self.origin, after=ending.size - 1, limit=len(entries) + 1, kind=None, actor=None
        )
        leaves = [leaf_hash(entry.body) for entry in stored]
        if leaves != [entry.columns.leaf for entry in entries]:
            raise LogInconsistentError("the database gave back other records than it was given")
        growth = grow(ending, leaves)
        note = sign_checkpoint(Checkpoint(origin=self.origin, size=growth.size, root=growth.root), self._signer)
        store.add_nodes(connection, self.origin, growth.nodes)
        store.add_checkpoint(connection, self.origin, growth.size, note)
        store.move_head(connection, self.origin, store.Head(size=growth.size, leaf=leaves[-1]))
        return tuple(_make_receipt(entry, path, note) for entry, path in zip(entries, growth.paths, strict=True))

    def _chain(self, connection: Connection, ending: Ending, events: tuple[Event, ...]) -> list[store.Entry]:
        # Within one log time never goes backwards, whatever the machine's clock does.
        ts = EpochNs(max(self._clock.now_ns(), ending.ts))
        prev = ending.leaf
        entries: list[store.Entry] = []
        seen: set[str] = set()
        for seq, event in enumerate(events, ending.size):
            place = Place(
                log=self.origin,
                seq=seq,
                prev=prev,
                ts=ts,
                instance=self._instance,
                boot=self._boot,
                schema_sha256=self._catalogue.check(event),
            )
            body = encode_record(event, place)
            for document in event.attachments:
                if len(document) > ATTACHMENT_BYTES_MAX:
                    raise RecordInvalidError(
                        f"want at most {ATTACHMENT_BYTES_MAX} bytes of attachment, got {len(document)}"
                    )
                store.add_attachment(connection, self.origin, document)
            if event.id in seen or store.find_seq(connection, self.origin, event.id) is not None:
                raise DuplicateIDError("the log already holds a record with this event's id")
            seen.add(event.id)
            prev = leaf_hash(body)
            entries.append(store.Entry(body=body, columns=columns_of(parse_record(body), prev)))
        return entries

    def _receipt(self, connection: Connection, seq: int) -> Receipt:
        entry = store.read_entry(connection, self.origin, seq)
        # The smallest checkpoint that covers it is the one of its own transaction, so that the bytes never change.
        note = store.read_checkpoint_covering(connection, self.origin, seq)
        if entry is None or note is None:
            raise RecordUnknownError(f"the log holds no record {seq}")
        size = read_checkpoint(note).size
        return _make_receipt(entry, self._hashes(connection, size, inclusion_spans(seq, size)), note)

    def _hashes(self, connection: Connection, size: int, spans: list[Span]) -> tuple[bytes, ...]:
        head = store.read_head(connection, self.origin)
        if head is None or size > head.size:
            raise RecordUnknownError(f"the log holds fewer than {size} records")
        nodes = store.read_nodes(connection, self.origin, [node for span in spans for node in nodes_of(span)])
        try:
            return tuple(span_hash(span, nodes) for span in spans)
        except KeyError as exc:
            raise LogInconsistentError("a node of the stored tree is missing") from exc


def _make_receipt(entry: store.Entry, path: tuple[bytes, ...], note: bytes) -> Receipt:
    proof = InclusionProof(index=entry.columns.seq, path=path, checkpoint=note)
    return Receipt(seq=entry.columns.seq, record=entry.body, proof=format_proof(proof))
