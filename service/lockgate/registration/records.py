"""What registration tells the audit log: the kinds of its records, each with the schema of its body. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from lockgate.audit.types import Actor, Event
from lockgate.clock import EpochNs, format_timestamp
from lockgate.digests import sha256_of
from lockgate.identity.types import Principal
from lockgate.ids import new_id
from lockgate.registry.metadata import (
    MODEL_KIND,
    VERSION_KIND,
    Model,
    ModelVersion,
    digest_text,
    version_record_id,
    write_model,
    write_version,
)

MODEL: Final = MODEL_KIND
VERSION: Final = VERSION_KIND
REGISTRATION_KINDS: Final[Mapping[str, str]] = {MODEL: "v1/api/model_change", VERSION: "v1/api/model_version_change"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that changes something.

    Attributes:
        idempotency_key: The caller's name for it; the same key and request are answered once.
        trace: The HTTP request's id.
    """

    principal: Principal
    body: bytes
    idempotency_key: str | None = None
    trace: str


def model_event(model: Model, change: str, now: EpochNs, call: Call, *uploads: bytes) -> Event:
    """Tell that a model was created, updated or retired.

    Args:
        model: As it is then.
        change: What became of it.
        now: When.
        call: Whose doing it is.
        uploads: The documents that were handed in.
    """
    said = write_model(model)
    body = {
        "schema_version": 1,
        "change": change,
        "name": model.name,
        "registry": model.registry,
        "registry_model": model.registry_model,
        "owner": model.metadata.owner,
        "tier": model.metadata.tier,
        "card": digest_text(model.metadata.card),
        "bom": digest_text(model.metadata.bom),
        "document": str(sha256_of(said)),
        "row_version": model.row_version,
        "reason": "",
        "changed_at": format_timestamp(now),
    }
    return _event(MODEL, model.name, body, now, call, said, *uploads)


def version_event(model: Model, version: ModelVersion, change: str, now: EpochNs, call: Call) -> Event:
    """Tell that a version was created or retired, as `model_event` does of a model."""
    said = write_version(version)
    body = {
        "schema_version": 1,
        "change": change,
        "model": version.model,
        "registry": model.registry,
        "registry_model": model.registry_model,
        "version": version.version,
        "digest": str(version.digest),
        "document": str(sha256_of(said)),
        "row_version": version.row_version,
        "reason": "",
        "changed_at": format_timestamp(now),
    }
    event = _event(VERSION, version.model, body, now, call, said)
    # The gate looks for what was registered, and for nothing that was said of it later.
    return replace(event, id=version_record_id(version.model, version.version)) if change == "created" else event


def _event(kind: str, model: str, body: dict[str, Any], now: EpochNs, call: Call, *attachments: bytes) -> Event:
    principal = call.principal
    return Event(
        id=new_id(now),
        kind=kind,
        actor=Actor(type=principal.type, id=principal.subject, roles=principal.roles),
        body=body,
        subject=f"model:{model}",
        trace=call.trace,
        attachments=attachments,
    )
