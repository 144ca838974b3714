"""What a provider says of itself in its discovery document. Pure.

Source: OpenID Connect Discovery 1.0; RFC 8414; RFC 8628, section 4; RFC 9207, section 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.login.errors import ProviderInvalidError
from lockgate.outbound_urls import is_loopback, split_url

DISCOVERY_BYTES_MAX: Final = 64 * 1024  # the largest of the public ones are below 4 KiB
_URL_CHARS_MAX: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Where an issuer lets people log in.

    Attributes:
        issuer: Its URL.
        device_endpoint: Where a device asks for a code; None: it lets none.
        names_itself: Whether each of its answers says whose it is (RFC 9207).
        takes_basic: Whether it takes a client's secret in a header; else it does in the body.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    device_endpoint: str | None
    names_itself: bool
    takes_basic: bool


def parse_provider(data: bytes, issuer: str) -> Provider:
    """Read a discovery document.

    Args:
        data: As it came, of at most `DISCOVERY_BYTES_MAX` bytes.
        issuer: The issuer's URL: a document of another one is refused.

    Raises:
        ProviderInvalidError: It is none, or of another issuer, or an address in it cannot be used.
    """
    try:
        document = parse_json(data, bytes_max=DISCOVERY_BYTES_MAX)
    except MalformedJSONError as exc:
        raise ProviderInvalidError("want a discovery document in JSON") from exc
    if not isinstance(document, dict) or document.get("issuer") != issuer:
        raise ProviderInvalidError("want a discovery document of this very issuer")
    methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    return Provider(
        issuer=issuer,
        authorization_endpoint=_endpoint(document, "authorization_endpoint", issuer),
        token_endpoint=_endpoint(document, "token_endpoint", issuer),
        device_endpoint=(
            _endpoint(document, "device_authorization_endpoint", issuer)
            if "device_authorization_endpoint" in document
            else None
        ),
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        takes_basic=not isinstance(methods, list) or "client_secret_basic" in methods,
    )


def is_safe_url(url: str, issuer: str) -> bool:
    """Tell whether a URL that a provider gave may be gone to: https, or http to this machine if so the issuer's is."""
    parts = split_url(url)
    if parts is None or parts.scheme not in {"https", urlsplit(issuer).scheme}:
        return False
    readable = len(url) <= _URL_CHARS_MAX and url.isascii() and url.isprintable() and not set(url) & set(' "<>\\^`{|}')
    return readable and (parts.scheme == "https" or is_loopback(parts.hostname or ""))


def _endpoint(document: Mapping[str, Any], name: str, issuer: str) -> str:
    url = document.get(name)
    if not isinstance(url, str) or not is_safe_url(url, issuer):
        raise ProviderInvalidError(f"want {name} as an https URL without credentials and fragment")
    return url
