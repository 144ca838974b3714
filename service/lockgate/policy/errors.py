"""Why policy gave no usable answer. Every one means: nothing is promoted."""

from typing import ClassVar

from lockgate.errors import LockgateError


class PolicyFailureError(LockgateError):
    """Policy gave no usable answer."""

    code: ClassVar[str] = "policy.failed"


class PolicyUnavailableError(PolicyFailureError):
    """The engine did not answer in time, or answers for another policy revision."""

    code: ClassVar[str] = "policy.unavailable"


class PolicyUndefinedError(PolicyFailureError):
    """The engine answered, but the entrypoint is undefined: a missing or misnamed policy."""

    code: ClassVar[str] = "policy.undefined"


class PolicyInvalidError(PolicyFailureError):
    """The answer breaks `schemas/v1/policy/result.json`, or contradicts itself."""

    code: ClassVar[str] = "policy.invalid"


class PolicyEvaluationError(PolicyFailureError):
    """The policy itself failed: a built-in error or conflicting rules."""

    code: ClassVar[str] = "policy.evaluation"


class PolicyInputError(PolicyFailureError):
    """The input breaks `schemas/v1/policy/input.json`; it was not sent to any engine."""

    code: ClassVar[str] = "policy.input"


class PolicyBuildError(LockgateError):
    """The policy's sources cannot be built into a module that may be trusted."""

    code: ClassVar[str] = "policy.build"


class PolicyStaleError(PolicyBuildError):
    """The compiled module is not of these sources, and cannot be rebuilt here."""

    code: ClassVar[str] = "policy.stale"
