"""What carrying decisions out is asked and answers: pointers, rollouts, observations, holds, what is live. Pure."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from lockgate.audit.types import Receipt
from lockgate.clock import EpochNs
from lockgate.lifecycle.intervals import LiveInterval
from lockgate.promotion.types import Promotion, PromotionAnswer, Rollout, TransitionKind

ObservationResult: TypeAlias = Literal["confirmed", "unchanged", "out_of_band"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """A pointer, whether or not it is there.

    Attributes:
        registry: By its name in the settings.
        registry_model: The model's name there.
        alias: "" where the environment has no pointer in that registry.
    """

    registry: str
    registry_model: str
    alias: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutAnswer:
    """Where a rollout stands after what was asked or reported.

    Attributes:
        outcome: The promotion, its newest decision and that decision's receipt.
        rollout: None where it never got a permit.
        receipt: Of the newest record.
        permit: The signed permit, a secret until it ends; "" where none was given.
    """

    outcome: PromotionAnswer
    rollout: Rollout | None
    receipt: Receipt
    permit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservationAnswer:
    """What became of an observation.

    Attributes:
        result: It confirmed a promotion; it is what was live already; or nobody promoted what was seen.
        interval: What is live since.
        promotion: The one that was confirmed, or None.
        seconds: From its request to now, or None.
        receipt: Of the record; None where nothing changed.
    """

    result: ObservationResult
    interval: LiveInterval
    promotion: Promotion | None = None
    seconds: int | None = None
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A hold that is in force."""

    model: str
    environment: str
    promotion_id: str  # the rollback that placed it; "" = a finding did
    placed: EpochNs


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPlace:
    """Where a record lies."""

    kind: str
    id: str
    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LetIn:
    """Who let a version in, by what right, and which records say so.

    Attributes:
        approvals: (approver, role) of each approval that counted in the last decision.
        evidence: The digest of the evidence.
        records: The decision, the permit and the confirmation; those that were pruned are not here any more, and with
            the decision's go `approvals` and `policy_revision`.
    """

    promotion_id: str
    kind: TransitionKind
    requester: str
    requested: EpochNs
    approvals: tuple[tuple[str, str], ...]
    policy_revision: str
    evidence: str
    records: tuple[RecordPlace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAnswer:
    """What was live at one instant.

    Attributes:
        at: That instant.
        interval: None where nothing had been seen.
        let_in: None where nobody did: out of band.
        desired: What should be live: the promotion that is being carried out, else the newest that may be. Only of now.
        held: Whether a hold is in force now.
        is_proven: All of it is in the log, so that it may be signed; else records were pruned, or are too far back.
    """

    at: EpochNs
    interval: LiveInterval | None
    let_in: LetIn | None
    desired: Promotion | None
    held: bool
    is_proven: bool
