"""A record as an OCSF 1.6 event (schema `v1/export/ocsf_event`): a lossy view for tools that read OCSF. Pure.

OCSF has no class for a decision about permission. What changes who may do what is Entity Management (3004); everything
else is API Activity (6003). What has no place in OCSF lies under `unmapped.lockgate`, with the record's position and
leaf hash, by which the record itself can be found and proved.
"""

from collections.abc import Mapping
from typing import Any, Final

from lockgate.audit.formats.merkle import leaf_hash
from lockgate.clock import parse_timestamp

OCSF_VERSION: Final = "1.6.0"
_API: Final = 6003
_ENTITY: Final = 3004
_CREATE: Final = 1
_READ: Final = 2
_UPDATE: Final = 3
_DELETE: Final = 4
_OTHER: Final = 99
_CLASS_NAMES: Final = {_API: "API Activity", _ENTITY: "Entity Management"}
_ACTIVITY_NAMES: Final = {_CREATE: "Create", _READ: "Read", _UPDATE: "Update", _DELETE: "Delete"}
# kind -> (class, activity); every other kind is API Activity with the activity "Other".
_CLASSES: Final = {
    "gate.decision": (_API, _CREATE),
    "gate.approval": (_API, _CREATE),
    "gate.withdrawal": (_API, _UPDATE),
    "gate.expiry": (_API, _UPDATE),
    "identity.principal": (_ENTITY, _UPDATE),
    "identity.token": (_ENTITY, _UPDATE),
    "log.genesis": (_ENTITY, _CREATE),
    "log.key.rotate": (_ENTITY, _UPDATE),
    "log.key.compromise": (_ENTITY, _UPDATE),
    "log.kind": (_ENTITY, _UPDATE),
    "log.erase": (_API, _DELETE),
    "log.prune": (_API, _DELETE),
    "log.export": (_API, _READ),
    "log.read": (_API, _READ),
}
_USER_TYPES: Final = {"user": (1, "User"), "system": (3, "System"), "machine": (4, "Service")}
_INFORMATIONAL: Final = 1
_NS_PER_MS: Final = 1_000_000


def ocsf_event(record: Mapping[str, Any], data: bytes) -> dict[str, Any]:
    """Write a record as an OCSF event.

    Args:
        record: The parsed record.
        data: The bytes that it was parsed from.

    Source: OCSF schema 1.6.0, classes 6003 and 3004.
    """
    kind = record["kind"]
    class_uid, activity = _CLASSES.get(kind, (_API, _OTHER))
    return {
        "class_uid": class_uid,
        "class_name": _CLASS_NAMES[class_uid],
        "category_uid": class_uid // 1000,
        "activity_id": activity,
        "activity_name": _ACTIVITY_NAMES.get(activity, kind),
        "type_uid": class_uid * 100 + activity,
        "time": parse_timestamp(record["ts"]) // _NS_PER_MS,
        "severity_id": _INFORMATIONAL,
        "metadata": _metadata(record),
        "actor": {"user": _user(record["actor"])},
        **(_entity(record) if class_uid == _ENTITY else _api(record)),
        "unmapped": {
            "lockgate": {
                "seq": record["seq"],
                "leaf": f"sha256:{leaf_hash(data).hex()}",
                "body": record["body"],
                "attachments": record.get("attachments", []),
            }
        },
    }


def _metadata(record: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {
        "version": OCSF_VERSION,
        "product": {"name": "Lockgate", "vendor_name": "Lockgate"},
        "uid": record["id"],
        "event_code": record["kind"],
        "log_name": record["log"],
        "sequence": record["seq"],
        "original_time": record["ts"],
    }
    return metadata | ({"correlation_uid": record["trace"]} if "trace" in record else {})


def _user(actor: Mapping[str, Any]) -> dict[str, Any]:
    type_id, type_name = _USER_TYPES[actor["type"]]
    groups = [{"name": role} for role in actor["roles"]]
    return {"uid": actor["id"], "type_id": type_id, "type": type_name, "groups": groups}


def _api(record: Mapping[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "api": {"operation": record["kind"], "service": {"name": "lockgate"}},
        "src_endpoint": {"name": "unknown"},  # the class demands one; where a request came from is not recorded
        "dst_endpoint": {"name": record["inst"]},
    }
    return fields | ({"resources": [_subject(record["subject"])]} if "subject" in record else {})


def _entity(record: Mapping[str, Any]) -> dict[str, Any]:
    # What has no subject is about the log itself: its keys and kinds.
    return {"entity": _subject(record.get("subject", f"log:{record['log']}"))}


def _subject(subject: str) -> dict[str, str]:
    kind, colon, name = subject.partition(":")
    return {"type": kind, "name": name} if kind and colon and name else {"name": subject}
