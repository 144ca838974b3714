"""Pruning: the oldest records are deleted after they were archived, and a `log.prune` record says so.

The tree does not change: the hashes of its complete subtrees of 256 leaves and more stay, and with them every later
root, receipt and proof. The archive and what is left, each by itself, still verify.

Source: C2SP tlog-tiles, "Pruning" (the minimum index).
"""

import hashlib
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine

from lockgate.audit import retention_store, store
from lockgate.audit.errors import ArchiveInvalidError, LogForeignError, LogInconsistentError, RetentionRefusedError
from lockgate.audit.formats.key_history import KEY_KINDS, policy_of
from lockgate.audit.formats.kind_names import PRUNE
from lockgate.audit.formats.log_policy import LogPolicy
from lockgate.audit.formats.merkle import nodes_of, span_hash
from lockgate.audit.formats.notes import VerifierKey
from lockgate.audit.formats.records import parse_record
from lockgate.audit.kinds import registration
from lockgate.audit.own_events import OwnEvent
from lockgate.audit.retention_store import STEP
from lockgate.audit.store import Head
from lockgate.audit.types import Actor, Event, Outcome, Receipt
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.verifier import Trust, trust_in_keys, verify_export
from lockgate.audit.writing.log import AuditLog
from lockgate.audit.writing.log_kinds import read_registrations
from lockgate.digests import Sha256Hex
from lockgate.storage import clear_remnants, read_transaction

PRUNED_AT_ONCE_MAX: Final = 64 * STEP  # in one transaction: other writers wait for it, for about a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the application that writes the log still needs of it."""

    records: tuple[str, ...] = ()  # by id
    attachments: tuple[Sha256Hex, ...] = ()
    needed_by: str = "something open"  # for the message of a refusal: what needs them, and how that ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning:
    """What was pruned."""

    before: int  # the log now begins here
    receipts: tuple[Receipt, ...]  # of the log.prune records, one for each transaction
    archive_sha256: Sha256Hex  # of the archive's records
    cleared: bool  # whether the database's own files hold nothing of it any more; see `clear_remnants`


def prune(  # noqa: PLR0913 - each argument is one thing that pruning depends on
    engine: Engine,
    log: AuditLog,
    archive: Path,
    *,
    before: int,
    reason: str,
    actor: Actor,
    keys: Sequence[VerifierKey],
    needed: Callable[[Connection], Needs],
) -> Pruning:
    """Delete the records before a position, with the attachments that no later record names.

    The steps:
      (1) `before` is a multiple of 256 within what is left of the log.
      (2) The archive is valid under the log's keys and reaches `before`.
      (3) The archive's records are byte for byte those that shall go.
    Then, up to `PRUNED_AT_ONCE_MAX` records at a time, each in one transaction:
      (4) Nothing that is still needed lies before the new beginning.
      (5) The act is recorded, the log's beginning is moved, and the rows before it are deleted.

    If this is stopped between two transactions, the log is whole, and pruning again goes on from there.

    Args:
        engine: The log's database; on PostgreSQL as the tables' owner, since the service's role deletes nothing.
        log: The log.
        archive: An export of this log; who needs an old record will look there, so it must be kept.
        before: The first position that stays.
        reason: Why; it stays in the log, so no personal data.
        actor: Who does it.
        keys: The log's public keys, for where the records that name them were pruned.
        needed: Tells, in the transaction, what the application still needs.

    Raises:
        RetentionRefusedError: Step 1 or 4 fails.
        ArchiveInvalidError: Step 2 or 3 fails.
        ExportError: The archive cannot be read.
        AuditError: The act could not be recorded, so nothing was deleted.
        StorageError: The database failed.
    """
    with read_transaction(engine) as connection:
        # (1) The new beginning is a possible one.
        first = _check_beginning(_head(connection, log.origin), before)
        policy = _policy(connection, log.origin, keys)
    # (2) The archive is valid and long enough. Outside a transaction: it takes its time.
    folder = ExportFolder(archive)
    _check_archive(folder, before, policy)
    with (
        read_transaction(engine) as connection,
        closing(retention_store.stream_bodies(connection, log.origin, first, before)) as stored,
    ):
        # (3) It holds what shall go.
        archive_sha256 = _compare(folder, stored, before)
    receipts: list[Receipt] = []
    for end in [*range(first + PRUNED_AT_ONCE_MAX, before, PRUNED_AT_ONCE_MAX), before]:

        def work(connection: Connection, end: int = end) -> Outcome[None]:
            _check_beginning(_head(connection, log.origin), end)  # another process may have been faster
            # (4) Nothing needed goes.
            _check_unneeded(connection, log.origin, needed(connection), end)
            # (5) Recorded and deleted.
            body = {**_facts(connection, log.origin, end), "archive": f"sha256:{archive_sha256}", "reason": reason}
            kept = _registered_again(connection, log.origin, end, actor)
            retention_store.delete_before(connection, log.origin, end)
            return Outcome(
                value=None, events=(*kept, OwnEvent(id=str(uuid.uuid4()), kind=PRUNE, actor=actor, body=body))
            )

        receipts.append(log.transact(work).receipts[-1])
    return Pruning(
        before=before, receipts=tuple(receipts), archive_sha256=archive_sha256, cleared=clear_remnants(engine)
    )


