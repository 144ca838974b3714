"""Putting back what a restored backup lacks, from an export: records byte for byte, and then one that says so.

A log that is shorter than what it signed refuses to grow (`audit.log_behind`): what it signed next would contradict
what it signed before. The one way on is to have the missing records again. Nothing here can make up for an export that
does not reach far enough, or make two histories one: then the log has ended, and stays as evidence beside a new one.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from lockgate.audit import retention_store, store
from lockgate.audit.errors import LogForeignError, NothingMissingError, RecoveryError
from lockgate.audit.formats.checkpoints import Checkpoint, open_checkpoint, read_checkpoint
from lockgate.audit.formats.kind_names import ERASE, RECOVER
from lockgate.audit.formats.log_policy import LogPolicy
from lockgate.audit.formats.merkle import leaf_hash, span_hash
from lockgate.audit.formats.notes import VerifierKey
from lockgate.audit.formats.records import attachments_of, columns_of, parse_record, prev_of
from lockgate.audit.keeping.log_writer import LogWriter, record_behind
from lockgate.audit.store import Entry, Head
from lockgate.audit.types import Actor
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.verifier import Trust, verify_export
from lockgate.audit.writing.append_store import AppendStore
from lockgate.audit.writing.appending import BEGINNING, Ending, Growth, check_ending, grow
from lockgate.audit.writing.checkpoint_file import CheckpointFile
from lockgate.clock import parse_timestamp
from lockgate.digests import Sha256Hex, sha256_hex
from lockgate.storage import clear_remnants, write_transaction

STEP_RECORDS: Final = 256  # put back at once: 8 MiB of the largest


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What was put back."""

    from_size: int  # how many records the log held
    to_size: int  # how many it held then; the record that says so comes behind
    seq: int  # of that record
    kinds: Mapping[str, int]  # how many records of each kind were put back


def recover_log(writer: LogWriter, folder: ExportFolder, policy: LogPolicy, *, reason: str, actor: Actor) -> Recovery:
    """Put back the records that the log lacks and an export has, and record it; all of it in one transaction.

    The steps:
      (1) The export is whole and signed by keys of the log, up to and with the newest checkpoint of the file outside
          the database.
      (2) The database holds the beginning of the same log, whole at its end, or nothing at all.
      (3) The rest is put back. Its records follow each other, and its roots are the signed ones.
      (4) What was erased since is erased again; what was pruned since stays.
      (5) The log is what an append wants, and begins with everything that was signed.

    Args:
        writer: The log; no other process writes to it meanwhile, since all refuse to.
        folder: The export.
        policy: The log's keys, those of the past too.
        reason: What happened, for people; it stays in the log for ever.
        actor: Who does it.

    Raises:
        NothingMissingError: The log lacks nothing that the export has.
        RecoveryError: Step 1 or 3 fails.
        ExportError: The export cannot be read.
        LogForeignError: The database holds another log, or this one under a key that is not known.
        LogInconsistentError: Step 2 or 5 fails: other damage than a missing end, which no export mends.
        CheckpointFileError: The file cannot be read; or it cannot be written, and then the rest is done.
        StorageError: The database failed.
    """
    file = None if writer.checkpoint_file is None else CheckpointFile(writer.checkpoint_file)
    known = _keys(writer, policy)
    signed = None if file is None else file.newest(known)
    size = _check_export(folder, policy, writer.origin)
    # Patient: to pass by the records that the log has, in a large export, takes minutes in which nothing is written.
    with write_transaction(writer.engine, patient=True) as connection:
        rows = AppendStore(connection, writer.origin)
        ending = _find_ending(connection, rows, writer.origin, known)
        _check_reach(size, ending, signed)
        put_back = _PutBack(connection, rows, folder, known, ending)
        put_back.run()
        whole = check_ending(connection, rows.lock_head(), writer.keys, () if signed is None else [signed])
        body = {"from_size": ending.size, "to_size": whole.size, "reason": reason}
        batch, seq = record_behind(whole, rows, writer, kind=RECOVER, actor=actor, body=body)
    if put_back.erased:
        clear_remnants(writer.engine)
    if file is not None:
        file.write(batch.note)
    return Recovery(from_size=ending.size, to_size=whole.size, seq=seq, kinds=dict(put_back.kinds))


def _keys(writer: LogWriter, policy: LogPolicy) -> list[VerifierKey]:
    others = [log.key for log in policy.logs if log.key.name == writer.origin]
    return list(dict.fromkeys([*writer.keys, *others]))


def _check_export(folder: ExportFolder, policy: LogPolicy, origin: str) -> int:
    """Return the size of an export that is whole and the log's: most of step (1)."""
    newest = read_checkpoint(folder.newest_checkpoint())
    if newest.origin != origin:
        raise RecoveryError(f"want an export of {origin!r}, got one of {newest.origin[:80]!r}")
    verification = verify_export(folder, Trust(policy=policy))
    if verification.integrity != "valid" or verification.completeness == "tampered":
        problem = verification.problems[0].detail if verification.problems else "it cannot be verified"
        raise RecoveryError(f"want an export that verifies as valid, got {verification.integrity}: {problem}")
    return newest.size


