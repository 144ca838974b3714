"""Who calls: known before any view runs, for every view but those that are open to all.

Programs prove it by a bearer token in a header; browsers of people who logged in, by a session in a cookie.
"""

import functools
import re
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from flask import Flask, g, request

from lockgate import observing
from lockgate.authentication import Authenticator
from lockgate.identity import Principal, TokenRefusal
from lockgate.identity.id_tokens import TOKEN_BYTES_MAX
from lockgate.web.cookies import Cookies
from lockgate.web.problems import TwoCredentialsError, UnauthenticatedError

P = ParamSpec("P")
R = TypeVar("R")

_BEARER: Final = re.compile(rf"Bearer ([A-Za-z0-9_.-]{{1,{TOKEN_BYTES_MAX}}})", re.ASCII)
_SESSION: Final = re.compile(r"lgt_[A-Za-z0-9_-]{16,256}", re.ASCII)  # an API token, and none of an issuer
_WANTED: Final = "want 'Authorization: Bearer <token>'"
_OPEN: Final = "lockgate_open"


def open_to_all(view: Callable[P, R]) -> Callable[P, R]:
    """Mark a view as open: health, and the way in. It needs no token and tells nothing that a token protects."""
    setattr(view, _OPEN, True)
    return view


def is_open(view: Callable[..., object] | None) -> bool:
    """Tell whether a view is marked as open to all."""
    return getattr(view, _OPEN, False)


def register_authentication(app: Flask, authenticator: Authenticator, cookies: Cookies | None) -> None:
    """Authenticate every request but those for what is open.

    Args:
        app: The application.
        authenticator: Who knows whom a token stands for.
        cookies: Of people who log in; None: nobody does, and a cookie is nothing.
    """
    app.before_request(functools.partial(_authenticate, app, authenticator, cookies))


def caller() -> Principal:
    """Return who calls; only inside a view that is not open."""
    principal: Principal = g.principal
    return principal


def presented_bearer() -> str:
    """Return the token that came with the request, believed or not; "" if none did. It must not be shown."""
    bearer: str = g.get("bearer", "")
    return bearer


def _authenticate(app: Flask, authenticator: Authenticator, cookies: Cookies | None) -> None:
    if is_open(app.view_functions.get(request.endpoint or "")):
        return
    bearer = _read_bearer(cookies)
    if bearer is None:
        observing.authentication("identity.token_missing")
        raise UnauthenticatedError(_WANTED)
    g.bearer = bearer
    who = authenticator.authenticate(bearer)
    if isinstance(who, TokenRefusal):
        raise UnauthenticatedError(f"{_WANTED}: {who.detail}")
    g.principal = who


def _read_bearer(cookies: Cookies | None) -> str | None:
    header, session = request.headers.get("Authorization"), cookies.session() if cookies else None
    if header is not None and session is not None:
        raise TwoCredentialsError("want a bearer token or a session, got both")
    if cookies is not None and session is not None:
        cookies.check_origin()
        return session if _SESSION.fullmatch(session) else None
    match = _BEARER.fullmatch(header or "")
    return match[1] if match else None
