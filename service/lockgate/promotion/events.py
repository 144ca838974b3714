"""What the gate tells the audit log: the kinds of its records, each with the schema of its body. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockgate.audit import Actor, Event
from lockgate.clock import EpochNs
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Occasion:
    """Who did something, about which model, when, in which request."""

    actor: Actor
    model: str
    now: EpochNs
    trace: str | None


def make_event(kind: str, event_id: str, occasion: Occasion, body: dict[str, Any], *attachments: bytes) -> Event:
    """Make an event of one of the gate's kinds; `event_id` becomes the record's id."""
    return Event(
        id=event_id,
        kind=kind,
        actor=occasion.actor,
        body=body,
        subject=f"model:{occasion.model}",
        trace=occasion.trace,
        attachments=attachments,
    )
