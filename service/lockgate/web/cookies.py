"""The two cookies that people who log in have, and what a request must say of where it comes from to be believed one.

Source: draft-ietf-httpbis-rfc6265bis-20, section 4.1.3 (name prefixes); W3C Fetch Metadata, section 2.
"""

from dataclasses import dataclass
from typing import Final

from flask import Response, request

from lockgate.errors import LockgateError

ATTEMPT_S: Final = 600  # to find a password and a second factor; a code of the provider lives no longer
_SAFE: Final = frozenset({"GET", "HEAD"})


class CookieRepeatedError(LockgateError):
    """A cookie came twice: somebody else may have set one of them."""

    code = "http.cookie_repeated"


class CrossSiteError(LockgateError):
    """What changes something was sent by a page of another site, or by something that does not say where it is."""

    code = "http.cross_site"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookies:
    """The cookies of one gate.

    Attributes:
        origin: The gate's own, as browsers write it. Over plain HTTP, which is for this machine alone, browsers do not
            take names with the prefix `__Host-`, by which no other host of the domain can set a cookie.
    """

    origin: str

    def session(self) -> str | None:
        """Return the request's session, not believed; None if it has none.

        Raises:
            CookieRepeatedError: There are several.
        """
        return _read(self._session_name)

    def attempt(self) -> str | None:
        """Return the secret of the login that this browser began; None if there is none. Raises as `session`."""
        return _read(self._attempt_name)

    def set_session(self, response: Response, secret: str, lifetime_s: int) -> None:
        """Let the browser keep a session, and send it with what our own pages ask for alone."""
        self._set(response, self._session_name, secret, lifetime_s, "Strict")

    def set_attempt(self, response: Response, secret: str) -> None:
        """Let the browser keep a login's secret; it comes back with whoever the provider sends here."""
        self._set(response, self._attempt_name, secret, ATTEMPT_S, "Lax")

    def forget_session(self, response: Response) -> None:
        """Have the browser forget its session."""
        self._set(response, self._session_name, "", 0, "Strict")

    def forget_attempt(self, response: Response) -> None:
        """Have the browser forget its login."""
        self._set(response, self._attempt_name, "", 0, "Lax")

    def check_origin(self) -> None:
        """Make sure that a request which changes something comes from a page of ours.

        A page cannot set these headers itself. Browsers that are older than the first send the second.

        Raises:
            CrossSiteError: It does not, or does not say so.
        """
        if request.method in _SAFE:
            return
        site = request.headers.get("Sec-Fetch-Site")
        if site != "same-origin" if site is not None else request.headers.get("Origin") != self.origin:
            raise CrossSiteError("want 'Sec-Fetch-Site: same-origin', or this gate's Origin, with a cookie")

    @property
    def _is_secure(self) -> bool:
        return self.origin.startswith("https://")

    @property
    def _session_name(self) -> str:
        return "__Host-lockgate" if self._is_secure else "lockgate"

    @property
    def _attempt_name(self) -> str:
        return f"{self._session_name}-login"

    def _set(self, response: Response, name: str, value: str, lifetime_s: int, same_site: str) -> None:
        response.set_cookie(
            name, value, max_age=lifetime_s, path="/", secure=self._is_secure, httponly=True, samesite=same_site
        )


def _read(name: str) -> str | None:
    values = request.cookies.getlist(name)
    if len(values) > 1:
        raise CookieRepeatedError("want each cookie once; delete this site's cookies and log in again")
    return values[0] if values and values[0] else None
