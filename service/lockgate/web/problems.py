"""Errors as RFC 9457 problems: the one table from an error's class to an HTTP status."""

from typing import Final

import structlog
from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from lockgate.alerts import (
    AlertPayloadError,
    AlertSourceUnusableError,
    AlertTargetsError,
    AlertUnauthenticatedError,
)
from lockgate.audit import (
    AuditError,
    ErasedError,
    KindUnknownError,
    LogBusyError,
    RecordInvalidError,
    RecordPrunedError,
    RecordUnknownError,
)
from lockgate.canonical_json import JSONTooLargeError, MalformedJSONError
from lockgate.delivery.errors import DeliveryUnknownError
from lockgate.digests import DigestError
from lockgate.errors import LockgateError
from lockgate.gate_logs import LogNotConfiguredError
from lockgate.identity import IssuerUnavailableError, NotPermittedError
from lockgate.lifecycle.errors import (
    EnvironmentUnknownError,
    HoldUnknownError,
    NoGoodVersionError,
    PermitExpiredError,
    PermitHeldError,
    PermitUnknownError,
    PermitUsedError,
    RolloutStepError,
    RolloutUnderWayError,
)
from lockgate.login.errors import (
    CallbackInvalidError,
    IssuerMismatchError,
    LoginBusyError,
    LoginError,
    LoginNotConfiguredError,
    ProviderInvalidError,
    ProviderUnavailableError,
    StateMismatchError,
    StateMissingError,
)
from lockgate.permits import PermitKeyMissingError
from lockgate.policy import PolicyBuildError, PolicyFailureError, PolicyUnavailableError
from lockgate.promotion import (
    ApprovalRepeatedError,
    ApprovalsFullError,
    ApprovalStaleError,
    ContendedError,
    EvaluationTooOldError,
    EvidenceErasedError,
    PromotionClosedError,
    PromotionUnknownError,
)
from lockgate.promotion.errors import RolloutStateError
from lockgate.reconciling.errors import (
    FindingClosedError,
    FindingUnknownError,
    HookStaleError,
    HookUnauthenticatedError,
    HookUnusableError,
)
from lockgate.recording import EventIDReusedError, KindNotPermittedError
from lockgate.registry.errors import (
    DocumentUnknownError,
    LineageUnknownError,
    ModelMovedError,
    ModelRetiredError,
    ModelTakenError,
    ModelUnknownError,
    PointerMovedError,
    RegistryAnswerError,
    RegistryRefusedError,
    RegistryUnavailableError,
    RegistryUnknownError,
    RegistryUnsupportedError,
    VersionRetiredError,
    VersionTakenError,
    VersionUnknownError,
)
from lockgate.schemas import SchemaError
from lockgate.storage import StorageError
from lockgate.storage.idempotency import IdempotencyKeyInvalidError, IdempotencyKeyReusedError
from lockgate.usage import UsageDayError, UsageUnknownError
from lockgate.web.cookies import CookieRepeatedError, CrossSiteError
from lockgate.web.limits import LimitedError
from lockgate.web.responses import json_response

PROBLEM_TYPE_PREFIX: Final = "https://lockgate.dev/problems/"
RETRY_AFTER_S: Final = 2  # a busy database or a restarting engine is back within seconds
DETAIL_CHARS_MAX: Final = 1000

