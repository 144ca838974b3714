"""Events in the vocabulary of CDEvents, for tools that know it and not ours. Pure.

A promotion is an approval: it is created when somebody asks, updated by each person's word, closed by a decision that
ends the waiting, by a withdrawal or by its expiry. What was seen to run is a service that was deployed or rolled back;
whether another version ran before, which would make it an upgrade, its record does not say. Every other event of ours
has no counterpart there, and is left out.

Approvals are a draft of CDEvents 0.6 and may change; the versions in the types say which form this is.

Source: CDEvents 0.5.0 (service 0.3.0), cdevents/spec pull request 298 (approval 0.1.0, draft), CloudEvents binding.
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from lockgate.audit.formats.records import parse_record
from lockgate.audit.types import StoredRecord
from lockgate.delivery.events import CloudEvent, event_data, event_of, make_event, source_of

_MEDIA_TYPE: Final = "application/cdevents+json"
_SPEC_OF_SERVICES: Final = "0.5.0"
_SPEC_OF_APPROVALS: Final = "0.6.0-draft"
_CREATED: Final = "dev.cdevents.approval.created.0.1.0"
_UPDATED: Final = "dev.cdevents.approval.updated.0.1.0"
_CLOSED: Final = "dev.cdevents.approval.closed.0.1.0"

# Our event -> (type, what the responder said, how it ended).
_APPROVALS: Final[Mapping[str, tuple[str, str, str]]] = {
    "dev.lockgate.promotion.requested.v1": (_CREATED, "", ""),
    "dev.lockgate.promotion.approved.v1": (_UPDATED, "approved", ""),
    "dev.lockgate.promotion.rejected.v1": (_UPDATED, "rejected", ""),
    "dev.lockgate.promotion.allowed.v1": (_CLOSED, "approved", "approved"),
    "dev.lockgate.promotion.denied.v1": (_CLOSED, "rejected", "rejected"),
    "dev.lockgate.promotion.withdrawn.v1": (_CLOSED, "cancelled", "cancelled"),
    "dev.lockgate.promotion.expired.v1": (_CLOSED, "expired", "expired"),
}
_DEPLOYED: Final = "dev.cdevents.service.deployed.0.3.0"
_SERVICES: Final[Mapping[str, str]] = {
    "dev.lockgate.promotion.confirmed.v1": _DEPLOYED,
    "dev.lockgate.promotion.rolledback.v1": "dev.cdevents.service.rolledback.0.3.0",
    "dev.lockgate.live.out_of_band.v1": _DEPLOYED,
}
_GATE: Final[Mapping[str, str]] = {"type": "system", "id": "lockgate"}


def cdevent_of(stored: StoredRecord, public_url: str) -> CloudEvent | None:
    """Return a record as a CDEvent in a CloudEvent's envelope; None where CDEvents has no word for it.

    Args:
        stored: The record.
        public_url: Where the gate is reached, without a slash at the end; "" makes links relative to it.

    Raises:
        RecordInvalidError: It is no record.
    """
    event = event_of(stored)
    record = parse_record(stored.body)
    if event is not None and event.type in _APPROVALS:
        return _approval(stored, record, event.type, public_url)
    if event is not None and event.type in _SERVICES:
        return _service(stored, record, _SERVICES[event.type])
    return None


def _approval(stored: StoredRecord, record: Mapping[str, Any], ours: str, public_url: str) -> CloudEvent:
    type_, decision, status = _APPROVALS[ours]
    # Who asked, approved or withdrew is the record's actor. A decision is the gate's own, whoever was its occasion.
    actor = _GATE if type_ == _CLOSED and record["kind"] == "gate.decision" else record["actor"]
    entity = f"urn:lockgate:{actor['type']}:{quote(actor['id'], safe='')}"
    promotion_id: str = record["body"]["promotion_id"]
    content = {
        "approvalDetailsUrl": f"{public_url}/v1/promotions/{promotion_id}",
        "resourceTargetUrl": public_url + _resource(record),
        "requestor" if type_ == _CREATED else "responder": entity,
        **({"decision": decision} if decision else {}),
        **({"status": status} if status else {}),
    }
    return _wrap(stored, record, type_, _SPEC_OF_APPROVALS, subject=promotion_id, content=content)


def _service(stored: StoredRecord, record: Mapping[str, Any], type_: str) -> CloudEvent:
    body = record["body"]
    version = f"@{quote(body['version'], safe='')}" if body["version"] else ""
    content = {
        "environment": {"id": body["environment"]},
        # A package URL. No registry has to be known to check what runs against it.
        "artifactId": f"pkg:generic/{quote(body['model'], safe='')}{version}?checksum={body['digest']}",
    }
    return _wrap(stored, record, type_, _SPEC_OF_SERVICES, subject=body["model"], content=content)


def _wrap(  # noqa: PLR0913 - the parts of a CDEvent
    stored: StoredRecord,
    record: Mapping[str, Any],
    type_: str,
    spec: str,
    *,
    subject: str,
    content: Mapping[str, Any],
) -> CloudEvent:
    source = source_of(record)
    cdevent = {
        "context": {
            "specversion": spec,
            "id": record["id"],
            "source": source,
            "type": type_,
            "timestamp": record["ts"],
            # What belongs to one promotion; of what came out of band there is none.
            **({"chainId": record["body"]["promotion_id"]} if record["body"]["promotion_id"] else {}),
        },
        "subject": {"id": subject, "source": source, "content": content},
        "customData": {"lockgate": event_data(stored, record)},
        "customDataContentType": "application/json",
    }
    return make_event(type_, stored.seq, record, subject=subject, data=cdevent, media_type=_MEDIA_TYPE)


def _resource(record: Mapping[str, Any]) -> str:
    model = quote(str(record.get("subject", "")).removeprefix("model:"), safe="")
    version = record["body"].get("subject", record["body"]).get("version")
    return f"/v1/models/{model}" + (f"/versions/{quote(version, safe='')}" if version else "")
