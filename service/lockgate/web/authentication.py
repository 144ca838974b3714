"""Who calls: known before any view runs, for every view but health."""

import functools
import re
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from flask import Flask, g, request

from lockgate import observing
from lockgate.authentication import Authenticator
from lockgate.identity import Principal, TokenRefusal
from lockgate.identity.id_tokens import TOKEN_BYTES_MAX
from lockgate.web.problems import UnauthenticatedError

P = ParamSpec("P")
R = TypeVar("R")

_BEARER: Final = re.compile(rf"Bearer ([A-Za-z0-9_.-]{{1,{TOKEN_BYTES_MAX}}})", re.ASCII)
_WANTED: Final = "want 'Authorization: Bearer <token>'"
_OPEN: Final = "lockgate_open"


def open_to_all(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view as health: it needs no token and tells nothing that a token protects."""
    setattr(view, _OPEN, True)
    return view


def is_open(view: Callable[..., object] | None) -> bool:
    """Tell whether a view is marked as open to all."""
    return getattr(view, _OPEN, False)


def register_authentication(app: Flask, authenticator: Authenticator) -> None:
    """Authenticate every request but those for health."""
    app.before_request(functools.partial(_authenticate, app, authenticator))


def caller() -> Principal:
    """Return who calls; only inside a view that is not open."""
    principal: Principal = g.principal
    return principal


def _authenticate(app: Flask, authenticator: Authenticator) -> None:
    if is_open(app.view_functions.get(request.endpoint or "")):
        return
    match = _BEARER.fullmatch(request.headers.get("Authorization", ""))
    if match is None:
        observing.authentication("identity.token_missing")
        raise UnauthenticatedError(_WANTED)
    who = authenticator.authenticate(match[1])
    if isinstance(who, TokenRefusal):
        raise UnauthenticatedError(f"{_WANTED}: {who.detail}")
    g.principal = who
