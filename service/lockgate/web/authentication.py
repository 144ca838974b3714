"""Who calls, and whether they may: before any view runs, for every view but health."""

import functools
import re
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from flask import Flask, g, request

from lockgate import observing
from lockgate.authentication import Authenticator
from lockgate.identity import Permission, Principal, TokenRefusal, permits
from lockgate.identity.id_tokens import TOKEN_BYTES_MAX
from lockgate.promotion import NotPermittedError
from lockgate.web.problems import UnauthenticatedError

P = ParamSpec("P")
R = TypeVar("R")

_BEARER: Final = re.compile(rf"Bearer ([A-Za-z0-9_.-]{{1,{TOKEN_BYTES_MAX}}})", re.ASCII)
_WANTED: Final = "want 'Authorization: Bearer <token>'"
_OPEN: Final = "lockgate_open"
_PERMISSION: Final = "lockgate_permission"


def open_to_all(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view as health: it needs no token and tells nothing that a token protects."""
    setattr(view, _OPEN, True)
    return view


def needs(permission: Permission) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Mark a view with the permission that its caller must have."""

    def mark(view: Callable[P, R]) -> Callable[P, R]:
        setattr(view, _PERMISSION, permission)
        return view

    return mark


def register_authentication(app: Flask, authenticator: Authenticator) -> None:
    """Authenticate and authorise every request; a view that carries no mark is refused to everybody."""
    app.before_request(functools.partial(_authorise, app, authenticator))


def caller() -> Principal:
    """Return who calls; only inside a view that is not open."""
    principal: Principal = g.principal
    return principal


def _authorise(app: Flask, authenticator: Authenticator) -> None:
    view = app.view_functions.get(request.endpoint or "")
    if getattr(view, _OPEN, False):
        return
    match = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    if match is None:
        observing.authentication("identity.token_missing")
        raise UnauthenticatedError(_WANTED)
    principal = authenticator.authenticate(match[1])
    if isinstance(principal, TokenRefusal):
        raise UnauthenticatedError(f"{_WANTED}: {principal.detail}")
    g.principal = principal
    if view is None:
        return  # Flask answers 404 or 405, now that we know that somebody of ours asks
    permission = getattr(view, _PERMISSION, None)
    if permission is None or not permits(principal, permission):
        wanted = permission.value if permission else "nobody"
        raise NotPermittedError(f"want a role that may '{wanted}', which {principal.subject} does not hold")
