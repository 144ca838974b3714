"""The log's key, changed or given up: both are records, so that an auditor finds them in the log itself.

A rotation is written under both keys: whoever knows the old one sees that it named the new one. A compromise is
written under a later key, and says up to which size the lost key's checkpoints count. How big that size is, nobody
inside can tell: it is the newest one that somebody outside attested while the key was still good (`attestations`).
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine

from lockgate.audit import store
from lockgate.audit.errors import AuditError, KeyChangeError, LogForeignError, NoteMalformedError
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.cosignatures import verify_cosignatures
from lockgate.audit.formats.kind_names import ANCHOR, GENESIS, KEY_COMPROMISE, KEY_ROTATE
from lockgate.audit.formats.log_policy import LogPolicy
from lockgate.audit.formats.notes import VerifierKey
from lockgate.audit.formats.records import parse_record
from lockgate.audit.formats.timestamps import Timestamp, TimestampTrust, verify_timestamp
from lockgate.audit.keeping import tending_store
from lockgate.audit.own_events import OwnEvent
from lockgate.audit.reading.queries import each_record, find_records
from lockgate.audit.types import Actor, Outcome, Receipt, RecordFilter
from lockgate.audit.writing.log import AuditLog
from lockgate.clock import EpochNs
from lockgate.ids import new_id
from lockgate.storage import read_transaction

ATTESTATIONS_MAX: Final = 1000  # of each sort looked at, the newest: six weeks of hourly anchors


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHistory:
    """What the log's own records say of its keys, as text forms."""

    current: str | None  # the key that signs; None if the records that name it were pruned
    former: tuple[str, ...]  # those that signed before it, the oldest first
    compromised: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """Somebody outside saw the log at a size; verified."""

    size: int
    by: str  # for people: which witness, which record
    time: EpochNs  # by the outsider's clock


def rotate_key(log: AuditLog, old: VerifierKey, new: VerifierKey, actor: Actor, now: EpochNs) -> Receipt | None:
    """Record that another key signs from here on.

    Args:
        log: Opened with `new` as its signer and `old` as its former one, so that both sign this record's checkpoint.
        old: The key that signed until now.
        new: The key that signs from now on.
        actor: Who does it.
        now: The time now.

    Returns:
        The record's receipt; None if this very change was the last one recorded.

    Raises:
        KeyChangeError: `old` is not the key that signs, or `new` is another log's or signed before.
        AuditError: It could not be recorded.
        StorageError: The database failed.
    """
    if new.name != old.name:
        raise KeyChangeError(f"want a new key of the name {old.name!r}, which is the log's for ever")

    def work(connection: Connection) -> Outcome[None]:
        history = read_key_history(connection, log.origin)
        if history.current == str(new) and history.former[-1:] == (str(old),):
            raise _DoneBeforeError
        if history.current not in {str(old), None}:
            raise KeyChangeError(f"want the log's present key {history.current} as the old one, got {old}")
        if str(new) == str(old) or str(new) in history.former:
            raise KeyChangeError("want a new key that never signed for this log")
        body = {"old_key": str(old), "new_key": str(new)}
        return Outcome(value=None, events=(OwnEvent(id=new_id(now), kind=KEY_ROTATE, actor=actor, body=body),))

    try:
        return log.transact(work).receipts[0]
    except _DoneBeforeError:
        return None


def record_compromise(  # noqa: PLR0913 - the record's fields, and where it goes
    log: AuditLog,
    keys: Sequence[VerifierKey],
    lost: VerifierKey,
    trusted_size: int,
    *,
    reason: str,
    actor: Actor,
    now: EpochNs,
) -> Receipt:
    """Record that a key is in the wrong hands, and up to which size its checkpoints count.

    Args:
        log: The log, under a key that is in good hands.
        keys: The keys that `log` signs with.
        lost: The key.
        trusted_size: Its checkpoints over more records count for nothing.
        reason: What happened, for people.
        actor: Who says so.
        now: The time now.

    Raises:
        KeyChangeError: The log still signs with this key, or never did, or is smaller than `trusted_size`.
        AuditError: It could not be recorded.
        StorageError: The database failed.
    """
    if lost in keys:
        raise KeyChangeError("want the log under a new key first: nobody would believe a record that this one signs")

    def work(connection: Connection) -> Outcome[None]:
        history = read_key_history(connection, log.origin)
        if str(lost) == history.current:
            raise KeyChangeError("want the key rotated first, with 'lockgate audit rotate-key'")
        if history.current is not None and str(lost) not in history.former:
            raise KeyChangeError("want a key that signed for this log")
        head = store.read_head(connection, log.origin)
        if head is None or trusted_size > head.size:
            raise KeyChangeError(f"want a trusted size of at most the log's, got {trusted_size}")
        body = {"key": str(lost), "trusted_size": trusted_size, "reason": reason}
        return Outcome(value=None, events=(OwnEvent(id=new_id(now), kind=KEY_COMPROMISE, actor=actor, body=body),))

    return log.transact(work).receipts[0]


