"""The record: one event in its place in one log, as canonical bytes. Pure. Its bytes are one leaf of the tree.

The envelope's fields are `schemas/v1/audit/record.json`; `parse_record` checks the same by hand, since a verifier reads
millions of them. A kind's own fields lie under `body`, so that no module's field can collide with the envelope.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, Final

from lockgate.audit.errors import RecordInvalidError
from lockgate.audit.formats.kind_names import GENESIS
from lockgate.audit.types import Event
from lockgate.canonical_json import (
    RECORD_BYTES_MAX,
    RECORD_DEPTH_MAX,
    SAFE_INTEGER_MAX,
    CanonicalJSONError,
    MalformedJSONError,
    canonicalize,
    is_surely_in_profile,
    load_own_spelling,
    parse_canonical,
)
from lockgate.clock import EpochNs, TimestampError, format_timestamp, parse_timestamp
from lockgate.digests import sha256_hex

GENESIS_PREV: Final = bytes(32)
ZERO_PREV: Final = f"sha256:{GENESIS_PREV.hex()}"  # the genesis record's `prev`
NAME_CHARS_MAX: Final = 255  # the width of the database's columns
ROLES_MAX: Final = 32  # the widest role list of a person known to us has nine
ATTACHMENTS_MAX: Final = 64  # of one record; a promotion request brings at most seventeen
ATTACHMENT_BYTES_MAX: Final = 16 * 1024 * 1024  # four times the largest evidence bundle
_VERSION: Final = 1
_UNBOUNDED: Final = 2**63
_EMPTY_BODY: Final = b'"body":{}'  # in no string: a quote within one has a backslash before it
_REQUIRED: Final = frozenset({"v", "log", "seq", "prev", "ts", "id", "kind", "actor", "inst", "boot", "schema", "body"})
_OPTIONAL: Final = frozenset({"attachments", "subject", "trace"})
_ACTOR_FIELDS: Final = frozenset({"type", "id", "roles"})
_SHA256: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_KIND: Final = re.compile(r"(?=.{3,64}\Z)[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", re.ASCII)
_LOG: Final = re.compile(r"[^\s+]{1,255}")
_NAME: Final = re.compile(r"(?s).{1,255}")
_ACTOR_TYPE: Final = re.compile("user|machine|system")
_ROLE: Final = re.compile(r"(?s).{1,64}")
# `id` and `ts` of one record with a space between; no field of the right form has a space.
_OWN_FIELDS: Final = re.compile(
    rf"{_UUID.pattern} ([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{{6}}Z",
    re.ASCII,
)
_fields_of: Final = itemgetter(  # all of `_REQUIRED`
    "v", "log", "seq", "prev", "ts", "id", "kind", "actor", "inst", "boot", "schema", "body"
)
_REMEMBERED_MAX: Final = 8192  # a few megabytes; more people than act on one log in a day
# What records share with their neighbours, of records that were checked field by field.
_known_sources: set[tuple[str, ...]] = set()  # log, kind, schema, inst, boot; not of the genesis, which has one place
_known_actors: dict[str, dict[str, Any]] = {}  # by their ids
_known_dates: set[str] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a record goes, and who writes it."""

    log: str  # the origin
    seq: int
    prev: bytes  # leaf hash of record seq-1; 32 zero bytes for the first
    ts: EpochNs
    instance: str
    boot: str  # a UUID of this process
    schema_sha256: str  # of the file of the body's schema, 64 hex digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """The copies of a record's fields that a database keeps beside it for queries."""

    seq: int
    leaf: bytes
    prev: bytes
    id: str
    kind: str
    ts: str
    actor: str  # the actor's id
    subject: str | None


def encode_body(event: Event) -> bytes:
    """Write an event's body in its canonical form, as it will stand in the record.

    Raises:
        CanonicalJSONError: It has none.
    """
    # Larger than any record may be, so that whoever asks can tell what is too large from what is not canonical.
    return canonicalize(dict(event.body), bytes_max=_UNBOUNDED, depth_max=RECORD_DEPTH_MAX - 1)


