"""What is sent to a provider, made by Authlib; the one file that knows it. Authlib sends nothing itself.

Of Authlib only what writes messages is used: its clients would follow redirects, use proxies, and set no limit on an
answer's time and length (`lockgate.outbound` does).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote_plus

from authlib.oauth2.auth import ClientAuth  # type: ignore[import-untyped] # the library ships no types
from authlib.oauth2.rfc6749.parameters import (  # type: ignore[import-untyped] # as above
    prepare_grant_uri,
    prepare_token_request,
)
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped] # as above
from authlib.oidc.core.util import create_half_hash  # type: ignore[import-untyped] # as above

from lockgate.login.attempts import Attempt
from lockgate.login.providers import Provider

FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """What a provider knows us as.

    Attributes:
        secret: "" for a public client, which shows by PKCE alone that a code is its own.
        scopes: What is asked for.
    """

    client_id: str
    secret: str = field(repr=False)
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest:
    """A request to the token endpoint; nothing of it may be shown."""

    body: bytes = field(repr=False)
    authorization: str | None = field(repr=False)


def authorization_url(provider: Provider, client: Client, attempt: Attempt, redirect_uri: str) -> str:
    """Return where a browser goes to log in."""
    url = prepare_grant_uri(
        provider.authorization_endpoint,
        client.client_id,
        "code",
        redirect_uri=redirect_uri,
        scope=list(client.scopes),
        state=attempt.state,
        nonce=attempt.nonce,
        code_challenge=create_s256_code_challenge(attempt.code_verifier),
        code_challenge_method="S256",
    )
    return str(url)


def code_request(provider: Provider, client: Client, code: str, attempt: Attempt, redirect_uri: str) -> TokenRequest:
    """Ask for the token that a code stands for."""
    parameters = {"redirect_uri": redirect_uri, "code": code, "code_verifier": attempt.code_verifier}
    return _token_request(provider, client, "authorization_code", parameters)


def device_token_request(provider: Provider, client: Client, device_code: str) -> TokenRequest:
    """Ask for the token that a device's code stands for, once somebody has entered it."""
    grant = "urn:ietf:params:oauth:grant-type:device_code"
    return _token_request(provider, client, grant, {"device_code": device_code})


def device_request(client: Client) -> bytes:
    """Ask for a device's code."""
    scope = quote_plus(" ".join(client.scopes))
    return f"client_id={quote_plus(client.client_id)}&scope={scope}".encode()


def access_token_hash(access_token: str, algorithm: str) -> str:
    """Return what an ID token says of the access token beside it (OpenID Connect Core 1.0, section 3.1.3.6)."""
    digest: bytes = create_half_hash(access_token, algorithm)
    return digest.decode()


def _token_request(provider: Provider, client: Client, grant: str, parameters: Mapping[str, str]) -> TokenRequest:
    body = prepare_token_request(grant, **parameters)
    client_id, secret = client.client_id, client.secret
    method = "none"
    if secret:
        method = "client_secret_basic" if provider.takes_basic else "client_secret_post"
    if method == "client_secret_basic":  # which Authlib does not write as RFC 6749, section 2.3.1, wants it
        client_id, secret = quote_plus(client_id), quote_plus(secret)
    _, headers, body = ClientAuth(client_id, secret, method).prepare("POST", provider.token_endpoint, {}, body)
    return TokenRequest(body=body.encode(), authorization=headers.get("Authorization"))
