"""Policy: what the Rego of a policy folder says about one promotion request, and about who may call what.

Two engines answer alike: OPA over HTTP (`opa.OPAEngine`) and the same policy compiled by OPA to Wasm
(`wasm.WasmEngine`). Promises: an answer is complete, valid and of the revision that was asked for, or it is a
`PolicyFailureError` with a stable code; nothing here decides a promotion, reads a clock, or calls out except to the
configured OPA. A module is used only for the sources it was built from (`compiled.load_policy`), and built only after
its tests, its checks and a comparison with OPA (`build.build_policy`).

May be imported: this module by everyone; `compiled`, `opa` and `wasm` by `lockgate.bootstrap`; `build` and
`opa_binary` by the command line.
"""

from lockgate.policy.authorization import OBJECT_MISSING, build_authz_input
from lockgate.policy.documents import build_input, fold_identity, input_bytes
from lockgate.policy.errors import (
    PolicyBuildError,
    PolicyEvaluationError,
    PolicyFailureError,
    PolicyInputError,
    PolicyInvalidError,
    PolicyStaleError,
    PolicyUnavailableError,
    PolicyUndefinedError,
)
from lockgate.policy.in_force import PolicyInForce
from lockgate.policy.types import (
    ApprovalFact,
    ApprovalOutcome,
    AuthzInput,
    AuthzResult,
    ClaimFact,
    CompiledPolicy,
    ContributorFact,
    DatasetFact,
    Detail,
    EvidenceFacts,
    FeatureServiceFact,
    FeatureViewFact,
    HistoryFacts,
    LineageFacts,
    MissingApprovals,
    PolicyCatalogue,
    PolicyEngine,
    PolicyInput,
    PolicyPrincipal,
    PolicyRequest,
    PolicyResult,
    PolicyRevision,
    RefusalFact,
    RequestKind,
    RuleInfo,
    RuleOutcome,
    RuleStatus,
    SignatureFact,
    Violation,
)

__all__ = [
    "OBJECT_MISSING",
    "ApprovalFact",
    "ApprovalOutcome",
    "AuthzInput",
    "AuthzResult",
    "ClaimFact",
    "CompiledPolicy",
    "ContributorFact",
    "DatasetFact",
    "Detail",
    "EvidenceFacts",
    "FeatureServiceFact",
    "FeatureViewFact",
    "HistoryFacts",
    "LineageFacts",
    "MissingApprovals",
    "PolicyBuildError",
    "PolicyCatalogue",
    "PolicyEngine",
    "PolicyEvaluationError",
    "PolicyFailureError",
    "PolicyInForce",
    "PolicyInput",
    "PolicyInputError",
    "PolicyInvalidError",
    "PolicyPrincipal",
    "PolicyRequest",
    "PolicyResult",
    "PolicyRevision",
    "PolicyStaleError",
    "PolicyUnavailableError",
    "PolicyUndefinedError",
    "RefusalFact",
    "RequestKind",
    "RuleInfo",
    "RuleOutcome",
    "RuleStatus",
    "SignatureFact",
    "Violation",
    "build_authz_input",
    "build_input",
    "fold_identity",
    "input_bytes",
]
