"""Whether a caller may do what they ask for: asked before any view runs, for every view but health.

A view is marked with its operation. One whose operation depends on an object says so, and calls `authorize` with the
object's facts before it does anything; a view that answers without having done so is a defect, and its answer is
withheld.
"""

import functools
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from flask import Flask, current_app, g, request

from lockgate.authorization import Authorizer
from lockgate.errors import LockgateError
from lockgate.identity import NotPermittedError
from lockgate.web.authentication import caller, is_open

P = ParamSpec("P")
R = TypeVar("R")

_AUTHORIZER: Final = "lockgate.authorizer"
_OPERATION: Final = "lockgate_operation"
_BY_OBJECT: Final = "lockgate_by_object"


class ObjectUncheckedError(LockgateError):
    """A view answered without asking whether its object is the caller's: a defect of ours, so nothing is sent."""

    code = "internal.object_unchecked"


def operation(name: str, *, by_object: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a view with its operation.

    Args:
        name: As the policy knows it, for example `promotions.create`.
        by_object: Whether it depends on the object, so that the view calls `authorize`.
    """

    def mark(view: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            g.object_authorized = False
            answer = view(*args, **kwargs)
            if by_object and not g.object_authorized:
                raise ObjectUncheckedError(f"want the object of {name} authorised before the answer")
            return answer

        setattr(checked, _OPERATION, name)
        setattr(checked, _BY_OBJECT, by_object)
        return checked

    return mark


def operation_of(view: Callable[..., object] | None) -> str | None:
    """Return the operation that a view is marked with, if it is."""
    return getattr(view, _OPERATION, None)


def register_authorization(app: Flask, authorizer: Authorizer) -> None:
    """Authorise every request of somebody known; a view that carries no mark is refused to everybody."""
    app.extensions[_AUTHORIZER] = authorizer
    app.before_request(functools.partial(_authorize_role, app))


def authorize(**facts: str) -> None:
    """Make sure that the caller may do this to this object; only inside a view that depends on it.

    Args:
        facts: What the policy reads of the object, for example `requester`.

    Raises:
        NotPermittedError: The policy denies it; that is recorded.
        PolicyFailureError: The policy gave no usable answer.
        AuditError: It is denied, and that could not be recorded.
        StorageError: It is denied, and that could not be recorded.
    """
    authorizer: Authorizer = current_app.extensions[_AUTHORIZER]
    name = operation_of(current_app.view_functions[request.endpoint or ""]) or ""
    authorizer.check(caller(), name, facts, trace=g.trace)
    g.object_authorized = True


def _authorize_role(app: Flask) -> None:
    view = app.view_functions.get(request.endpoint or "")
    if view is None or is_open(view):
        return  # of what is not there Flask says so, 404 or 405, now that we know that somebody of ours asks
    name = operation_of(view)
    if name is None:
        raise NotPermittedError("want a resource that somebody may use, got one without an operation")
    authorizer: Authorizer = app.extensions[_AUTHORIZER]
    if getattr(view, _BY_OBJECT):
        authorizer.check_role(caller(), name, trace=g.trace)
    else:
        authorizer.check(caller(), name, {}, trace=g.trace)
