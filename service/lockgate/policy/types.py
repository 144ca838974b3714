"""What policy is asked and what it answers. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal, NewType, Protocol, TypeAlias

from lockgate.clock import EpochNs
from lockgate.digests import Digest, Sha256Hex

PolicyInput = NewType("PolicyInput", Mapping[str, Any])
"""A JSON object valid under `schemas/v1/policy/input.json`; only `lockgate.policy.documents` makes one."""

PolicyRevision = NewType("PolicyRevision", str)
"""`sha256:<hex>` over the policy's sources and data; changes when any byte of either does."""

AuthzInput = NewType("AuthzInput", Mapping[str, Any])
"""A JSON object valid under `schemas/v1/policy/authz_input.json`; only `lockgate.policy.authorization` makes one."""

# The module's and bundle's entrypoints, as OPA's paths are written.
PROMOTION_DECISION: Final = "lockgate/promotion/decision"
AUTHZ_DECISION: Final = "lockgate/authz/decision"

RequestKind: TypeAlias = Literal["promote", "rollback"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPrincipal:
    """Somebody who asks or approves."""

    subject: str
    type: Literal["user", "machine"]
    roles: tuple[str, ...]  # in full, for example "approver:ml-lead"
    identities: tuple[str, ...]  # what else this principal signs as; the subject need not be among them


@dataclass(frozen=True, slots=True, kw_only=True)
class ContributorFact:
    """Somebody who made the artifact, as the request names them."""

    subject: str
    role: Literal["author", "trainer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRequest:
    """The promotion request."""

    id: str  # a UUID
    kind: RequestKind
    model: str
    version: str
    digest: Digest
    from_environment: str
    to_environment: str
    requester: PolicyPrincipal
    contributors: tuple[ContributorFact, ...]
    requested_at: EpochNs
    expires_at: EpochNs


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFact:
    """What a certificate authority states about a signer."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureFact:
    """A verified signature over the request's digest."""

    kind: Literal["message", "statement"]
    trust_domain: str
    identity: str
    identity_type: Literal["email", "uri", "username", "key", "certificate"]
    issuer: str  # "" for keys and plain certificates
    claims: tuple[ClaimFact, ...]
    predicate_type: str  # "" for a message
    signed_at: EpochNs | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalFact:
    """Evidence that proved nothing."""

    code: str
    trust_domain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFacts:
    """What became of the evidence."""

    digest: Digest  # sha256 over every bundle handed in; approvals are bound to it
    signatures: tuple[SignatureFact, ...]
    refusals: tuple[RefusalFact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalFact:
    """One approval or rejection of the request, and what exactly it was given for."""

    id: str  # a UUID
    verdict: Literal["approve", "reject"]
    role: str  # without the prefix "approver:"
    approver: PolicyPrincipal
    digest: Digest
    kind: RequestKind
    from_environment: str
    to_environment: str
    evidence_digest: Digest
    policy_revision: PolicyRevision
    approved_at: EpochNs
    expires_at: EpochNs


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetFact:
    """What the run that made a version read."""

    name: str
    digest: str  # as the registry writes it; "" where nobody said
    context: str  # what for, for example "training"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureServiceFact:
    """The feature service that a version declares."""

    status: Literal[
        "none", "resolved", "unresolved"
    ]  # unresolved: not found, or nobody could tell whether there is one
    project: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureViewFact:
    """One view of the feature service."""

    project: str
    name: str
    found: bool
    owner: str  # "" where nobody owns it
    deprecated: bool
    pii: bool
    definition_sha256: str  # "" where it was not found


@dataclass(frozen=True, slots=True, kw_only=True)
class LineageFacts:
    """What the snapshot says that was frozen when the request was made."""

    digest: Digest  # of the snapshot
    collected_at: EpochNs
    artifact: str  # the version's digest as its registry knows it; "" where it knows none
    run: str
    code_commit: str
    datasets: tuple[DatasetFact, ...]
    feature_service: FeatureServiceFact
    feature_views: tuple[FeatureViewFact, ...]
    truncated: tuple[str, ...]  # lists that had more than the snapshot holds
    score: int  # how complete it is, in percent


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFacts:
    """What the gate knows of before.

    Attributes:
        allowed_in_target: This exact digest of this model was allowed in the target environment before.
        held: A hold on the model in the target environment is in force.
        rolled_back: And a rollback there moved away from this exact digest.
        registered_digest: What was registered as this version of this model; "" where nothing was.
    """

    allowed_in_target: bool
    held: bool
    rolled_back: bool
    registered_digest: str


class RuleStatus(StrEnum):
    """What became of one rule in one evaluation."""

    PASS = "pass"  # noqa: S105 - a status, not a password
    FAIL = "fail"
    NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One value that a rule read, by name."""

    name: str
    value: str | int | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One reason to deny."""

    rule_id: str
    code: str  # stable, `<rule>.<reason>`, for example "approvals.missing"
    title: str
    severity: Literal["low", "medium", "high", "critical"]
    remediation: str
    details: tuple[Detail, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOutcome:
    """One rule that was evaluated."""

    rule_id: str
    status: RuleStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingApprovals:
    """How many approvals one role still owes."""

    role: str
    need: int
    have: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalOutcome:
    """Whether one approval counts, and if not, why not."""

    approval_id: str
    counted: bool
    reasons: tuple[str, ...]  # stable codes, for example "requester", "expired", "policy_revision_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyResult:
    """A complete, schema-valid answer of the policy. Not yet a decision: `lockgate.promotion.decide` makes that."""

    allow: bool
    tier: str  # the model's tier that the matrix was read for; "" when the model is unknown
    rules: tuple[RuleOutcome, ...]  # sorted by rule_id
    violations: tuple[Violation, ...]  # sorted by rule_id, code, details
    missing_approvals: tuple[MissingApprovals, ...]  # sorted by role
    approvals: tuple[ApprovalOutcome, ...]  # sorted by approval_id
    revision: PolicyRevision
    engine: str  # "opa-http" or "opa-wasm"
    engine_version: str
    input_sha256: Sha256Hex


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthzResult:
    """Whether a call is permitted: a complete, schema-valid answer of the policy."""

    allow: bool
    reason: str  # a stable code; "granted" if and only if allowed
    revision: PolicyRevision


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleInfo:
    """One rule of the catalogue, from its METADATA block."""

    rule_id: str
    title: str
    description: str
    severity: Literal["low", "medium", "high", "critical"]
    remediation: str
    approvable: bool  # True: a failure can be mended by more approvals alone
    category: Literal["signature", "transition", "approval", "freeze", "lineage"]
    controls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TransitionInfo:
    """A way from one environment to another that its data name."""

    kind: RequestKind
    from_environment: str
    to_environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCatalogue:
    """What a policy revision consists of."""

    revision: PolicyRevision
    rules: tuple[RuleInfo, ...]  # every one of these must be evaluated in every decision
    environments: tuple[str, ...] = ()  # that its data name
    transitions: tuple[TransitionInfo, ...] = ()  # between them
    roles: tuple[str, ...] = ()  # that its matrix asks approvals of
    models: tuple[str, ...] = ()  # that it may allow


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledPolicy:
    """A policy that was tested, checked and compiled, with the data that it decides by."""

    catalogue: PolicyCatalogue
    entrypoints: tuple[str, ...]  # sorted
    opa_version: str  # of the OPA that compiled it
    wasm: bytes = field(repr=False)
    data: Mapping[str, Any] = field(repr=False)  # the data document, from its root


class PolicyEngine(Protocol):
    """Something that evaluates the policy. Two adapters: `opa.OPAEngine` and `wasm.WasmEngine`."""

    @property
    def name(self) -> str:
        """`opa-http` or `opa-wasm`."""
        ...

    def catalogue(self) -> PolicyCatalogue:
        """Return the revision that this engine evaluates, and its rules.

        Raises:
            PolicyUnavailableError: The engine cannot be reached, or runs another revision than the one configured.
        """
        ...

    def evaluate(self, document: PolicyInput, *, timeout_s: float) -> PolicyResult:
        """Evaluate what is decided on a promotion.

        Args:
            document: A valid policy input.
            timeout_s: The whole budget, connection included.

        Raises:
            PolicyUnavailableError: No answer in time: transport, time-out, 5xx, wrong revision.
            PolicyUndefinedError: The entrypoint is undefined for this input.
            PolicyInvalidError: The answer breaks the result schema or contradicts itself.
            PolicyEvaluationError: A built-in failed or rules conflict.
        """
        ...

    def authorize(self, document: AuthzInput, *, timeout_s: float) -> AuthzResult:
        """Evaluate whether a call is permitted.

        Args:
            document: A valid authorisation input.
            timeout_s: The whole budget, connection included.

        Raises:
            PolicyFailureError: As in `evaluate`. Nothing is permitted then.
        """
        ...