# The first class that matches counts, so that a class stands before the class it derives from.
_STATUSES: Final[tuple[tuple[type[LockgateError], int, str], ...]] = (
    (JSONTooLargeError, 413, "The request is too large"),
    (MalformedJSONError, 400, "The request is not JSON"),
    (SchemaError, 422, "The request breaks its schema"),
    (DigestError, 422, "The request breaks its schema"),
    (IdempotencyKeyInvalidError, 400, "The Idempotency-Key cannot be used"),
    (IdempotencyKeyReusedError, 422, "The Idempotency-Key was used for another request"),
    (IssuerUnavailableError, 503, "The issuer's keys are not known"),
    (NotPermittedError, 403, "Not permitted"),
    (PromotionUnknownError, 404, "No such promotion"),
    (PromotionClosedError, 409, "The promotion is closed"),
    (LogNotConfiguredError, 503, "The promotion's log is not configured"),
    (EvidenceErasedError, 409, "The evidence was erased"),
    (RolloutStateError, 409, "Not its turn"),
    (RolloutUnderWayError, 409, "Another rollout is under way"),
    (RolloutStepError, 409, "No step forward"),
    (PermitUnknownError, 409, "Not the newest permit"),
    (PermitUsedError, 409, "The permit was used"),
    (PermitExpiredError, 409, "The permit ran out"),
    (PermitHeldError, 409, "The permit of before holds"),
    (PermitKeyMissingError, 503, "No permit key"),
    (EnvironmentUnknownError, 404, "No such environment"),
    (HoldUnknownError, 404, "No such hold"),
    (NoGoodVersionError, 409, "No good version"),
    (ApprovalStaleError, 409, "The promotion moved since it was looked at"),
    (ApprovalRepeatedError, 409, "Already approved"),
    (ApprovalsFullError, 409, "Too many approvals"),
    (ContendedError, 503, "Too many at once"),
    (EvaluationTooOldError, 503, "Deciding took too long"),
    (PolicyBuildError, 409, "The policy in the folder cannot be used"),
    (PolicyUnavailableError, 503, "The policy engine does not answer"),
    (PolicyFailureError, 500, "The policy gave no usable answer"),
    (KindUnknownError, 422, "No such kind of record"),
    (RecordInvalidError, 413, "Too large to record"),
    (KindNotPermittedError, 403, "Not permitted"),
    (EventIDReusedError, 409, "The id was used for another record"),
    (ModelUnknownError, 404, "No such model"),
    (LineageUnknownError, 404, "No lineage was collected"),
    (VersionUnknownError, 404, "No such version"),
    (DocumentUnknownError, 404, "No such document"),
    (ModelTakenError, 409, "The model is registered"),
    (VersionTakenError, 409, "The version is registered"),
    (ModelRetiredError, 409, "The model is retired"),
    (VersionRetiredError, 409, "The version is retired"),
    (ModelMovedError, 412, "The model moved since it was looked at"),
    (RegistryUnknownError, 422, "No such registry"),
    (RegistryUnsupportedError, 422, "The registry has no such thing"),
    (PointerMovedError, 409, "The pointer moved"),
    (RegistryRefusedError, 502, "The registry refused"),
    (RegistryAnswerError, 502, "The registry's answer is not understood"),
    (RegistryUnavailableError, 503, "The registry does not answer"),
    (UsageDayError, 422, "The day is out of range"),
    (UsageUnknownError, 422, "No such model or environment"),
    (AlertUnauthenticatedError, 401, "Who are you?"),
    (AlertSourceUnusableError, 503, "The alert source cannot be used"),
    (AlertPayloadError, 422, "The notification is not understood"),
    (AlertTargetsError, 422, "Too many models at once"),
    (RecordUnknownError, 404, "No such record"),
    (ErasedError, 410, "The attachment was erased"),
    (RecordPrunedError, 410, "The record was pruned"),
    (LogBusyError, 503, "Too many at once"),
    (DeliveryUnknownError, 404, "No such delivery"),
    (FindingUnknownError, 404, "No such finding"),
    (FindingClosedError, 409, "The finding is closed"),
    (HookUnauthenticatedError, 401, "Who are you?"),
    (HookStaleError, 400, "Signed too long ago"),
    (HookUnusableError, 503, "The webhook's secret cannot be read"),
    (LoginNotConfiguredError, 404, "Nobody logs in here"),
    (ProviderUnavailableError, 503, "The login's provider does not answer"),
    (ProviderInvalidError, 503, "The login's provider cannot be used"),
    (LoginBusyError, 503, "Too many at once"),
    (StateMissingError, 400, "No login under way"),
    (StateMismatchError, 400, "Another login's answer"),
    (IssuerMismatchError, 400, "Another provider's answer"),
    (CallbackInvalidError, 400, "The provider's answer is not understood"),
    (LoginError, 401, "Not logged in"),
    (AuditError, 503, "The audit log cannot record"),
    (StorageError, 503, "The database is not available"),
)


