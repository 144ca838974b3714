"""A delivery: one event for one subscriber, and what became of it. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from lockgate.clock import EpochNs


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    WAITING = "waiting"  # to be sent, for the first time or again
    DELIVERED = "delivered"
    DEAD = "dead"  # tried as often as it is; only a person sends it again
    GONE = "gone"  # the receiver wants no more (410); nothing is sent to it until a person sends one of these again


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one subscriber.

    Attributes:
        number: In which order they were made; the cursor of lists.
        id: What the receiver knows it by, the same in each attempt.
        log: The log of its record, by the name that `Logs` knows.
        seq: The record.
        attempts: How often it was sent, or begun to be.
        due: When it is sent next; while it is sent, when that counts as lost.
        tried: When it was sent last.
        status: Of the last answer; None if none came.
        code: Why the last attempt failed; "" if it did not.
    """

    number: int
    id: str
    subscriber: str
    log: str
    seq: int
    event_type: str
    state: DeliveryState
    attempts: int
    created: EpochNs
    due: EpochNs
    tried: EpochNs | None
    status: int | None
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries to list, newest first. Empty strings match everything."""

    state: str = ""
    subscriber: str = ""
    before_number: int | None = None  # exclusive; the cursor
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What a subscriber was not told yet.

    Attributes:
        waiting: Deliveries that are to be sent.
        dead: Deliveries that were given up, also because the receiver wants no more.
        oldest: When the oldest record was written that it was not told of, whether or not that is a delivery yet, or
            even an event; None if there is none.
    """

    subscriber: str
    waiting: int
    dead: int
    oldest: EpochNs | None
