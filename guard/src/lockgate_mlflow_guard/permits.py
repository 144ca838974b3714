"""Permits: read and verified, steps 1 to 8 of docs/formats/permit.md, section 3. Pure.

Steps 9 and 10, single use and order, are `spent`.
What a permit says of the artifact's digest is not checked here: the guard has no bytes.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NewType, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lockgate_mlflow_guard.json_text import JSONTextError, parse_object

PERMIT_CHARACTERS_MAX: Final = 8192  # section 1; four times what a long name needs
TEXT_CHARACTERS_MAX: Final = 1024  # section 1
LIFE_S_MAX: Final = 60  # section 1: from iat to exp
SKEW_S: Final = 5  # section 3: how far two clocks may be apart
KEYS_MAX: Final = 16  # section 2
KEYS_BYTES_MAX: Final = 16_384  # sixteen keys with what others write beside them

_HEADER: Final = {"alg": "EdDSA", "typ": "lockgate-permit+jwt"}  # and `kid`
_TIMES: Final = frozenset({"iat", "nbf", "exp"})
_TEXTS: Final = frozenset(
    {"iss", "aud", "jti", "promotion", "registry", "model", "alias", "version", "digest", "environment"}
)
_MAY_BE_EMPTY: Final = frozenset({"alias", "version", "digest"})
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", re.ASCII)
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)

KeyId = NewType("KeyId", str)
"""A key's SHA-256 thumbprint (RFC 7638), base64url."""

Keys: TypeAlias = Mapping[KeyId, Ed25519PublicKey]

PermitCode: TypeAlias = Literal[
    "permit.missing",
    "permit.malformed",
    "permit.unknown_key",
    "permit.signature",
    "permit.audience",
    "permit.not_yet_valid",
    "permit.expired",
    "permit.mismatch",
    "permit.used",
    "permit.superseded",
]


class KeysError(Exception):
    """A file is no set of the gate's public keys."""


class _MalformedError(Exception):
    """A token does not have the form of section 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What is about to happen to a pointer; `version` "" = it is taken away."""

    model: str
    alias: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """A permit whose signature and times hold, for exactly the move that it was shown for."""

    permit_id: str
    promotion: str
    issued_s: int
    digest: str
    environment: str


def parse_keys(data: bytes) -> Keys:
    """Read a JWK set of Ed25519 keys.

    Raises:
        KeysError: It is no such set, is empty, or a key's `kid` is not its thumbprint.

    Source: RFC 7517; RFC 8037, section 2; RFC 7638.
    """
    if len(data) > KEYS_BYTES_MAX:
        raise KeysError(f"want at most {KEYS_BYTES_MAX} bytes, got {len(data)}")
    try:
        listed = parse_object(data).get("keys")
    except JSONTextError as exc:
        raise KeysError(str(exc)) from exc
    if not isinstance(listed, list) or not 1 <= len(listed) <= KEYS_MAX:
        raise KeysError(f"want a JWK set with 1 to {KEYS_MAX} keys")
    keys = dict(_parse_key(jwk, f"keys[{index}]") for index, jwk in enumerate(listed))
    if len(keys) != len(listed):
        raise KeysError("a key stands twice in the set")
    return keys


def verify_permit(  # noqa: PLR0911 - a step each
    token: str | None, *, keys: Keys, registry: str, now_s: float, move: Move
) -> Permit | PermitCode:
    """Verify a permit for one move; what is left to the caller is to let it be used once, and in its order.

    Args:
        token: What came in the header; None where none came.
        keys: The gate's public keys.
        registry: The name of the registry that is asked.
        now_s: Seconds since the epoch.
        move: What is about to happen.

    Returns:
        The permit, or the code of the first step that failed.
    """
    # (1) There is a token. Two headers arrive as one text with a comma, which step 2 refuses.
    if token is None:
        return "permit.missing"
    # (2) Its form, header and claims with it.
    try:
        signed, signature, kid, claims = _parse(token)
    except _MalformedError:
        return "permit.malformed"
    # (3) A known key.
    key = keys.get(kid)
    if key is None:
        return "permit.unknown_key"
    # (4) Its signature. Nothing of the claims is used before.
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return "permit.signature"
    # (5) For this registry.
    if not claims["aud"] == claims["registry"] == registry:
        return "permit.audience"
    # (6) Valid already; `iat` is not later than `nbf`.
    if claims["nbf"] > now_s + SKEW_S:
        return "permit.not_yet_valid"
    # (7) And still.
    if claims["exp"] <= now_s - SKEW_S:
        return "permit.expired"
    # (8) For this move.
    if Move(model=claims["model"], alias=claims["alias"], version=claims["version"]) != move:
        return "permit.mismatch"
    return Permit(
        permit_id=claims["jti"],
        promotion=claims["promotion"],
        issued_s=claims["iat"],
        digest=claims["digest"],
        environment=claims["environment"],
    )