class UnauthenticatedError(LockgateError):
    """The caller is nobody that we know."""

    code = "identity.unauthenticated"


class TwoCredentialsError(LockgateError):
    """The caller proves in two ways who they are, and we will not choose."""

    code = "http.two_credentials"


class ParameterError(LockgateError):
    """A query parameter or header is unusable."""

    code = "http.parameter"


class MediaTypeError(LockgateError):
    """The body is declared as something other than JSON."""

    code = "http.media_type"


class ConditionMissingError(LockgateError):
    """A change says nothing of what its caller saw before: it might undo somebody else's."""

    code = "http.condition_required"


class LengthRequiredError(LockgateError):
    """The body's length is not declared."""

    code = "http.length_required"


_WEB_STATUSES: Final[tuple[tuple[type[LockgateError], int, str], ...]] = (
    (UnauthenticatedError, 401, "Who are you?"),
    (TwoCredentialsError, 400, "Two proofs of identity"),
    (CookieRepeatedError, 400, "A cookie came twice"),
    (CrossSiteError, 403, "Not from a page of this gate"),
    (ParameterError, 400, "A parameter is unusable"),
    (ConditionMissingError, 428, "The condition is required"),
    (LengthRequiredError, 411, "The length is required"),
    (MediaTypeError, 415, "The content type is not supported"),
)

_HTTP_CODES: Final = {
    400: ("http.bad_request", "The request is not understood"),
    404: ("http.not_found", "No such resource"),
    405: ("http.method_not_allowed", "The method is not allowed"),
    413: ("http.too_large", "The request is too large"),
    415: ("http.media_type", "The content type is not supported"),
}


def register_problems(app: Flask) -> None:
    """Make every error that leaves a view a problem document."""
    app.register_error_handler(LockgateError, lockgate_problem)
    app.register_error_handler(HTTPException, _http_problem)
    app.register_error_handler(Exception, _unforeseen_problem)


def lockgate_problem(error: LockgateError) -> Response:
    """Answer with what an error means."""
    if isinstance(error, LimitedError):
        response = _problem(error.status, error.code, error.title, str(error))
        response.headers["Retry-After"] = str(error.retry_after_s)
        return response
    for kind, status, title in (*_WEB_STATUSES, *_STATUSES):
        if isinstance(error, kind):
            pointer = error.pointer if isinstance(error, SchemaError) else None
            return _problem(status, error.code, title, str(error), pointer=pointer)
    return _unforeseen_problem(error)


def _http_problem(error: HTTPException) -> Response:
    status = error.code or 500
    code, title = _HTTP_CODES.get(status, ("http.error", "The request failed"))
    response = _problem(status, code, title, f"{request.method} {request.path[:200]}: {title.lower()}")
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))  # RFC 9110, section 15.5.6
    return response


def _unforeseen_problem(error: Exception) -> Response:
    # Nothing of the error goes out: its text may hold anything. It goes to the operator's log instead.
    structlog.get_logger().error("unforeseen_error", error=type(error).__name__, trace=g.get("trace"), exc_info=error)
    return _problem(
        500, "internal.unforeseen", "Lockgate failed", "No decision was made. Tell the operator the instance."
    )


def _problem(status: int, code: str, title: str, detail: str, *, pointer: str | None = None) -> Response:
    g.problem_code = code
    document = {
        "type": PROBLEM_TYPE_PREFIX + code,
        "title": title,
        "status": status,
        "detail": detail[:DETAIL_CHARS_MAX],
        "instance": f"urn:uuid:{g.get('trace', '')}",
        "code": code,
    }
    if pointer is not None:
        document["pointer"] = pointer[:500]
    response = json_response("v1/api/problem", document, status=status)
    response.mimetype = "application/problem+json"
    if status == 503:  # noqa: PLR2004 - the status itself
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    if status == 401:  # noqa: PLR2004 - the status itself
        response.headers["WWW-Authenticate"] = 'Bearer realm="lockgate"'
    return response
