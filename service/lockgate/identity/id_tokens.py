"""A token that an issuer signed: an OIDC ID token in the compact form of a JWT, verified.

Nothing here asks anybody: keys are those at hand, time is the clock's. Until the signature is verified the caller is
told only that the token is not verified; after it, which of the checks failed.

Source: RFC 7515, RFC 7519, RFC 8725 (best practices), OpenID Connect Core 1.0 section 3.1.3.7.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from jwt import PyJWS, PyJWTError

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.clock import NS_PER_S, EpochNs, is_expired
from lockgate.identity.issuers import Issuer
from lockgate.identity.jwks import KID_CHARS_MAX, VerificationKey
from lockgate.identity.types import TokenRefusal

TOKEN_BYTES_MAX: Final = 8_000  # with the header's name below gunicorn's 8,190; CI's tokens are below 2,500
LEEWAY_NS: Final = 30 * NS_PER_S  # clocks that are kept differ by less
EPOCH_S_MAX: Final = 2**33  # the year 2242; what is beyond is no time in seconds
_DEPTH_MAX: Final = 8  # Kubernetes' claims have three levels
_NODES_MAX: Final = 1_000
_PART: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# Everything else in a header either names a key of the token's own choosing (jwk, jku, x5u, x5c), or says that
# something must be understood that is not (crit, b64, cty, zip).
_HEADER: Final = frozenset({"alg", "typ", "kid", "x5t", "x5t#S256"})
_JWS: Final = PyJWS()

KeyFinder: TypeAlias = Callable[[Issuer, str], VerificationKey | None]
"""Returns an issuer's key by its name; raises IssuerUnavailableError where the issuer's keys are not known now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedToken:
    """What an issuer says, and for how long."""

    issuer: Issuer
    key: VerificationKey
    algorithm: str
    claims: Mapping[str, Any]
    issued: EpochNs
    expires: EpochNs


class _RefusedError(Exception):
    """A step failed: it ends the verification, and leaves it as a value."""

    def __init__(self, code: str, detail: str = "the token is not verified") -> None:
        super().__init__()
        self.refusal = TokenRefusal(code=f"identity.{code}", detail=detail)


def verify_id_token(
    token: str, issuers: Sequence[Issuer], find_key: KeyFinder, now: EpochNs
) -> VerifiedToken | TokenRefusal:
    """Verify a token.

    The steps:
      (1) It is three parts of base64url, the first two of them JSON objects with each key once, within the limits.
      (2) Its header says nothing but how it was signed, and names a key.
      (3) It is of a configured issuer, by the exact `iss`.
      (4) The issuer has this key, and the algorithm is one of the issuer's and fits the key.
      (5) The signature verifies.
      (6) It is for us alone, and says of whom it is.
      (7) It counts now, and lives no longer than the tokens of its issuer may.

    Args:
        token: What came after `Bearer`.
        issuers: The configured ones.
        find_key: Where keys are.
        now: The time.

    Raises:
        IssuerUnavailableError: Step (4) cannot be done now.
    """
    try:
        return _verify(token, issuers, find_key, now)
    except _RefusedError as exc:
        return exc.refusal


def _verify(token: str, issuers: Sequence[Issuer], find_key: KeyFinder, now: EpochNs) -> VerifiedToken:
    # (1) Form.
    header, claims = _take_apart(token)
    # (2) Header.
    kid, algorithm = header.get("kid"), header.get("alg")
    if not header.keys() <= _HEADER or header.get("typ", "JWT") not in ("JWT", "jwt"):
        raise _RefusedError("token_header")
    if not isinstance(kid, str) or not 0 < len(kid) <= KID_CHARS_MAX or not isinstance(algorithm, str):
        raise _RefusedError("token_header")
    # (3) Issuer. Where several have one url, the audience tells them apart; whether it is right is asked in step (6).
    candidates = [issuer for issuer in issuers if issuer.url == claims.get("iss")]
    if not candidates:
        raise _RefusedError("token_issuer")
    issuer = next((one for one in candidates if _is_for(one, claims)), candidates[0])
    # (4) Key.
    if algorithm not in issuer.algorithms:
        raise _RefusedError("token_algorithm")
    key = find_key(issuer, kid)
    if key is None:
        raise _RefusedError("token_key")
    if algorithm not in key.algorithms:
        raise _RefusedError("token_algorithm")
    # (5) Signature.
    try:
        _JWS.decode(token, key=key.key, algorithms=[algorithm])
    except PyJWTError as exc:
        raise _RefusedError("token_signature") from exc
    # (6) Claims. From here on the issuer itself says all this, so that its detail may be told.
    if not _is_for(issuer, claims):
        raise _RefusedError("token_audience", "want a token for this audience and no other")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise _RefusedError("token_claims", "want a token with the claim 'sub'")
    # (7) Time.
    issued, expires = _check_times(claims, issuer.lifetime_s_max, now)
    return VerifiedToken(issuer=issuer, key=key, algorithm=algorithm, claims=claims, issued=issued, expires=expires)


def _take_apart(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the header and the claims; nothing is believed."""
    if len(token) > TOKEN_BYTES_MAX:
        raise _RefusedError("token_size")
    parts = token.split(".")
    if len(parts) != 3 or not all(map(_PART.fullmatch, parts)):  # noqa: PLR2004 - header, payload, signature
        raise _RefusedError("token_form")
    return _read(parts[0]), _read(parts[1])


def _read(part: str) -> Mapping[str, Any]:
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        document = parse_json(data, bytes_max=TOKEN_BYTES_MAX, depth_max=_DEPTH_MAX, nodes_max=_NODES_MAX)
    except (binascii.Error, MalformedJSONError) as exc:
        raise _RefusedError("token_form") from exc
    # Bits that no byte needs would give one token several spellings.
    if not isinstance(document, dict) or base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise _RefusedError("token_form")
    return document


def _is_for(issuer: Issuer, claims: Mapping[str, Any]) -> bool:
    return claims.get("aud") in (issuer.audience, [issuer.audience])


def _check_times(claims: Mapping[str, Any], lifetime_s_max: int, now: EpochNs) -> tuple[EpochNs, EpochNs]:
    """Return when a token was issued and when it expires."""
    times = [claims.get("iat"), claims.get("exp"), claims.get("nbf", claims.get("iat"))]
    if not all(type(time) is int and 0 <= time <= EPOCH_S_MAX for time in times):
        raise _RefusedError("token_claims", "want 'iat', 'exp' and 'nbf' as whole seconds")
    issued, expires, not_before = (EpochNs(time * NS_PER_S) for time in times)
    if expires - issued > lifetime_s_max * NS_PER_S:
        raise _RefusedError("token_lifetime", f"want a token that lives {lifetime_s_max} s at most")
    if is_expired(EpochNs(expires + LEEWAY_NS), now):
        raise _RefusedError("token_expired", "the token has expired")
    if max(issued, not_before) > now + LEEWAY_NS:
        raise _RefusedError("token_not_yet", "the token does not count yet")
    return issued, expires