def encode_record(event: Event, place: Place, body: bytes | None = None) -> bytes:
    """Write an event as the record at its place.

    Args:
        event: What happened.
        place: Where it goes.
        body: What `encode_body` made of the event, where that was asked before.

    Raises:
        RecordInvalidError: The event breaks the record format.
    """
    record = {
        "v": _VERSION,
        "log": place.log,
        "seq": place.seq,
        "prev": f"sha256:{place.prev.hex()}",
        "ts": format_timestamp(place.ts),
        "id": event.id,
        "kind": event.kind,
        "actor": {"type": event.actor.type, "id": event.actor.id, "roles": list(event.actor.roles)},
        "inst": place.instance,
        "boot": place.boot,
        "schema": f"sha256:{place.schema_sha256}",
        "body": {},
    }
    if event.subject is not None:
        record["subject"] = event.subject
    if event.trace is not None:
        record["trace"] = event.trace
    if event.attachments:
        record["attachments"] = sorted({f"sha256:{sha256_hex(document)}" for document in event.attachments})
    try:
        envelope = canonicalize(record)
        data = envelope.replace(_EMPTY_BODY, b'"body":' + (encode_body(event) if body is None else body), 1)
    except CanonicalJSONError as exc:
        raise RecordInvalidError(f"the event has no canonical form: {exc}") from exc
    if len(data) > RECORD_BYTES_MAX:
        raise RecordInvalidError(f"want a record of at most {RECORD_BYTES_MAX} bytes, got {len(data)}")
    _check_envelope(record)
    return data


def parse_record(data: bytes, prev: str = ZERO_PREV) -> dict[str, Any]:
    """Read a record's bytes: canonical JSON with exactly the envelope's fields, each in its one form.

    The body is not checked against the schema of its kind: a reader need not know every kind.

    Args:
        data: The record.
        prev: What its `prev` should be, in the right form, where the caller knows and compares: it is then recognised
            rather than looked at closely.

    Raises:
        RecordInvalidError: They are not a record; the message names the field.
    """
    if len(data) <= RECORD_BYTES_MAX:
        record = load_own_spelling(data)
        # The quick way only ever says yes. Whatever it doubts, the plain checks decide, and name the field.
        if (
            type(record) is dict
            and _is_surely_envelope(record, prev)
            and is_surely_in_profile(record["body"], depth_max=RECORD_DEPTH_MAX - 1)
        ):
            return record
    try:
        record = parse_canonical(data)
    except (CanonicalJSONError, MalformedJSONError) as exc:
        raise RecordInvalidError(f"want a record in canonical JSON: {exc}") from exc
    if not isinstance(record, dict):
        raise RecordInvalidError("want an object")
    _check_envelope(record)
    return record


