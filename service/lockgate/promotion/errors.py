"""Why the gate made no decision, or will not take what it was told. Nothing was changed when one is raised."""

from typing import ClassVar

from lockgate.errors import LockgateError


class PromotionError(LockgateError):
    """The gate made no decision."""

    code: ClassVar[str] = "promotion.failed"


class PromotionUnknownError(PromotionError):
    """No promotion has this id."""

    code: ClassVar[str] = "promotion.unknown"


class PromotionClosedError(PromotionError):
    """The promotion is no longer pending; only a new request can move the model."""

    code: ClassVar[str] = "promotion.closed"


class EvidenceErasedError(PromotionError):
    """Evidence of the promotion was erased from the log, so it cannot be decided anew; only a new request can."""

    code: ClassVar[str] = "promotion.evidence_erased"


class ApprovalStaleError(PromotionError):
    """What the approver saw is not what the gate holds now: digest, transition, evidence or policy moved."""

    code: ClassVar[str] = "approval.stale"


class ApprovalRepeatedError(PromotionError):
    """This person already approved exactly this."""

    code: ClassVar[str] = "approval.repeated"


class ApprovalsFullError(PromotionError):
    """The promotion holds as many approvals as it may."""

    code: ClassVar[str] = "approval.too_many"


class ContendedError(PromotionError):
    """Others changed the promotion each time the gate tried to decide; try again."""

    code: ClassVar[str] = "promotion.contended"


class EvaluationTooOldError(PromotionError):
    """Evaluating took so long that its result may not be committed any more."""

    code: ClassVar[str] = "promotion.too_slow"


class RolloutStateError(PromotionError):
    """The promotion does not stand where it must for this step."""

    code: ClassVar[str] = "rollout.wrong_state"
