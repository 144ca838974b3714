"""What goes into the log and what comes back. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from lockgate.clock import EpochNs
from lockgate.digests import Sha256Hex

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who did it."""

    type: Literal["user", "machine", "system"]
    id: str
    roles: tuple[str, ...] = ()


SYSTEM: Final = Actor(type="system", id="lockgate")  # what Lockgate did of itself: nobody asked for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, not yet in any log."""

    id: str  # a UUID, the caller's; a second event with the same id in one log is refused
    kind: str  # dotted lower case, for example "gate.decision"; its body's schema is registered under it
    actor: Actor
    body: Mapping[str, Any]  # within the record profile of lockgate.canonical_json
    subject: str | None = None  # what it is about, "<type>:<name>", for example "model:fraud-detector"
    trace: str | None = None  # the request id
    attachments: tuple[bytes, ...] = ()  # documents that the log keeps and the record names by SHA-256


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Generic[T]):
    """What a piece of work in a write transaction did, and what the log shall say of it."""

    value: T
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that one record is in the log: the record's exact bytes and a C2SP tlog-proof of them."""

    seq: int
    record: bytes
    proof: str  # C2SP tlog-proof v1 text: index, inclusion path, signed checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed(Generic[T]):
    """What was made durable."""

    value: T
    receipts: tuple[Receipt, ...]  # one for each event, in order


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRecord:
    """One record as it lies in the log."""

    seq: int
    body: bytes  # the hashed bytes
    leaf: bytes  # 32 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """Which records somebody wants to see: those that meet each condition given."""

    kind: str | None = None
    actor: str | None = None  # the actor's id
    subject: str | None = None
    since: EpochNs | None = None  # written at this time or later
    until: EpochNs | None = None  # written before this time


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with a log."""

    code: str  # stable, for example "prev_mismatch", "root_mismatch"
    seq: int | None  # the first record concerned, where one can be named
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that whoever reads a verdict must know, though nothing is wrong."""

    code: str  # stable, for example "unanchored", "not_split_view_resistant"
    detail: str


Verdict: TypeAlias = Literal["valid", "tampered", "unverifiable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """An auditor's verdict about one log.

    `tampered` is an accusation and needs proof: a check that fails although everything needed for it was at hand.
    Whatever cannot be decided (no key, unreadable file, no checkpoint) is `unverifiable`.
    """

    verdict: Verdict  # of all that was asked for
    integrity: Verdict  # the records are those that the log signed
    completeness: Verdict  # they reach as far as somebody outside the log saw it reach
    freshness: Literal["valid", "stale", "unverifiable"]  # the newest is as new as it must be
    log: str
    size: int  # the position behind the last record read
    verified_from_seq: int  # 0 unless the log was pruned
    checkpoint_size: int | None  # the newest signed size that was checked
    outside_size: int | None  # the largest size that somebody outside the log vouches for, and that is right
    root_sha256: Sha256Hex | None  # over the first `checkpoint_size` records
    newest_ts: str | None  # of the last record read
    first_bad_seq: int | None
    problems: tuple[Problem, ...] = field(default=())
    notes: tuple[Note, ...] = field(default=())
