"""One attempt to log in, from leaving for the provider to coming back. Pure, but for drawing the secret.

All that ties the two together is one secret, which stays where the attempt began: in a cookie of the browser, or in
the memory of the command. What is sent out are HMACs of it, so that none tells another.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lockgate.login.errors import (
    CallbackInvalidError,
    IssuerMismatchError,
    LoginDeclinedError,
    StateMismatchError,
)
from lockgate.login.providers import Provider

_SECRET_BYTES: Final = 32
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)  # as long as so many bytes are in base64url
_CODE: Final = re.compile(r"[\x20-\x7e]{1,3072}", re.ASCII)  # RFC 6749, appendix A.11; a request line has 4,094 bytes
_ERROR: Final = re.compile(r"[a-z_]{1,64}", re.ASCII)  # those that are registered; others are not repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt under way."""

    secret: str = field(repr=False)

    @property
    def state(self) -> str:
        """What the provider hands back with its answer."""
        return self._derive(b"state")

    @property
    def nonce(self) -> str:
        """What the provider puts into the token."""
        return self._derive(b"nonce")

    @property
    def code_verifier(self) -> str:
        """What shows that whoever redeems the code is who asked for it; 43 characters (RFC 7636, section 4.1)."""
        return self._derive(b"code_verifier")

    def _derive(self, purpose: bytes) -> str:
        digest = hmac.digest(self.secret.encode(), purpose, hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def begin_attempt() -> Attempt:
    """Begin with a fresh secret."""
    return Attempt(secret=secrets.token_urlsafe(_SECRET_BYTES))


def parse_attempt(secret: str | None) -> Attempt | None:
    """Return the attempt with this secret; None if it is none."""
    return Attempt(secret=secret) if secret is not None and _SECRET.fullmatch(secret) else None


def read_callback(attempt: Attempt, provider: Provider, parameters: Mapping[str, Sequence[str]]) -> str:
    """Return the code from what the browser brought back.

    The steps:
      (1) No parameter that counts is there twice.
      (2) The state is this attempt's.
      (3) The answer is of the provider that was asked, where it says so or always does.
      (4) It is a code and not a refusal.

    Args:
        attempt: The one that this browser began.
        provider: Who was asked.
        parameters: Of the query. Those that are not known are passed over (RFC 6749, section 4.1.2).

    Raises:
        CallbackInvalidError: Step (1) fails, or there is neither a code nor a refusal.
        StateMismatchError: Step (2) fails.
        IssuerMismatchError: Step (3) fails.
        LoginDeclinedError: It is a refusal.
    """
    # (1) One value each.
    given = {name: parameters.get(name, ()) for name in ("state", "iss", "code", "error")}
    if any(len(values) > 1 for values in given.values()):
        raise CallbackInvalidError("want each parameter once")
    state, issuer, code, error = ("".join(values) for values in given.values())
    # (2) The state.
    if not hmac.compare_digest(state.encode(), attempt.state.encode()):
        raise StateMismatchError("want the answer to the login that this browser began last; log in again")
    # (3) The provider.
    if issuer != provider.issuer and (issuer or provider.names_itself):
        raise IssuerMismatchError("want an answer of the provider that was asked")
    # (4) The code.
    if error:
        word = error if _ERROR.fullmatch(error) else "an error"
        raise LoginDeclinedError(f"want a code from the provider, got {word}")
    if not _CODE.fullmatch(code):
        raise CallbackInvalidError("want a code of at most 3072 printable characters")
    return code
