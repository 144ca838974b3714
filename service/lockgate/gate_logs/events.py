"""What a room of the gate tells a log: one event for each record, about one model. Pure."""

from dataclasses import dataclass
from typing import Any

from lockgate.audit.types import Actor, Event
from lockgate.clock import EpochNs
from lockgate.identity.types import Principal


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
