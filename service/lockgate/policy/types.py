"""What policy is asked and what it answers. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, NewType, Protocol

from lockgate.digests import Sha256Hex

PolicyInput = NewType("PolicyInput", Mapping[str, Any])
"""A JSON object valid under `schemas/v1/policy/input.json`; only `lockgate.policy.documents` makes one."""

PolicyRevision = NewType("PolicyRevision", str)
"""`sha256:<hex>` over the policy's sources and data; changes when any byte of either does."""


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
class RuleInfo:
    """One rule of the catalogue, from its METADATA block."""

    rule_id: str
    title: str
    description: str
    severity: Literal["low", "medium", "high", "critical"]
    remediation: str
    approvable: bool  # True: a failure can be mended by more approvals alone
    category: Literal["signature", "transition", "approval", "freeze"]
    controls: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyCatalogue:
    """What a policy revision consists of."""

    revision: PolicyRevision
    rules: tuple[RuleInfo, ...]  # every one of these must be evaluated in every decision


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
        """Evaluate the one entrypoint.

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
