"""Records of other modules, over HTTP: never of Lockgate's own kinds, and the same event sent twice is one record."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from lockgate.audit import Actor, AuditLog, DuplicateIDError, Event, Receipt
from lockgate.audit.errors import BodyInvalidError
from lockgate.audit.formats.records import parse_record
from lockgate.audit.kinds import RESERVED_WORDS
from lockgate.canonical_json import RECORD_BYTES_MAX, RECORD_DEPTH_MAX, canonicalize, parse_json
from lockgate.errors import LockgateError
from lockgate.identity import Principal
from lockgate.schemas import SchemaError, check_schema

# A record's own limits: its envelope is larger than the request's, so what exceeds them here would not fit there.
EVENT_BYTES_MAX: Final = RECORD_BYTES_MAX
EVENT_DEPTH_MAX: Final = RECORD_DEPTH_MAX


class KindNotPermittedError(LockgateError):
    """Nobody may record events of this kind from outside."""

    code: ClassVar[str] = "recording.not_permitted"


class EventIDReusedError(LockgateError):
    """The log holds another record under this event's id."""

    code: ClassVar[str] = "recording.id_reused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of an event."""

    receipt: Receipt
    replayed: bool  # it was recorded before, by the same principal and with the same content


class Recorder:
    """Writes the events of other modules into the gate's log."""

    def __init__(self, log: AuditLog) -> None:
        self._log = log

    def record(self, principal: Principal, document: Mapping[str, Any], *, trace: str) -> Recorded:
        """Record an event, or find that it is recorded already.

        The steps:
          (1) The kind is not Lockgate's own, whatever the policy permits.
          (2) The log takes it: the kind is registered, and the body keeps to its newest schema.
          (3) If the log holds a record with this id, it is of this principal and says the same.

        Args:
            principal: Who calls; the record's actor. That it may record this kind, the policy has said.
            document: Of `parse_event`.
            trace: The request's id.

        Raises:
            KindNotPermittedError: Step 1.
            SchemaError: Step 2: the event's body breaks the schema of its kind.
            KindUnknownError: Step 2: nobody registered the kind.
            EventIDReusedError: Step 3.
            AuditError: The log cannot write.
            StorageError: The database cannot be written.
        """
        event = _event(document, principal, trace)
        # (1) The kind is not Lockgate's own.
        if event.kind.partition(".")[0] in RESERVED_WORDS:
            raise KindNotPermittedError(f"want a kind of another module, got {event.kind}, which is Lockgate's own")
        try:
            # (2) The log takes it.
            return Recorded(receipt=self._log.append(event), replayed=False)
        except BodyInvalidError as exc:
            raise SchemaError(str(exc), f"/body{exc.pointer}") from exc
        except DuplicateIDError as exc:
            # (3) It is the same event.
            receipt = self._log.receipt_by_id(event.id)
            if not _says(parse_record(receipt.record), event):
                raise EventIDReusedError("want a new id: the log holds another record under this one") from exc
            return Recorded(receipt=receipt, replayed=True)


def parse_event(body: bytes) -> dict[str, Any]:
    """Read an event that somebody asks to record.

    Raises:
        MalformedJSONError: `body` is not one unambiguous JSON value within the limits.
        SchemaError: It breaks `v1/api/audit_event`.
    """
    document: dict[str, Any] = parse_json(body, bytes_max=EVENT_BYTES_MAX, depth_max=EVENT_DEPTH_MAX)
    check_schema("v1/api/audit_event", document)
    return document


def _event(document: Mapping[str, Any], principal: Principal, trace: str) -> Event:
    return Event(
        id=document.get("id") or str(uuid.uuid4()),
        kind=document["kind"],
        actor=Actor(type=principal.type, id=principal.subject, roles=principal.roles),
        subject=document.get("subject"),
        body=document["body"],
        trace=trace,
    )


def _says(record: dict[str, Any], event: Event) -> bool:
    # Not compared: the principal's roles and the request's id, which may be others when an event is sent again.
    actor = record["actor"]
    recorded = [record["kind"], record.get("subject"), record["body"], actor["type"], actor["id"]]
    sent = [event.kind, event.subject, event.body, event.actor.type, event.actor.id]
    return canonicalize(recorded) == canonicalize(sent)  # as JSON: for Python, true is 1
