"""The gate itself: requests, approvals, decisions. Composes evidence, policy, identity and the audit log.

Promises: an allow is a positive assertion of every rule; state and record commit together or not at all; an approval
counts only for exactly what it names; an error is never an allow.

May be imported: everything named here, and the pure files `types`, `kinds`, `states`, `change_ids`, `parsing` and
`errors`; by `lifecycle`, which carries out what is decided here, all of it.
"""

from lockgate.promotion.decisions import decide
from lockgate.promotion.errors import (
    ApprovalRepeatedError,
    ApprovalsFullError,
    ApprovalStaleError,
    ContendedError,
    EvaluationTooOldError,
    EvidenceErasedError,
    PromotionClosedError,
    PromotionError,
    PromotionUnknownError,
)
from lockgate.promotion.evaluation import Evaluator
from lockgate.promotion.gate import Gate, GateSettings
from lockgate.promotion.hold_store import held_by
from lockgate.promotion.kinds import GATE_KINDS
from lockgate.promotion.needs import open_needs
from lockgate.promotion.parsing import REQUEST_BYTES_MAX, approval_document, parse_approval_request
from lockgate.promotion.recorded_holds import find_recorded
from lockgate.promotion.register import Register
from lockgate.promotion.store import PromotionFilter
from lockgate.promotion.types import (
    Approval,
    ApprovalAnswer,
    Decision,
    Promotion,
    PromotionAnswer,
    PromotionState,
    Verdict,
    WaitingPromotions,
    WithdrawalAnswer,
)

__all__ = [
    "GATE_KINDS",
    "REQUEST_BYTES_MAX",
    "Approval",
    "ApprovalAnswer",
    "ApprovalRepeatedError",
    "ApprovalStaleError",
    "ApprovalsFullError",
    "ContendedError",
    "Decision",
    "EvaluationTooOldError",
    "Evaluator",
    "EvidenceErasedError",
    "Gate",
    "GateSettings",
    "Promotion",
    "PromotionAnswer",
    "PromotionClosedError",
    "PromotionError",
    "PromotionFilter",
    "PromotionState",
    "PromotionUnknownError",
    "Register",
    "Verdict",
    "WaitingPromotions",
    "WithdrawalAnswer",
    "approval_document",
    "decide",
    "find_recorded",
    "held_by",
    "open_needs",
    "parse_approval_request",
]
