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
from lockgate.audit.errors import (
    DuplicateIDError,
    LogForeignError,
    LogInconsistentError,
    NoEventError,
    RecordInvalidError,
)
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.merkle import leaf_hash
from lockgate.audit.formats.notes import Signer
from lockgate.audit.formats.records import ATTACHMENT_BYTES_MAX, GENESIS, Place, columns_of, encode_record, parse_record
from lockgate.audit.kinds import KindCatalogue
from lockgate.audit.reading import LogReader, make_receipt
from lockgate.audit.types import Actor, Committed, Event, Outcome, Receipt
from lockgate.clock import Clock, EpochNs
from lockgate.ids import new_id
from lockgate.storage import read_transaction, write_transaction

T = TypeVar("T")

EVENTS_MAX: Final = 64  # in one transaction; the gate writes at most fifty, when promotions run out


class AuditLog(LogReader):
    """One log, for writing and reading; safe to use from many threads, and by many processes on one database."""

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
        super().__init__(engine, signer.verifier_key.name)
        self._signer = signer
        self._clock = clock
        self._catalogue = catalogue
        self._instance = instance
        self._boot = new_id(clock.now_ns())

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
        return tuple(make_receipt(entry, path, note) for entry, path in zip(entries, growth.paths, strict=True))

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
