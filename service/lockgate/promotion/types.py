"""The gate's own values, each knowing more than the one before it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

from lockgate.audit.types import Receipt
from lockgate.clock import EpochNs
from lockgate.digests import Digest, Sha256Hex
from lockgate.evidence.types import Refusal, VerifiedSignature
from lockgate.policy.types import PolicyRevision

WHOLE_PERCENT: Final = 100  # of traffic

TransitionKind: TypeAlias = Literal["promote", "rollback"]


class Verdict(StrEnum):
    """The gate's answer."""

    ALLOW = "allow"
    DENY = "deny"
    PENDING = "pending"


class PromotionState(StrEnum):
    """Where a promotion stands.

    Asked for, it is pending until people or the policy have said enough; allowed, it may get a permit and be carried
    out. An allow is no deployment: only an observation confirms one. All but the first four are final.
    """

    PENDING = "pending"
    ALLOWED = "allowed"
    PERMITTED = "permitted"  # an executor holds a permit to move the pointer
    EXECUTING = "executing"  # the pointer was moved; what runs was not seen yet
    CONFIRMED = "confirmed"  # it was seen to run
    FAILED = "failed"  # it could not be carried out
    SUPERSEDED = "superseded"  # another promotion into the environment was carried out instead
    DENIED = "denied"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """From where to where."""

    kind: TransitionKind
    from_environment: str
    to_environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributor:
    """Who made the model, as the requester says; naming someone can only take rights away."""

    subject: str
    role: Literal["author", "trainer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceItem:
    """One bundle that was handed in, by digest, and where the requester says it can be verified."""

    trust_domain: str
    bundle_sha256: Sha256Hex


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRequest:
    """A well-formed request; nothing in it is trusted yet.

    Attributes:
        evidence_digest: SHA-256 over the canonical list of (trust domain, bundle digest), in the order given.
    """

    transition: Transition
    model: str
    version: str
    digest: Digest
    contributors: tuple[Contributor, ...]
    evidence: tuple[EvidenceItem, ...]
    evidence_digest: Digest
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """A well-formed request and the bytes of its bundles, by SHA-256. Nothing in them is trusted."""

    request: PromotionRequest
    bundles: Mapping[Sha256Hex, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEvidence:
    """What evidence became: what survived, and what did not."""

    signatures: tuple[VerifiedSignature, ...]
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A promotion request that the gate has taken in, and where it stands."""

    id: str
    state: PromotionState
    row_version: int
    request: PromotionRequest
    requester: str
    created: EpochNs
    expires: EpochNs
    decision_id: str
    log: str  # which log holds its records, by the name that `Logs` knows
    lineage: Sha256Hex | Literal[""] = ""  # of the snapshot that was frozen when it was asked for; "" = there was none


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingPromotions:
    """The promotions into one environment that nobody has closed yet."""

    to_environment: str
    pending: int
    expired: int  # their time ran out; the next operation records it
    oldest: EpochNs | None  # when the oldest pending one was asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What exactly an approval approves. Change any of it and the approval no longer counts."""

    digest: Digest
    transition: Transition
    evidence_digest: Digest
    policy_revision: PolicyRevision


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequest:
    """What an approver says; not yet checked against what the gate holds."""

    verdict: Literal["approve", "reject"]
    role: str
    binding: Binding
    comment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's word about one exact promotion, as recorded."""

    id: str
    promotion_id: str
    approver: str
    verdict: Literal["approve", "reject"]
    role: str
    binding: Binding
    comment: str  # the commitment to what the approver said, "sha256:<hex>"; empty if nothing
    approved: EpochNs
    expires: EpochNs


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The gate's answer, with the one canonical document that says why (schema `v1/api/decision`)."""

    verdict: Verdict
    document: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionAnswer:
    """What the gate says of one promotion: where it stands, its newest decision, that decision's receipt."""

    promotion: Promotion
    decision: Decision
    receipt: Receipt
    fresh: bool = False  # the decision was made just now, for this answer


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalAnswer:
    """A recorded withdrawal, its receipt, and where it left the promotion."""

    withdrawal: dict[str, Any]  # the record's body (schema `v1/api/withdrawal`)
    reason_disclosure: str  # of the withdrawal's reason; empty if there is none
    withdrawal_receipt: Receipt
    outcome: PromotionAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAnswer:
    """A recorded approval, its receipt, and what it led to."""

    approval: Approval
    comment_disclosure: str  # of the approval's comment; empty if there is none
    approval_receipt: Receipt
    outcome: PromotionAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """How far carrying out a promotion has come."""

    promotion_id: str
    model: str
    environment: str
    target: str  # who carries it out; "pull" = whoever asks
    under_way: bool
    step: int  # steps done
    percent: int  # of traffic, after the last step
    permit_id: str  # the newest
    row_version: int