def read_key_history(connection: Connection, log: str) -> KeyHistory:
    """Return what the log says of its keys."""
    keys: list[str] = []
    for kind, fields in ((GENESIS, ["key"]), (KEY_ROTATE, ["old_key", "new_key"])):
        for record in each_record(connection, log, RecordFilter(kind=kind)):
            body = parse_record(record.body)["body"]
            keys += [body[field] for field in fields]
    chain = [key for key, _ in itertools.groupby(keys)]  # each rotation repeats the key before
    compromised = [
        parse_record(record.body)["body"]["key"]
        for record in each_record(connection, log, RecordFilter(kind=KEY_COMPROMISE))
    ]
    return KeyHistory(
        current=chain[-1] if chain else None, former=tuple(chain[:-1]), compromised=tuple(dict.fromkeys(compromised))
    )


def newest_attestation(
    engine: Engine, log: str, policy: LogPolicy | None, trust: TimestampTrust | None, before: EpochNs
) -> Attestation | None:
    """Return the largest size of the log that somebody outside attested before a time.

    What a witness or an authority said is verified again here, under keys that do not come from the log. Sigstore
    bundles are not looked at.

    Args:
        engine: The log's database.
        log: The log's origin.
        policy: Which witnesses count; None for none.
        trust: Which time-stamping authorities count; None for none.
        before: Only what was attested before; the time at which the key was last in good hands.

    Raises:
        LogForeignError: The database holds no such log.
        StorageError: The database cannot be read.
    """
    with read_transaction(engine) as connection:
        if store.read_head(connection, log) is None:
            raise LogForeignError(f"the database holds no log {log!r}")
        found = itertools.chain(
            _cosigned(connection, log, policy) if policy else (), _anchored(connection, log, trust) if trust else ()
        )
        return max(
            (each for each in found if each.time < before), key=lambda attestation: attestation.size, default=None
        )


class _DoneBeforeError(Exception):
    """This very change was recorded. Never leaves this file."""


def _cosigned(connection: Connection, log: str, policy: LogPolicy) -> Iterator[Attestation]:
    names = {witness.key: witness.name for witness in policy.witnesses}
    for note in tending_store.read_cosigned(connection, log, ATTESTATIONS_MAX):
        try:
            cosignatures = verify_cosignatures(note, names)
        except AuditError:
            continue  # not theirs: then nobody attested it
        if _is_ours(connection, log, note):
            for one in cosignatures:
                yield Attestation(size=read_checkpoint(note).size, by=f"witness {names[one.key]}", time=one.time)


def _anchored(connection: Connection, log: str, trust: TimestampTrust) -> Iterator[Attestation]:
    wanted = RecordFilter(kind=ANCHOR)
    for anchor in find_records(connection, log, wanted, after=None, limit=ATTESTATIONS_MAX, newest_first=True):
        body = parse_record(anchor.body)["body"]
        note, token = (
            store.read_attachment(connection, log, body[field].removeprefix("sha256:"))
            for field in ("checkpoint", "evidence")
        )
        if body["type"] != "rfc3161" or note is None or token is None:
            continue
        verified = verify_timestamp(token, note, trust)
        if isinstance(verified, Timestamp) and _is_ours(connection, log, note):
            yield Attestation(
                size=read_checkpoint(note).size, by=f"the timestamp in record {anchor.seq}", time=verified.time
            )


def _is_ours(connection: Connection, log: str, note: bytes) -> bool:
    """Tell whether what was attested is the checkpoint that this log keeps, not one of a fork."""
    try:
        checkpoint = read_checkpoint(note)
    except NoteMalformedError:
        return False
    kept = tending_store.read_checkpoint_of_size(connection, log, checkpoint.size)
    return kept is not None and read_checkpoint(kept) == checkpoint