def _parse_key(jwk: object, place: str) -> tuple[KeyId, Ed25519PublicKey]:
    if not isinstance(jwk, dict) or {name: jwk.get(name) for name in ("kty", "crv", "alg", "use")} != {
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
    }:
        raise KeysError(f"{place}: want a public key for EdDSA with kty, crv, alg and use")
    if "d" in jwk:
        raise KeysError(f"{place}: a private key; the guard must have the public one alone")
    try:
        x = _decode(jwk.get("x"))
        key = Ed25519PublicKey.from_public_bytes(x)
    except (_MalformedError, ValueError) as exc:
        raise KeysError(f"{place}.x: want 32 bytes in base64url") from exc
    thumbprint = f'{{"crv":"Ed25519","kty":"OKP","x":"{jwk["x"]}"}}'
    kid = _encode(hashlib.sha256(thumbprint.encode("ascii")).digest())
    if jwk.get("kid") != kid:
        raise KeysError(f"{place}.kid: want the key's own thumbprint")
    return KeyId(kid), key


def _parse(token: str) -> tuple[bytes, bytes, KeyId, dict[str, Any]]:
    """Return the signed bytes, the signature, the key's id and the claims, whose form is right."""
    if len(token) > PERMIT_CHARACTERS_MAX:
        raise _MalformedError
    parts = token.split(".")
    if len(parts) != len(("header", "claims", "signature")):
        raise _MalformedError
    header_bytes, claims_bytes, signature = (_decode(part) for part in parts)
    try:
        header = parse_object(header_bytes)
        claims = parse_object(claims_bytes)
    except JSONTextError as exc:
        raise _MalformedError from exc
    kid = header.get("kid")
    if not isinstance(kid, str) or header != {**_HEADER, "kid": kid} or not _is_permit(claims):
        raise _MalformedError
    return ".".join(parts[:2]).encode("ascii"), signature, KeyId(kid), claims


def _is_permit(claims: dict[str, Any]) -> bool:
    """Tell whether the claims are those of section 1; an unknown one might take something back."""
    if claims.keys() != _TIMES | _TEXTS:
        return False
    # Not isinstance: True is an int.
    if not all(type(claims[name]) is int for name in _TIMES) or not all(
        _is_text(name, claims[name]) for name in _TEXTS
    ):
        return False
    if not claims["iat"] <= claims["nbf"] < claims["exp"] <= claims["iat"] + LIFE_S_MAX:
        return False
    if not _UUID.fullmatch(claims["jti"]) or not _UUID.fullmatch(claims["promotion"]):
        return False
    # A pointer that is taken away leads to no version, and so to no digest.
    return not claims["digest"] if not claims["version"] else _DIGEST.fullmatch(claims["digest"]) is not None


def _is_text(name: str, value: object) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_CHARACTERS_MAX and (value != "" or name in _MAY_BE_EMPTY)


def _decode(text: object) -> bytes:
    """Decode base64url without padding, in its one spelling.

    Source: RFC 7515, section 2; RFC 4648, section 3.5, on the bits that are left over.
    """
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text):
        raise _MalformedError
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as exc:
        raise _MalformedError from exc
    if _encode(data) != text:
        raise _MalformedError
    return data


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