def _head(connection: Connection, log: str) -> Head:
    head = store.read_head(connection, log)
    if head is None:
        raise LogForeignError(f"the database holds no log {log!r}")
    return head


def _check_beginning(head: Head, before: int) -> int:
    if before % STEP or not head.first_seq < before < head.size:
        raise RetentionRefusedError(
            f"want a multiple of {STEP} above {head.first_seq}, where the log begins, and below {head.size}, "
            f"its size, got {before}"
        )
    return head.first_seq


def _policy(connection: Connection, log: str, keys: Sequence[VerifierKey]) -> LogPolicy:
    # The archive's older checkpoints may be by keys of before, which the log names. To take the log's word is enough:
    # the archive's records are compared with its own, byte for byte.
    named = [row for kind in KEY_KINDS for row in retention_store.read_bodies_of_kind(connection, log, kind)]
    history = policy_of(parse_record(body) for _, body in sorted(named))
    return history if history.logs else trust_in_keys(keys)


def _check_archive(folder: ExportFolder, before: int, policy: LogPolicy) -> None:
    verification = verify_export(folder, Trust(policy=policy))
    if verification.verdict != "valid":
        codes = ", ".join(problem.code for problem in verification.problems)
        raise ArchiveInvalidError(f"want an archive that is valid, got one that is {verification.verdict}: {codes}")
    if verification.checkpoint_size is None or verification.checkpoint_size < before:
        raise ArchiveInvalidError(f"want an archive of at least {before} records, got {verification.checkpoint_size}")


def _compare(folder: ExportFolder, stored: Iterator[tuple[int, bytes]], before: int) -> Sha256Hex:
    """Make sure that the archive holds the stored records; return the SHA-256 of its records' file."""
    digest = hashlib.sha256()
    wanted = next(stored, None)
    start = 0
    for place, (body, _) in enumerate(folder.records()):
        digest.update(body + b"\n")
        if place == 0:
            start = parse_record(body)["seq"]  # the archive of a pruned log begins later
        if wanted is not None and wanted[0] == start + place:
            if wanted[1] != body:
                raise ArchiveInvalidError(f"record {wanted[0]} of the archive is not the one that the log stores")
            wanted = next(stored, None)
    if wanted is not None:
        raise ArchiveInvalidError(f"want an archive of each record up to {before}, got none of record {wanted[0]}")
    return Sha256Hex(digest.hexdigest())


def _check_unneeded(connection: Connection, log: str, needs: Needs, before: int) -> None:
    oldest = retention_store.oldest_of(connection, log, records=needs.records, attachments=needs.attachments)
    if oldest is None or oldest >= before:
        return
    possible = oldest - oldest % STEP
    until_then = (
        f"; until then want at most {possible}, got {before}" if possible > _head(connection, log).first_seq else ""
    )
    raise RetentionRefusedError(f"record {oldest} is still needed by {needs.needed_by}{until_then}")


def _facts(connection: Connection, log: str, before: int) -> dict[str, int | str]:
    nodes = nodes_of((0, before))
    hashes = store.read_nodes(connection, log, nodes)
    last = store.read_entry(connection, log, before - 1)
    if last is None or hashes.keys() != set(nodes):
        raise LogInconsistentError(f"want record {before - 1} and the tree over the records before it stored")
    root = span_hash((0, before), hashes)
    return {"before": before, "root": f"sha256:{root.hex()}", "leaf": f"sha256:{last.columns.leaf.hex()}"}


def _registered_again(connection: Connection, log: str, before: int, actor: Actor) -> list[Event]:
    """Register again, with the newest schema, the kinds whose newest registration goes: their records go on."""
    newest = {made.kind: made for made in read_registrations(connection, log)}
    events = []
    for made in newest.values():
        schema = store.read_attachment(connection, log, made.schema_sha256) if made.seq < before else None
        if schema is not None:
            events.append(registration(made.kind, schema, event_id=str(uuid.uuid4()), actor=actor))
    return events
