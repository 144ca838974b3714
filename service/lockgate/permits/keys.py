"""The permit key: its file, and the two things that it signs."""

import base64
import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt import PyJWS

from lockgate.canonical_json import canonicalize
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.errors import LockgateError
from lockgate.permits.types import Permit

PERMIT_TYP: Final = "lockgate-permit+jwt"
LIVE_TYP: Final = "lockgate-live+jwt"
LIVE_LIFE_NS: Final = 60 * NS_PER_S
KEY_FILE_BYTES_MAX: Final = 4096  # an Ed25519 key in PEM has 119
_OTHERS: Final = 0o007


class PermitKeyInvalidError(LockgateError):
    """The permit key's file cannot be used."""

    code: ClassVar[str] = "permit.key_invalid"


class PermitKeyMissingError(LockgateError):
    """This gate has no permit key, so it signs no permits and no answers; it decides all the same."""

    code: ClassVar[str] = "permit.no_key"


class PermitKey:
    """An Ed25519 key and what it signs."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._x = _base64url(key.public_key().public_bytes_raw())

    @property
    def thumbprint(self) -> str:
        """The key's name.

        Source: RFC 7638, section 3; RFC 8037, appendix A.3.
        """
        return _base64url(hashlib.sha256(canonicalize({"crv": "Ed25519", "kty": "OKP", "x": self._x})).digest())

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a JWK set (RFC 7517, RFC 8037)."""
        key = {"kty": "OKP", "crv": "Ed25519", "x": self._x, "kid": self.thumbprint, "use": "sig", "alg": "EdDSA"}
        return {"keys": [key]}

    def sign_permit(self, permit: Permit) -> str:
        """Write a permit as a compact JWS. Its times are cut to seconds, and it holds for one at least."""
        issued = permit.issued // NS_PER_S
        claims = {
            "iss": permit.issuer,
            "aud": permit.audience,
            "iat": issued,
            "nbf": issued,
            "exp": max(permit.expires // NS_PER_S, issued + 1),
            "jti": permit.id,
            "promotion": permit.promotion,
            "registry": permit.registry,
            "model": permit.registry_model,
            "alias": permit.alias,
            "version": permit.version,
            "digest": permit.digest,
            "environment": permit.environment,
        }
        return self._sign(PERMIT_TYP, claims)

    def sign_live(self, document: Mapping[str, Any], *, issuer: str, nonce: str, issued: EpochNs) -> str:
        """Write an answer about what is live as a compact JWS, for whoever asked with this nonce.

        Args:
            document: The answer; its members become claims.
            issuer: The origin of the main log.
            nonce: The caller's: an answer of before does not hold it.
            issued: The time now.
        """
        seconds = issued // NS_PER_S
        times = {"iat": seconds, "exp": seconds + LIVE_LIFE_NS // NS_PER_S}
        return self._sign(LIVE_TYP, {"iss": issuer, **times, "nonce": nonce, **document})

    def _sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        headers = {"kid": self.thumbprint, "typ": typ}
        return PyJWS().encode(orjson.dumps(claims), self._key, algorithm="EdDSA", headers=headers)


def create_permit_key(path: Path) -> PermitKey:
    """Make a new key and keep it in a new file that only its owner can read (PKCS #8, PEM).

    Raises:
        PermitKeyInvalidError: The file exists, or cannot be written.
    """
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)  # fails if `path` exists, so that two starts at once cannot make two keys
    except OSError as exc:
        raise PermitKeyInvalidError(f"cannot make the key file {path}: {exc.strerror}") from exc
    finally:
        draft.unlink(missing_ok=True)
    return PermitKey(key)


def find_permit_key(path: Path) -> PermitKey | None:
    """Read the key; None where there is no file, so that a gate without permits needs none.

    Raises:
        PermitKeyInvalidError: The file cannot be read, is open to everybody, or holds no Ed25519 key.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(KEY_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise PermitKeyInvalidError(f"cannot read the key file {path}: {exc.strerror}") from exc
    if mode & _OTHERS:
        raise PermitKeyInvalidError(f"want a key file that others cannot touch (chmod o= {path})")
    try:
        key = load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise PermitKeyInvalidError(f"want a private key in PEM without a password in {path}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise PermitKeyInvalidError(f"want an Ed25519 key in {path}, got one of another kind")
    return PermitKey(key)


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
