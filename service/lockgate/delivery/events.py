"""Records of the audit log as events: CloudEvents 1.0 in structured JSON, under names of our own. Pure.

An event is a view of one record and holds nothing that the record does not: its id is the record's, its source the
log's origin, its data the record's body with its place and leaf hash, by which a receiver can fetch the proof. A record
is one event or none. docs/formats/events.md lists every type.

Source: CloudEvents 1.0.2, "Context Attributes" and "JSON Event Format".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import orjson

from lockgate.audit.formats.records import parse_record
from lockgate.audit.types import StoredRecord
from lockgate.ids import is_named_id
from lockgate.promotion.change_ids import first_id

MEDIA_TYPE: Final = "application/cloudevents+json"
DATA_SCHEMA: Final = "https://lockgate.dev/schemas/v1/api/event_data.json"
_PREFIX: Final = "dev.lockgate."
_SUFFIX: Final = ".v1"
_ANY: Final = ""  # in the place of a field: whatever the body says

_MOMENT_CHARS: Final = 13  # twelve hex digits and a hyphen
_REQUESTED: Final = "promotion.requested"
_EVALUATED: Final = "promotion.evaluated"

# Kind -> the field of its body that decides, and its value -> the event. Kinds that are not here are no events:
# `gate.delivery` must be none, since an event about a failed delivery would fail like it, and so for ever;
# `identity.*`, `gate.denial` and `log.*` are about people and the log itself, and are read with an auditor's eyes.
_EVENTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "gate.decision": (
        "verdict",
        {"allow": "promotion.allowed", "deny": "promotion.denied", "pending": _EVALUATED},
    ),
    "gate.approval": ("verdict", {"approve": "promotion.approved", "reject": "promotion.rejected"}),
    "gate.withdrawal": (_ANY, {_ANY: "promotion.withdrawn"}),
    "gate.expiry": (_ANY, {_ANY: "promotion.expired"}),
    "gate.failure": (_ANY, {_ANY: "promotion.undecided"}),
    "gate.permit": (_ANY, {_ANY: "promotion.permitted"}),
    "gate.pointer": (_ANY, {_ANY: "promotion.executing"}),
    "gate.step": (_ANY, {_ANY: "promotion.advanced"}),
    "gate.confirmation": ("kind", {"promote": "promotion.confirmed", "rollback": "promotion.rolledback"}),
    "gate.rollout_failure": (_ANY, {_ANY: "promotion.failed"}),
    "gate.supersession": (_ANY, {_ANY: "promotion.superseded"}),
    "gate.hold": ("change", {"placed": "hold.placed", "lifted": "hold.lifted"}),
    "gate.live": (_ANY, {_ANY: "live.out_of_band"}),
    "gate.finding": (
        "change",
        {
            "opened": "drift.opened",
            "changed": "drift.changed",
            "ended": "drift.ended",
            "answered": "drift.answered",
            "closed": "drift.closed",
        },
    ),
    "gate.policy": (_ANY, {_ANY: "policy.changed"}),
    "registry.model": (
        "change",
        {"created": "registry.model_created", "updated": "registry.model_updated", "retired": "registry.model_retired"},
    ),
    "registry.version": ("change", {"created": "registry.version_created", "retired": "registry.version_retired"}),
    "registry.lineage": (_ANY, {_ANY: "registry.lineage_collected"}),
}
EVENT_TYPES: Final = frozenset(
    f"{_PREFIX}{name}{_SUFFIX}"
    for name in (_REQUESTED, *(one for _, names in _EVENTS.values() for one in names.values()))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """One event, ready to be written.

    Attributes:
        type: Its name, one of `EVENT_TYPES` or of a translation.
        seq: The record's place in its log.
        document: The envelope with its data.
    """

    type: str
    seq: int
    document: Mapping[str, Any]

    def encode(self) -> bytes:
        """Write it; the same event always gives the same bytes."""
        return orjson.dumps(self.document, option=orjson.OPT_SORT_KEYS)


def event_of(stored: StoredRecord) -> CloudEvent | None:
    """Return what a record is as an event; None for what is none.

    Raises:
        RecordInvalidError: It is no record.
    """
    record = parse_record(stored.body)
    name = _name(record["kind"], record["body"])
    if name is None:
        return None
    return make_event(
        f"{_PREFIX}{name}{_SUFFIX}",
        stored.seq,
        record,
        subject=record.get("subject"),
        data=event_data(stored, record),
    )


def make_event(  # noqa: PLR0913 - the parts of an envelope
    type_: str,
    seq: int,
    record: Mapping[str, Any],
    *,
    subject: str | None,
    data: Mapping[str, Any],
    media_type: str = "application/json",
) -> CloudEvent:
    """Put an envelope around data about a record.

    Args:
        type_: The event's name.
        seq: The record's place.
        record: The record.
        subject: What it is about, if anything.
        data: What is said.
        media_type: Of the data; only our own is described by `DATA_SCHEMA`.
    """
    document = {
        "specversion": "1.0",
        "id": record["id"],
        "source": source_of(record),
        "type": type_,
        "time": record["ts"],
        "datacontenttype": media_type,
        **({"dataschema": DATA_SCHEMA} if media_type == "application/json" else {}),
        **({} if subject is None else {"subject": subject}),
        "data": data,
    }
    return CloudEvent(type=type_, seq=seq, document=document)


def source_of(record: Mapping[str, Any]) -> str:
    """Return the record's log as a URI-reference."""
    return quote(record["log"], safe="/:@!$&'()*,;=-._~[]")


def event_data(stored: StoredRecord, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event's data (schema `v1/api/event_data`)."""
    return {
        "kind": record["kind"],
        "seq": stored.seq,
        "leaf": f"sha256:{stored.leaf.hex()}",
        "body": record["body"],
    }


def _name(kind: str, body: Mapping[str, Any]) -> str | None:
    field, names = _EVENTS.get(kind, (_ANY, {}))
    name = names.get(_ANY if field == _ANY else body[field])
    if name == _EVALUATED and _is_first(body):
        return _REQUESTED
    return name


def _is_first(decision: Mapping[str, Any]) -> bool:
    first, this = decision["promotion_id"], decision["id"]
    if is_named_id(this):
        return bool(this == first_id(first))
    # Before ids followed from a promotion's, its own and that of its first decision were made at one moment, and begin
    # with it: UUIDv7, 48 bits of milliseconds. Every later decision has a later moment.
    return bool(first[:_MOMENT_CHARS] == this[:_MOMENT_CHARS])
