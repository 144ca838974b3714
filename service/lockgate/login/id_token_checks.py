"""What an ID token must say to be the answer to one login, beside what every token must. Pure."""

import base64
import hmac
from collections.abc import Mapping
from typing import Any

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.identity.id_tokens import TOKEN_BYTES_MAX
from lockgate.login.errors import (
    AccessTokenHashError,
    AuthorizedPartyError,
    NonceMismatchError,
    ProviderInvalidError,
)


def check_nonce(claims: Mapping[str, Any], nonce: str) -> None:
    """Make sure that a token answers this login.

    Raises:
        NonceMismatchError: It does not.
    """
    claimed = claims.get("nonce")
    if not isinstance(claimed, str) or not hmac.compare_digest(claimed.encode(), nonce.encode()):
        raise NonceMismatchError("want a token with the nonce of this login")


def check_authorized_party(claims: Mapping[str, Any], client_id: str) -> None:
    """Make sure that a token, where it says for which client it was made, was made for this one.

    Raises:
        AuthorizedPartyError: It was not.

    Source: OpenID Connect Core 1.0, section 3.1.3.7, step 5.
    """
    if claims.get("azp", client_id) != client_id:
        raise AuthorizedPartyError("want a token that was made for this client")


def check_access_token(claims: Mapping[str, Any], expected: str) -> None:
    """Make sure that a token, where it names an access token, names the one that came with it.

    Args:
        claims: Of the ID token.
        expected: The hash of the access token, in the form of the claim.

    Raises:
        AccessTokenHashError: It names another one.
    """
    if claims.get("at_hash", expected) != expected:
        raise AccessTokenHashError("want an ID token and an access token that belong together")


def read_claims(token: str) -> Mapping[str, Any]:
    """Return what a token claims, unverified: for whoever has it from the issuer itself, over TLS.

    Raises:
        ProviderInvalidError: It is no token.

    Source: OpenID Connect Core 1.0, section 3.1.3.7, step 6.
    """
    payload = token.split(".")[1] if token.count(".") == 2 else ""  # noqa: PLR2004 - header, payload, signature
    try:
        data = base64.b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True)
        claims = parse_json(data, bytes_max=TOKEN_BYTES_MAX)
    except (ValueError, MalformedJSONError) as exc:
        raise ProviderInvalidError("want an ID token of three parts in base64url") from exc
    if len(token) > TOKEN_BYTES_MAX or not isinstance(claims, dict):
        raise ProviderInvalidError(f"want an ID token of at most {TOKEN_BYTES_MAX} bytes that claims something")
    return claims