def attachments_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the SHA-256 of each document that the record says the log keeps, 64 hex digits each."""
    return tuple(name.removeprefix("sha256:") for name in record.get("attachments", ()))


def prev_of(record: Mapping[str, Any]) -> bytes:
    """Return the leaf hash of the record before, 32 bytes."""
    return bytes.fromhex(record["prev"].removeprefix("sha256:"))


def columns_of(record: Mapping[str, Any], leaf: bytes) -> Columns:
    """Return what the database must hold beside a record."""
    return Columns(
        seq=record["seq"],
        leaf=leaf,
        prev=prev_of(record),
        id=record["id"],
        kind=record["kind"],
        ts=record["ts"],
        actor=record["actor"]["id"],
        subject=record.get("subject"),
    )


def _check_envelope(record: Mapping[str, Any]) -> None:
    if not _is_surely_envelope(record, ZERO_PREV):
        _check_each_field(record)
        _remember(record)


def _is_surely_envelope(record: Mapping[str, Any], wanted_prev: str) -> bool:
    """Tell whether a record differs only in what is its own from one that was checked field by field."""
    try:
        v, log, seq, prev, ts, event_id, kind, actor, inst, boot, schema, body = _fields_of(record)
        subject, trace = record.get("subject", "-"), record.get("trace", "-")  # where there is none, one that passes
        own = _OWN_FIELDS.fullmatch(f"{event_id} {ts}")
        return (
            own is not None
            and own[1] in _known_dates
            and (log, kind, schema, inst, boot) in _known_sources
            and _known_actors.get(actor["id"]) == actor
            and (prev == wanted_prev or _SHA256.fullmatch(prev) is not None)
            and len(record) == len(_REQUIRED) + ("subject" in record) + ("trace" in record) + ("attachments" in record)
            and v is _VERSION
            and type(seq) is int
            and 0 < seq <= SAFE_INTEGER_MAX
            and type(body) is dict
            and type(subject) is str
            and 0 < len(subject) <= NAME_CHARS_MAX
            and type(trace) is str
            and 0 < len(trace) <= NAME_CHARS_MAX
            and ("attachments" not in record or _are_attachments(record["attachments"]))
        )
    except (KeyError, TypeError):  # a field is missing, or of a type that cannot be compared
        return False


def _remember(record: Mapping[str, Any]) -> None:
    if len(_known_sources) + len(_known_actors) + len(_known_dates) >= _REMEMBERED_MAX:
        _known_sources.clear()
        _known_actors.clear()
        _known_dates.clear()
    if record["kind"] != GENESIS:
        _known_sources.add((record["log"], record["kind"], record["schema"], record["inst"], record["boot"]))
    actor = record["actor"]
    _known_actors[actor["id"]] = {**actor, "roles": list(actor["roles"])}  # a copy: the record is the caller's
    _known_dates.add(record["ts"][:10])


def _check_each_field(record: Mapping[str, Any]) -> None:
    missing = sorted(_REQUIRED - record.keys())
    unknown = sorted(record.keys() - _REQUIRED - _OPTIONAL)
    if missing or unknown:
        raise RecordInvalidError(f"want exactly the envelope's fields: missing {missing}, unknown {unknown[:3]}")
    if record["v"] is not _VERSION:
        raise RecordInvalidError(f"v: want {_VERSION}")
    if type(record["seq"]) is not int or not 0 <= record["seq"] <= SAFE_INTEGER_MAX:
        raise RecordInvalidError("seq: want an integer from 0")
    if not isinstance(record["body"], dict):
        raise RecordInvalidError("body: want an object")
    _check_text(record, "log", _LOG, "an origin without spaces and '+'")
    _check_text(record, "prev", _SHA256, "sha256:<64 hex digits>")
    _check_text(record, "id", _UUID, "a UUID in lower case")
    _check_text(record, "kind", _KIND, "dotted lower-case words")
    _check_text(record, "inst", _NAME, "1 to 255 characters")
    _check_text(record, "boot", _UUID, "a UUID in lower case")
    _check_text(record, "schema", _SHA256, "sha256:<64 hex digits>")
    if "subject" in record:
        _check_text(record, "subject", _NAME, "1 to 255 characters")
    if "trace" in record:
        _check_text(record, "trace", _NAME, "1 to 255 characters")
    if "attachments" in record and not _are_attachments(record["attachments"]):
        raise RecordInvalidError(
            f"attachments: want 1 to {ATTACHMENTS_MAX} of sha256:<64 hex digits>, sorted, each once"
        )
    _check_time(record["ts"])
    _check_actor(record["actor"])
    if (record["seq"] == 0) != (record["kind"] == GENESIS) or (record["seq"] == 0 and prev_of(record) != GENESIS_PREV):
        raise RecordInvalidError(f"kind: want {GENESIS} with prev of zeros at seq 0, and nowhere else")


def _are_attachments(names: object) -> bool:
    return (
        isinstance(names, list)
        and 0 < len(names) <= ATTACHMENTS_MAX
        and all(isinstance(name, str) and _SHA256.fullmatch(name) for name in names)
        and all(name < following for name, following in itertools.pairwise(names))
    )


def _check_time(value: object) -> None:
    try:
        parse_timestamp(value if isinstance(value, str) else "")
    except TimestampError as exc:
        raise RecordInvalidError(f"ts: {exc}") from exc


def _check_actor(actor: object) -> None:
    if not isinstance(actor, dict) or actor.keys() != _ACTOR_FIELDS:
        raise RecordInvalidError("actor: want type, id and roles")
    _check_text(actor, "type", _ACTOR_TYPE, "user, machine or system")
    _check_text(actor, "id", _NAME, "1 to 255 characters")
    roles = actor["roles"]
    if not isinstance(roles, list) or len(roles) > ROLES_MAX:
        raise RecordInvalidError(f"actor.roles: want at most {ROLES_MAX} roles")
    if not all(isinstance(role, str) and _ROLE.fullmatch(role) for role in roles):
        raise RecordInvalidError("actor.roles: want roles of 1 to 64 characters")


def _check_text(holder: Mapping[str, Any], field: str, form: re.Pattern[str], want: str) -> None:
    value = holder[field]
    if not isinstance(value, str) or not form.fullmatch(value):
        raise RecordInvalidError(f"{field}: want {want}")
