"""Why the client has no decision to show. Each ends the command with the exit code that `main.py` gives it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final

from lockgate.errors import LockgateError

# The gate understood that the request itself is wrong: sending it again cannot help.
_REQUEST_AT_FAULT: Final = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)
_COME_BACK: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE})


class ClientError(LockgateError):
    """There is no decision to show."""

    code: ClassVar[str] = "client.failed"


class GateUnreachableError(ClientError):
    """The gate gave no whole answer: refused, cut off, too slow, or its certificate is not trusted."""

    code: ClassVar[str] = "client.unreachable"


class AnswerInvalidError(ClientError):
    """What answered is not a gate, or contradicts itself."""

    code: ClassVar[str] = "client.answer_invalid"


class ReceiptInvalidError(ClientError):
    """The answer's receipt does not prove that the decision shown was recorded for what was asked."""

    code: ClassVar[str] = "client.receipt_invalid"


class DecisionExpiredError(ClientError):
    """The decision was worth something until an instant that has passed."""

    code: ClassVar[str] = "client.decision_expired"


class RoleNotHeldError(ClientError):
    """Whoever wants to approve does not hold the role that they named."""

    code: ClassVar[str] = "client.role_not_held"


class PolicyChangedError(ClientError):
    """The policy is not the one that made the decision shown, and nobody was asked whether that matters."""

    code: ClassVar[str] = "client.policy_changed"


class PromotionClosedError(ClientError):
    """The promotion was withdrawn or ran out; no decision of it stands."""

    code: ClassVar[str] = "client.promotion_closed"


class OutputError(ClientError):
    """The answer could not be written where it was to go."""

    code: ClassVar[str] = "client.output"


class ReaderGoneError(OutputError):
    """Whoever read standard output has gone away."""


class NotSentError(ClientError):
    """The person asked did not say yes; nothing was sent."""

    code: ClassVar[str] = "client.not_sent"


class ProblemError(ClientError):
    """The gate said why it made no decision (RFC 9457).

    Attributes:
        status: The HTTP status.
    """

    code: ClassVar[str] = "client.problem"

    def __init__(self, problem: Mapping[str, Any]) -> None:
        pointer = f" at {problem['pointer']}" if "pointer" in problem else ""
        super().__init__(f"{problem['title']}: {problem['detail']}{pointer} ({problem['status']}, {problem['code']})")
        self.status: int = problem["status"]

    @property
    def request_at_fault(self) -> bool:
        """Whether the request itself is wrong, so that sending it again cannot help."""
        return self.status in _REQUEST_AT_FAULT

    @property
    def come_back(self) -> bool:
        """Whether the gate may answer the same request later."""
        return self.status in _COME_BACK
