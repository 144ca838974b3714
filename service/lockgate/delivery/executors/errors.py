"""Why an executor could not carry an order out."""

from typing import ClassVar

from lockgate.errors import LockgateError


class ExecutorError(LockgateError):
    """Not this time; worth another try, as every error of a registry but those below."""

    code: ClassVar[str] = "rollout.failed"


class ExecutorUnavailableError(ExecutorError):
    """It gave no whole answer within the limits, or said that it cannot now."""

    code: ClassVar[str] = "rollout.unavailable"


class ExecutorRefusedError(ExecutorError):
    """It does not let us, or not with this permit."""

    code: ClassVar[str] = "rollout.refused"


class ExecutorAnswerError(ExecutorError):
    """It answered something that its interface does not know, or more than we take."""

    code: ClassVar[str] = "rollout.answer"


class OrderImpossibleError(ExecutorError):
    """It will not become possible by trying again; whoever wants it asks for another promotion."""

    code: ClassVar[str] = "rollout.impossible"


class PointerElsewhereError(OrderImpossibleError):
    """Somebody else moved what was to be moved, before or at the same moment. Nothing is tried again."""

    code: ClassVar[str] = "rollout.pointer_moved"


class SourceNotPinnedError(OrderImpossibleError):
    """Where the version's files are does not say which bytes they are; they may change after the decision."""

    code: ClassVar[str] = "rollout.source_not_pinned"


class VersionGoneError(OrderImpossibleError):
    """The registry has no such version any more."""

    code: ClassVar[str] = "rollout.version_gone"
