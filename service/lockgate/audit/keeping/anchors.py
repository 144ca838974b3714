"""Anchors: somebody outside attests a checkpoint of the log, and the log records the attestation (`log.anchor`).

An anchor says that the log had its first `size` records, these and no others, at a time by somebody else's clock. What
to anchor is derived from the log itself, its newest checkpoint and its newest `log.anchor`, so a failed attempt loses
nothing: the next one anchors at least as much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal, TypeAlias

from sqlalchemy import Engine

from lockgate.audit.errors import AnchorError, AuditError
from lockgate.audit.formats.checkpoints import Checkpoint, open_checkpoint, read_checkpoint
from lockgate.audit.formats.kind_names import ANCHOR
from lockgate.audit.formats.notes import VerifierKey
from lockgate.audit.formats.records import parse_record
from lockgate.audit.formats.timestamps import (
    TOKEN_BYTES_MAX,
    Timestamp,
    TimestampRefusal,
    TimestampRefusalCode,
    TimestampTrust,
    make_timestamp_request,
    open_timestamp_response,
)
from lockgate.audit.keeping import tending_store
from lockgate.audit.own_events import OwnEvent
from lockgate.audit.reading.reader import LogReader
from lockgate.audit.types import Actor, RecordFilter
from lockgate.clock import NS_PER_S, EpochNs, format_timestamp, parse_timestamp
from lockgate.digests import sha256_hex
from lockgate.ids import new_id
from lockgate.outbound import OutboundError, OutboundRequest, exchange
from lockgate.storage import read_transaction

TIMEOUT_S: Final = 10.0  # for one exchange with an authority; the slow public ones take two seconds
CLOCK_SKEW_NS: Final = 10 * NS_PER_S  # writers on several machines; clocks that are kept differ by far less

_TYPES: Final = 2  # of anchors
_ANCHORS_LOOKED_AT: Final = 32  # a day of hourly ones of another type; further back, one is old anyway

AnchorType: TypeAlias = Literal["rfc3161", "sigstore"]
AnchorRefusalCode: TypeAlias = (
    TimestampRefusalCode
    | Literal[
        "audit.authority_unreachable",  # no whole answer in time
        "audit.authority_unavailable",  # another status than 200
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampAuthorities:
    """Whom to ask for timestamps, and whose count."""

    urls: tuple[str, ...]  # the preferred one first; the others are asked when it fails
    trust: TimestampTrust


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorRefusal:
    """Why there is no anchor of one authority."""

    url: str
    code: AnchorRefusalCode
    detail: str


def is_young(ts: EpochNs, interval_ns: int, now: EpochNs) -> bool:
    """Tell whether a record is younger than an interval.

    One that lies in the future is not: the clock had run ahead when it was written, and what waited for the clock to
    catch up would wait in silence, for years perhaps.

    Args:
        ts: The record's time.
        interval_ns: How old it may become.
        now: The time now.
    """
    return -CLOCK_SKEW_NS <= now - ts < interval_ns


def due_checkpoint(log: LogReader, anchor_type: AnchorType, interval_ns: int, now: EpochNs) -> bytes | None:
    """Return the checkpoint that is to be anchored now, exact bytes.

    Args:
        log: The log.
        anchor_type: By whom: each type has its own turn.
        interval_ns: How old the newest anchor of this type may become.
        now: The time now.

    Returns:
        None if that anchor is younger than that and not in the future, or nothing but records of anchors came since.

    Raises:
        RecordUnknownError: The log was never created.
        StorageError: The database cannot be read.
    """
    note = log.checkpoint()
    anchors = log.find(RecordFilter(kind=ANCHOR), limit=_ANCHORS_LOOKED_AT, newest_first=True)
    records = (parse_record(anchor.body) for anchor in anchors)
    record = next((record for record in records if record["body"]["type"] == anchor_type), None)
    if record is None:
        return note
    if is_young(parse_timestamp(record["ts"]), interval_ns, now):
        return None
    size, anchored = read_checkpoint(note).size, record["body"]["size"]
    ended_by_anchors = [anchor.seq for anchor in anchors[: size - anchored]] == list(reversed(range(anchored, size)))
    return None if size - anchored <= _TYPES and ended_by_anchors else note


def ask_authorities(
    note: bytes, authorities: TimestampAuthorities, *, timeout_s: float = TIMEOUT_S
) -> tuple[Timestamp | None, tuple[AnchorRefusal, ...]]:
    """Ask one authority after the other for a timestamp of a checkpoint, until one gives a good one.

    Args:
        note: The checkpoint, exact bytes.
        authorities: Whom.
        timeout_s: For each exchange.

    Returns:
        The timestamp, verified, or None; and why there is none of those that were asked in vain.
    """
    refusals: list[AnchorRefusal] = []
    for url in authorities.urls:
        answer = _ask(url, note, authorities.trust, timeout_s)
        if isinstance(answer, Timestamp):
            return answer, tuple(refusals)
        refusals.append(answer)
    return None, tuple(refusals)


def anchor_event(  # noqa: PLR0913 - one argument for each fact of the record
    type: AnchorType,  # noqa: A002 - the field's name
    note: bytes,
    evidence: bytes,
    *,
    time: EpochNs | None,
    actor: Actor,
    now: EpochNs,
) -> OwnEvent:
    """Make the event that records an anchor; the checkpoint and the evidence are its attachments.

    Args:
        type: What the evidence is.
        note: The checkpoint that was attested, exact bytes.
        evidence: The token in DER, or the bundle; verified by the caller.
        time: When, by the outsider's clock; None where the evidence names no time.
        actor: Who had it done.
        now: The time now.

    Raises:
        NoteMalformedError: `note` is not a checkpoint.
    """
    checkpoint = read_checkpoint(note)
    body = {
        "type": type,
        "size": checkpoint.size,
        "root": f"sha256:{checkpoint.root.hex()}",
        "checkpoint": f"sha256:{sha256_hex(note)}",
        "evidence": f"sha256:{sha256_hex(evidence)}",
    }
    if time is not None:
        body["time"] = format_timestamp(time)
    return OwnEvent(id=new_id(now), kind=ANCHOR, actor=actor, body=body, attachments=(note, evidence))


def check_checkpoint(engine: Engine, note: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Make sure that a checkpoint that comes from elsewhere is one that this log signed and keeps.

    Args:
        engine: The log's database.
        note: The checkpoint, perhaps with lines of witnesses.
        keys: The log's own keys.

    Raises:
        AnchorError: It is not.
        StorageError: The database cannot be read.
    """
    try:
        checkpoint = open_checkpoint(note, keys)
    except AuditError as exc:
        raise AnchorError(f"want a checkpoint of this log: {exc}") from exc
    with read_transaction(engine) as connection:
        kept = tending_store.read_checkpoint_of_size(connection, checkpoint.origin, checkpoint.size)
    if kept is None or read_checkpoint(kept) != checkpoint:
        raise AnchorError(f"the log keeps no such checkpoint over {checkpoint.size} records")
    return checkpoint


def _ask(url: str, note: bytes, trust: TimestampTrust, timeout_s: float) -> Timestamp | AnchorRefusal:
    request = make_timestamp_request(note)
    try:
        answer = exchange(
            OutboundRequest(
                url=url,
                body=request.body,
                content_type="application/timestamp-query",
                timeout_s=timeout_s,
                answer_bytes_max=TOKEN_BYTES_MAX,
            )
        )
    except OutboundError as exc:
        return AnchorRefusal(url=url, code="audit.authority_unreachable", detail=str(exc))
    if answer.status != HTTPStatus.OK:
        detail = f"want the status 200, got {answer.status}"
        return AnchorRefusal(url=url, code="audit.authority_unavailable", detail=detail)
    opened = open_timestamp_response(answer.body, note, request.nonce, trust)
    if isinstance(opened, TimestampRefusal):
        return AnchorRefusal(url=url, code=opened.code, detail=opened.detail)
    return opened
