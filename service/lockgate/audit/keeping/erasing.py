"""Erasing attachments: their bytes go, a `log.erase` record says so, and no record changes.

Personal values, policy inputs and evidence are attachments, which records name by SHA-256 alone. Without its bytes a
name says nothing, the chain and the tree stay as they were signed, and the verifier knows that the absence is meant.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine

from lockgate.audit import retention_store, store
from lockgate.audit.errors import LogForeignError, RetentionRefusedError
from lockgate.audit.formats.kind_names import ANCHOR, ERASE, KIND
from lockgate.audit.formats.records import attachments_of, parse_record
from lockgate.audit.own_events import OwnEvent
from lockgate.audit.types import Actor, Outcome, Receipt
from lockgate.audit.writing.log import AuditLog
from lockgate.digests import Sha256Hex
from lockgate.storage import clear_remnants

ERASED_AT_ONCE_MAX: Final = 64  # the schema's; as many as one record can have attachments
_NEEDED_BY: Final = (ANCHOR, KIND)  # evidence about the log itself, and what its records mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """What was erased."""

    erased: tuple[Sha256Hex, ...]  # now
    erased_before: tuple[Sha256Hex, ...]
    receipt: Receipt | None  # of the log.erase record; None if nothing was left to erase
    cleared: bool  # whether the database's own files hold nothing of it any more; see `clear_remnants`


class _NothingLeftError(Exception):
    """Everything was erased before. Never leaves this file."""


def erase(engine: Engine, log: AuditLog, digests: Iterable[Sha256Hex], *, reason: str, actor: Actor) -> Erasure:
    """Delete attachments for good, and record it; both or neither.

    Asking again for what was erased before is answered the same, and recorded only if something was left to erase.
    Copies in exports and backups are beyond the log's reach.

    Args:
        engine: The log's database; on PostgreSQL as the tables' owner, since the service's role deletes nothing.
        log: The log.
        digests: SHA-256 of each attachment, 64 hex digits.
        reason: Why; it stays in the log for ever, so no personal data.
        actor: Who does it.

    Raises:
        RetentionRefusedError: One is not there, so that its absence cannot be made good by erasing it; or the log
            itself needs it; or there are none or too many.
        AuditError: It could not be recorded, so nothing was deleted.
        StorageError: The database failed.
    """
    wanted = sorted(set(digests))
    if not 0 < len(wanted) <= ERASED_AT_ONCE_MAX:
        raise RetentionRefusedError(f"want 1 to {ERASED_AT_ONCE_MAX} attachments to erase, got {len(wanted)}")

    def work(connection: Connection) -> Outcome[list[Sha256Hex]]:
        head = store.read_head(connection, log.origin)
        if head is None:
            raise LogForeignError(f"the database holds no log {log.origin!r}")
        there = _check_erasable(connection, log.origin, wanted, head.size)
        if not there:
            raise _NothingLeftError
        retention_store.erase_attachments(connection, log.origin, there)
        body = {"attachments": [f"sha256:{sha256}" for sha256 in there], "reason": reason}
        return Outcome(value=there, events=(OwnEvent(id=str(uuid.uuid4()), kind=ERASE, actor=actor, body=body),))

    try:
        committed = log.transact(work)
    except _NothingLeftError:  # the remnants are looked after all the same: last time somebody may have been reading
        return Erasure(erased=(), erased_before=tuple(wanted), receipt=None, cleared=clear_remnants(engine))
    return Erasure(
        erased=tuple(committed.value),
        erased_before=tuple(sha256 for sha256 in wanted if sha256 not in committed.value),
        receipt=committed.receipts[0],
        cleared=clear_remnants(engine),
    )


def _check_erasable(connection: Connection, log: str, wanted: list[Sha256Hex], size: int) -> list[Sha256Hex]:
    kept = retention_store.read_kept(connection, log, wanted)
    unknown = set(wanted) - kept.keys() - retention_store.read_erased(connection, log, wanted)
    if unknown:
        raise RetentionRefusedError(
            f"want attachments that the log keeps, got sha256:{min(unknown)}, which it does not"
        )
    for sha256, seq in kept.items():
        if seq >= size:  # its record is of this very transaction: what kind it is cannot be read yet
            raise RetentionRefusedError(f"sha256:{sha256} belongs to a record that is being written; try again")
    for kind in _NEEDED_BY:
        # Whatever newer records name the same bytes too, so all of the kind are looked at.
        for _, body in retention_store.read_bodies_of_kind(connection, log, kind):
            for sha256 in kept:
                if f"sha256:{sha256}".encode() in body and sha256 in attachments_of(parse_record(body)):
                    raise RetentionRefusedError(
                        f"sha256:{sha256} belongs to a {kind} record: the log needs it to be understood"
                    )
    return sorted(kept)
