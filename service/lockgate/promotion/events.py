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
PERMIT: Final = "gate.permit"
POINTER: Final = "gate.pointer"
STEP: Final = "gate.step"
ROLLOUT_FAILURE: Final = "gate.rollout_failure"
CONFIRMATION: Final = "gate.confirmation"
SUPERSESSION: Final = "gate.supersession"
HOLD: Final = "gate.hold"
LIVE: Final = "gate.live"

GATE_KINDS: Final[Mapping[str, str]] = {
    DECISION: "v1/api/decision",
    APPROVAL: "v1/api/approval",
    WITHDRAWAL: "v1/api/withdrawal",
    EXPIRY: "v1/api/expiry",
    FAILURE: "v1/api/failure",
    PERMIT: "v1/api/permit",
    POINTER: "v1/api/pointer_move",
    STEP: "v1/api/rollout_step",
    ROLLOUT_FAILURE: "v1/api/rollout_failure",
    CONFIRMATION: "v1/api/confirmation",
    SUPERSESSION: "v1/api/supersession",
    HOLD: "v1/api/hold",
    LIVE: "v1/api/live_change",
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