def _check_reach(size: int, ending: Ending, signed: Checkpoint | None) -> None:
    # (1) Long enough, and longer than what is there.
    signed_size = 0 if signed is None else signed.size
    if max(size, signed_size) <= ending.size:
        raise NothingMissingError(f"the log lacks nothing that the export has: it holds {ending.size} records")
    if size < signed_size:
        raise RecoveryError(
            f"want an export of at least the {signed_size} records that were signed, got one of {size}; "
            "if there is none, this log has ended: keep it as evidence, and begin another in a new database"
        )


def _find_ending(connection: Connection, rows: AppendStore, log: str, keys: Sequence[VerifierKey]) -> Ending:
    # (2) The beginning of this log, or nothing.
    logs = store.read_logs(connection)
    if logs and log not in logs and not any(log.startswith(f"{name}/") or name.startswith(f"{log}/") for name in logs):
        raise LogForeignError(f"want a database for the log {log!r}, got one of {logs[0]!r}")
    rows.add_head()
    head = rows.lock_head()
    if head is not None and head.size == 0:
        return BEGINNING
    return check_ending(connection, head, keys)


class _PutBack:
    """Steps (3) and (4): the rest of an export on its way into the database."""

    def __init__(
        self,
        connection: Connection,
        rows: AppendStore,
        folder: ExportFolder,
        keys: Sequence[VerifierKey],
        ending: Ending,
    ) -> None:
        self.kinds: Counter[str] = Counter()
        self.erased = False
        self._connection = connection
        self._rows = rows
        self._folder = folder
        self._keys = keys
        self._log = keys[0].name
        self._ending = ending
        self._notes = self._checkpoints_beyond(ending.size)
        self._note = next(self._notes, None)

    def run(self) -> None:
        missing = self._records_beyond(self._ending.size)
        while step := list(itertools.islice(missing, STEP_RECORDS)):
            self._take(step)
        if self._note is not None:
            raise RecoveryError("the export changed while it was read")
        self._rows.move_head(Head(size=self._ending.size, leaf=self._ending.leaf))

    def _records_beyond(self, size: int) -> Iterator[tuple[bytes, dict[str, Any]]]:
        pruned = self._folder.pruned()
        first = 0 if pruned is None else pruned.before
        if first > size:
            raise RecoveryError(f"want an export that begins at record {size} or before, got one from {first} on")
        for body, _ in itertools.islice(self._folder.records(), size - first, None):
            yield body, parse_record(body)

    def _checkpoints_beyond(self, size: int) -> Iterator[bytes]:
        return (note for note in self._folder.checkpoints() if read_checkpoint(note).size > size)

    def _take(self, step: Sequence[tuple[bytes, dict[str, Any]]]) -> None:
        before, entries = self._ending, []
        leaf = before.leaf
        for seq, (body, record) in enumerate(step, before.size):
            if record["seq"] != seq or prev_of(record) != leaf:
                raise RecoveryError(
                    f"record {seq} of the export does not follow the log's: the log went on another way"
                )
            leaf = leaf_hash(body)
            entries.append(Entry(body=body, columns=columns_of(record, leaf)))
        growth = grow(before, [entry.columns.leaf for entry in entries])
        self._rows.add_entries(entries)
        self._rows.add_nodes(growth.nodes)
        self._add_checkpoints(growth)
        for _, record in step:
            self._bring_attachments(record)
            self.kinds[record["kind"]] += 1
        self._ending = Ending(
            size=growth.size,
            leaf=leaf,
            ts=parse_timestamp(step[-1][1]["ts"]),
            root=growth.root,
            edge=growth.edge(),
        )

    def _add_checkpoints(self, growth: Growth) -> None:
        # Signed and right a second time: the export lay in somebody's hands while it was verified.
        while self._note is not None and (checkpoint := open_checkpoint(self._note, self._keys)).size <= growth.size:
            if span_hash((0, checkpoint.size), growth.hashes) != checkpoint.root:
                raise RecoveryError(f"the root over {checkpoint.size} records is not the signed one: another history")
            self._rows.add_checkpoint(checkpoint.size, self._note)
            self._note = next(self._notes, None)

    def _bring_attachments(self, record: Mapping[str, Any]) -> None:
        for sha256 in attachments_of(record):
            document = self._folder.attachment(sha256)
            if document is not None:  # else it was erased: that was verified
                if sha256_hex(document) != sha256:
                    raise RecoveryError("the export changed while it was read")
                self._rows.keep_attachment(document, record["seq"])
        if record["kind"] == ERASE:
            digests = [Sha256Hex(name.removeprefix("sha256:")) for name in record["body"]["attachments"]]
            retention_store.erase_attachments(self._connection, self._log, digests)
            self.erased = True
