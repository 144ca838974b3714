"""An issuer's public keys, as it publishes them: a JSON Web Key Set (RFC 7517). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK, PyJWTError

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.identity.errors import JWKSInvalidError
from lockgate.identity.issuers import Algorithm

JWKS_BYTES_MAX: Final = 256 * 1024  # the largest set of a public issuer is below 20 KiB; some carry certificates
KEYS_MAX: Final = 64  # an issuer that rotates weekly and keeps a year's
KID_CHARS_MAX: Final = 256  # they are hashes and dates
RSA_BITS_MIN: Final = 2048  # NIST SP 800-131A
_JWKS_DEPTH_MAX: Final = 8

PublicKey: TypeAlias = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

# By key type and curve. An algorithm is fit for one kind of key, so that none is mistaken for another's.
_FIT: Final[Mapping[tuple[str, str], tuple[Algorithm, ...]]] = {
    ("RSA", ""): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
_SECRET: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})  # private keys, and shared ones: `k`


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A key that signatures can be verified with.

    Attributes:
        kid: Its name within its set.
        algorithms: What it may be used with.
    """

    kid: str
    key: PublicKey
    algorithms: tuple[Algorithm, ...]


def parse_jwks(data: bytes) -> Mapping[str, VerificationKey]:
    """Read a key set.

    Keys of other kinds, for other uses, without a name, or too short are passed over: issuers publish them for others.

    Returns:
        The usable keys by name, at least one.

    Raises:
        JWKSInvalidError: It is no key set, is too large, names two keys alike, has no usable key, or holds a secret:
            then whoever reads it can sign.
    """
    try:
        document = parse_json(data, bytes_max=JWKS_BYTES_MAX, depth_max=_JWKS_DEPTH_MAX)
    except MalformedJSONError as exc:
        raise JWKSInvalidError(f"want a JSON Web Key Set: {exc}") from exc
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise JWKSInvalidError("want a JSON Web Key Set: an object with a list 'keys' of objects")
    if len(entries) > KEYS_MAX:
        raise JWKSInvalidError(f"want at most {KEYS_MAX} keys, got {len(entries)}")
    if not all(map(_SECRET.isdisjoint, entries)):
        raise JWKSInvalidError("want public keys alone, got a secret one")
    keys: dict[str, VerificationKey] = {}
    for key in filter(None, map(_read_key, entries)):
        if key.kid in keys:
            raise JWKSInvalidError("want each kid once, got one twice")
        keys[key.kid] = key
    if not keys:
        raise JWKSInvalidError("want at least one usable key: named, public, for signatures, RSA of 2048 bits or more")
    return keys


def _read_key(entry: Mapping[str, Any]) -> VerificationKey | None:
    kid, uses = entry.get("kid"), entry.get("key_ops", ["verify"])
    if not isinstance(kid, str) or not 0 < len(kid) <= KID_CHARS_MAX:
        return None
    if entry.get("use", "sig") != "sig" or not isinstance(uses, list) or "verify" not in uses:
        return None
    fit = _FIT.get((str(entry.get("kty")), str(entry.get("crv", ""))), ())
    algorithms = tuple(algorithm for algorithm in fit if entry.get("alg", algorithm) == algorithm)
    if not algorithms:
        return None
    try:
        key = PyJWK(dict(entry), algorithm=algorithms[0]).key
    except PyJWTError:
        return None
    is_short = isinstance(key, RSAPublicKey) and key.key_size < RSA_BITS_MIN
    return None if is_short else VerificationKey(kid=kid, key=key, algorithms=algorithms)
