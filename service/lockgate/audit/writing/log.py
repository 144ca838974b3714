"""The audit log in a database: work, its records, the tree and a signed checkpoint, all in one transaction.

The life of a record: `transact` queues a job. Whoever writes for all who wait takes the write lock, makes sure that the
stored log still is what was signed last, runs each job's work, chains its events behind the last record, reads them
back, computes the new root along two code paths, signs it, and commits all of it together. The checkpoint then goes to
a file outside the database, and only then the receipts leave. Whatever fails before the commit, nothing was written.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Generic, TypeVar
from weakref import WeakSet

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from lockgate.audit import store
from lockgate.audit.errors import AuditError, LogForeignError, NoEventError
from lockgate.audit.formats.checkpoints import Checkpoint
from lockgate.audit.formats.kind_names import GENESIS
from lockgate.audit.formats.notes import Signer, VerifierKey
from lockgate.audit.kinds import CheckedEvent, KindCatalogue, registration
from lockgate.audit.own_events import OwnEvent
from lockgate.audit.reading.reader import LogReader
from lockgate.audit.types import SYSTEM, Actor, Committed, Event, Outcome, Receipt
from lockgate.audit.writing.append_store import AppendStore
from lockgate.audit.writing.appending import BEGINNING, Ending, check_ending
from lockgate.audit.writing.batch import Author, Batch
from lockgate.audit.writing.checkpoint_file import CheckpointFile, CheckpointSync
from lockgate.audit.writing.group_commit import GroupCommit
from lockgate.audit.writing.log_kinds import LogKinds, is_registered
from lockgate.clock import Clock, EpochNs
from lockgate.ids import new_id
from lockgate.observing import step
from lockgate.storage import read_transaction, write_transaction

T = TypeVar("T")


class AuditLog(LogReader):
    """One log, for writing and reading; safe to use from many threads, and by many processes on one database."""

    def __init__(  # noqa: PLR0913 - each argument is one thing a log needs
        self,
        *,
        engine: Engine,
        signer: Signer,
        clock: Clock,
        catalogue: KindCatalogue,
        instance: str,
        checkpoint_file: Path | None = None,
        checkpoint_sync: CheckpointSync = "second",
        former_signer: Signer | None = None,
    ) -> None:
        """Take what the log needs; nothing is read or written yet.

        Args:
            engine: Of `lockgate.storage.open_engine`, with its tables in place.
            signer: Whose key signs the checkpoints; the key's name is the log's origin.
            clock: What the records' times come from.
            catalogue: The kinds that may be written, besides those registered in the log.
            instance: This process's name in its records.
            checkpoint_file: Where the checkpoints go once more, outside the database. Without it a restored backup is
                found only by a process that saw what the backup lacks.
            checkpoint_sync: When that file is given to the disk: once a second, or before each receipt.
            former_signer: The key of before, which signs too while those who verify change over to the new one.
        """
        super().__init__(engine, signer.verifier_key.name)
        self._signers = (signer,) if former_signer is None else (signer, former_signer)
        self._keys = [each.verifier_key for each in self._signers]
        self._clock = clock
        boot = new_id(clock.now_ns())
        self._kinds = LogKinds(catalogue, self.origin)
        self._author = Author(log=self.origin, instance=instance, boot=boot)
        self._file = None if checkpoint_file is None else CheckpointFile(checkpoint_file, checkpoint_sync)
        self._writers: GroupCommit[_Job[Any]] = GroupCommit(self._write)
        self._known: Ending | None = None  # where the log ended when this process last wrote
        _LOGS.add(self)

    @property
    def key(self) -> VerifierKey:
        """The public key that signs its checkpoints."""
        return self._keys[0]

    def create(self) -> None:
        """Begin the log with its genesis record, or make sure that the one that is there is ours.

        Several logs may lie in one database if each but one has a name that continues that of another, as
        `gate.example/audit/production` does `gate.example/audit`; this other one is created first.

        Raises:
            LogForeignError: The database holds a log of this origin under another key, or only logs of others; or there
                was such a log before: the checkpoint file is still there.
            LogInconsistentError: The stored log contradicts what was signed.
            StorageError: The database cannot be written.
        """
        genesis = OwnEvent(
            id=new_id(self._clock.now_ns()),
            kind=GENESIS,
            actor=SYSTEM,
            body={"key": str(self.key)},
        )
        with write_transaction(self._engine) as connection:
            logs = store.read_logs(connection)
            if logs and self.origin not in logs and not any(self.origin.startswith(f"{log}/") for log in logs):
                raise LogForeignError(f"want a database for the log {self.origin!r}, got one of {logs[0]!r}")
            rows = AppendStore(connection, self.origin)
            rows.add_head()
            head = rows.lock_head()
            if head is not None and head.size > 0:
                check_ending(connection, head, self._keys, self._outside())
                return
            if self._file is not None and self._file.newest(self._keys) is not None:
                raise LogForeignError("want no checkpoint file yet for a new log, got one: where is its database?")
            batch = Batch(rows, BEGINNING, self._author, self._clock.now_ns())
            batch.chain((self._kinds.check(genesis),))
            known = batch.sign(self._signers)
        self._keep(known, batch.note)

    def transact(self, work: Callable[[Connection], Outcome[T]]) -> Committed[T]:
        """Do a piece of work and record it, both or neither.

        Args:
            work: Changes the database through the connection it is given and says what to record. It runs while the
                log's write lock is held, perhaps in another thread, so it must be short and must not call the log
                again.

        Returns:
            The work's value and a receipt for each event, in order, durable.

        Raises:
            LogBusyError: Too many writers wait already.
            LogReentrantError: It is called by such work itself.
            NoEventError: The work left no event: a change without a record is refused.
            KindUnknownError: An event's kind is not in the catalogue.
            KindReservedError: An event's kind is one of the log's own (`log.*`).
            RecordInvalidError: An event or attachment breaks its format, schema or size.
            DuplicateIDError: The log already holds an event's id.
            LogForeignError: The log was never created, or is another key's.
            LogBehindError: The stored log lacks records that were signed: a restored backup, say.
            LogInconsistentError: The stored log contradicts what was signed.
            LogSealedError: It goes on in another database.
            StorageError: The database cannot be written.
            Exception: Whatever `work` raises. In each of these cases nothing was written.
            CheckpointFileError: It is written, but not outside the database too, so it is not acknowledged.
        """
        job: _Job[T] = _Job(work)
        with step("audit.append"):
            self._writers.submit(job)
        return job.result()

    def append(self, event: Event) -> Receipt:
        """Record an event that changes nothing else.

        Raises:
            AuditError: As for `transact`.
            StorageError: The database cannot be written.
        """
        checked = self._kinds.check_early(event)  # here, not in the batch: the others need not wait for it
        job: _Job[None] = _Job(None, (event,), checked)
        with step("audit.append"):
            self._writers.submit(job)
        return job.result().receipts[0]

    def register_kind(self, kind: str, schema: bytes, actor: Actor) -> Receipt | None:
        """Let records of a module's own kind be written from now on, in every process; the newest schema counts.

        Args:
            kind: Dotted lower-case words, for example `access.review`.
            schema: The bytes of a JSON Schema file for its bodies; the log keeps them.
            actor: Who registers it.

        Returns:
            The receipt of the `log.kind` record; None if the kind has this schema already.

        Raises:
            KindInvalidError: The name is not a module's to take, or the schema cannot be used.
            AuditError: As for `transact`.
            StorageError: The database cannot be written.
        """
        event = registration(kind, schema, event_id=new_id(self._clock.now_ns()), actor=actor)
        with read_transaction(self._engine) as connection:
            registered = is_registered(connection, self.origin, kind, schema)
        return None if registered else self.append(event)

    def check_head(self) -> None:
        """Make sure that the next append would find the log whole at its end; for a readiness probe.

        Raises:
            LogForeignError: The log was never created, or is another key's.
            LogInconsistentError: The stored log contradicts what was signed.
            CheckpointFileError: The file outside the database cannot be read or written.
            StorageError: The database cannot be read.
        """
        if self._file is not None:
            self._file.settle(sync=True)
        known, outside = self._known, self._outside()  # before the snapshot is taken: later ones are not in it
        with read_transaction(self._engine) as connection:
            check_ending(connection, store.read_head(connection, self.origin), self._keys, outside, known=known)

    def _write(self, take: Callable[[], Sequence["_Job[Any]"]]) -> None:
        jobs: Sequence[_Job[Any]] = ()
        try:
            if self._file is not None:
                self._file.settle()
            with write_transaction(self._engine) as connection:
                rows = AppendStore(connection, self.origin)
                ending = self._find_ending(connection, rows)
                self._kinds.catch_up(connection, ending.size)
                # Within one log time never goes backwards, whatever the machine's clock does.
                ts = EpochNs(max(self._clock.now_ns(), ending.ts))
                batch = Batch(rows, ending, self._author, ts)
                jobs = take()  # not before: who came while we waited for the database is written too
                for job in jobs:
                    self._run(job, connection, rows, batch)
                known = batch.sign(self._signers)
            self._keep(known, batch.note)
            if known is not None and not batch.registers_kinds:
                self._kinds.skip_to(known.size)
        except Exception as exc:  # noqa: BLE001 - each caller is told, in its own thread
            for job in jobs or take():
                job.fail(exc)
        else:
            for job in jobs:
                job.done = True

    def _run(self, job: "_Job[Any]", connection: Connection, rows: AppendStore, batch: Batch) -> None:
        try:
            if job.work is None:
                (event,), checked = job.events, job.checked
                if checked is None or checked.schema_sha256 != self._kinds.schema_sha256(event.kind):
                    checked = self._kinds.check(event)  # not checked yet, or under a schema of before
                job.recorded(batch, batch.chain((checked,)))
                return
            with rows.undone_on_error():
                outcome = job.work(connection)
                checked_events = self._check_events(outcome.events)
                job.value = outcome.value
                job.recorded(batch, batch.chain(checked_events))
        except DBAPIError:
            raise  # the transaction may be gone, and with it the other jobs' changes
        except Exception as exc:  # noqa: BLE001 - this caller's own affair; the other jobs go on
            job.fail(exc)

    def _check_events(self, events: Sequence[Event]) -> list[CheckedEvent]:
        if not events:
            raise NoEventError("want at least one event for work that may have changed the database")
        return [self._kinds.check(event) for event in events]

    def _find_ending(self, connection: Connection, rows: AppendStore) -> Ending:
        head, known = rows.lock_head(), self._known
        is_ours = head is not None and known is not None and (head.size, head.leaf) == (known.size, known.leaf)
        if known is not None and is_ours and not known.sealed and self._knows_the_file(known.size):
            return known  # the tree goes on from what this process signed
        # The write lock is held: nothing is signed meanwhile.
        return check_ending(connection, head, self._keys, self._outside(), known=known)

    def _knows_the_file(self, size: int) -> bool:
        return self._file is None or self._file.has_nothing_beyond(size)

    def _outside(self) -> list[Checkpoint]:
        # The largest that the file outside says any process signed.
        newest = None if self._file is None else self._file.newest(self._keys)
        return [] if newest is None else [newest]

    def _keep(self, known: Ending | None, note: bytes) -> None:
        if known is None:
            return
        self._known = known
        if self._file is not None:
            self._file.write(note)

    def begin_anew(self) -> None:
        """Begin as another process: in the child of a fork, where the threads that held locks are not."""
        self._author = replace(self._author, boot=new_id(self._clock.now_ns()))
        self._writers = GroupCommit(self._write)
        if self._file is not None:
            self._file = CheckpointFile(self._file.path, self._file.sync)


_LOGS: Final[WeakSet[AuditLog]] = WeakSet()


def _begin_anew_in_child() -> None:
    for log in list(_LOGS):
        log.begin_anew()


os.register_at_fork(after_in_child=_begin_anew_in_child)


class _Job(Generic[T]):
    """What one caller wants done, and what became of it."""

    def __init__(
        self,
        work: Callable[[Connection], Outcome[T]] | None,
        events: tuple[Event, ...] = (),
        checked: CheckedEvent | None = None,
    ) -> None:
        self.work = work
        self.events = events
        self.checked = checked  # the one event, where it was checked before it queued
        self.value: Any = None
        self.done = False  # durable, here and outside
        self._batch: Batch | None = None
        self._positions = range(0)
        self._error: Exception | None = None
        self._traceback: TracebackType | None = None

    def recorded(self, batch: Batch, positions: range) -> None:
        """Note where in which batch the events went."""
        self._batch, self._positions = batch, positions

    def fail(self, error: Exception) -> None:
        """Note why nothing came of it; the first reason counts."""
        if self._error is None:
            self._error, self._traceback = error, error.__traceback__

    def result(self) -> Committed[T]:
        """Return what was made durable, or raise why nothing was. Called by the caller's own thread.

        The receipts are put together here, so that no other writer waits for it.
        """
        if self._error is not None:
            # One error may be that of many callers: none of them shall see where the others were.
            raise self._error.with_traceback(self._traceback)
        if self._batch is None or not self.done:
            raise AuditError("the writer was stopped in the middle; whether the record was written is not known")
        batch = self._batch
        return Committed(value=self.value, receipts=tuple(map(batch.receipt, self._positions)))
