"""What the gate tells the audit log: the kinds of its records, each with the schema of its body. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from lockgate.audit import Actor, Event
from lockgate.identity import Principal

DECISION: Final = "gate.decision"
APPROVAL: Final = "gate.approval"
WITHDRAWAL: Final = "gate.withdrawal"
EXPIRY: Final = "gate.expiry"
FAILURE: Final = "gate.failure"

GATE_KINDS: Final[Mapping[str, str]] = {
    DECISION: "v1/api/decision",
    APPROVAL: "v1/api/approval",
    WITHDRAWAL: "v1/api/withdrawal",
    EXPIRY: "v1/api/expiry",
    FAILURE: "v1/api/failure",
}

SYSTEM: Final = Actor(type="system", id="lockgate")


def actor_of(principal: Principal) -> Actor:
    """Return a principal as the log names it."""
    return Actor(type=principal.type, id=principal.subject, roles=principal.roles)


def make_event(
    kind: str, event_id: str, actor: Actor, body: dict[str, Any], trace: str | None, *attachments: bytes
) -> Event:
    """Make an event of one of the gate's kinds; `event_id` becomes the record's id."""
    return Event(id=event_id, kind=kind, actor=actor, body=body, trace=trace, attachments=attachments)
