"""Why a promotion is not carried out as asked, or nothing is rolled back. Nothing was changed when one is raised."""

from typing import ClassVar

from lockgate.promotion.errors import PromotionError


class RolloutUnderWayError(PromotionError):
    """Another promotion of the model into the environment is being carried out."""

    code: ClassVar[str] = "rollout.under_way"


class RolloutStepError(PromotionError):
    """A step that leads back, or nowhere."""

    code: ClassVar[str] = "rollout.no_step"


class PermitUnknownError(PromotionError):
    """This is not the promotion's newest permit."""

    code: ClassVar[str] = "permit.unknown"


class PermitUsedError(PromotionError):
    """The permit was used before; each is for one use."""

    code: ClassVar[str] = "permit.used"


class PermitExpiredError(PromotionError):
    """The permit ran out before it was used; ask for another one."""

    code: ClassVar[str] = "permit.expired"


class PermitHeldError(PromotionError):
    """The promotion has a permit that did not end yet; there is one at a time."""

    code: ClassVar[str] = "permit.held"


class EnvironmentUnknownError(PromotionError):
    """The policy in force knows no such environment."""

    code: ClassVar[str] = "environment.unknown"


class HoldUnknownError(PromotionError):
    """No hold is in force on the model in the environment."""

    code: ClassVar[str] = "hold.unknown"


class NoGoodVersionError(PromotionError):
    """There is no version to roll back to: none that was seen to run there by a promotion, and was not found bad."""

    code: ClassVar[str] = "rollback.no_good_version"
