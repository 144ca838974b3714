"""Checks one signature with one key that is not Fulcio's to certify: managed keys and plain X.509 certificates. Pure.

ECDSA signs the hash that goes with its curve: P-256 SHA-256, P-384 SHA-384, P-521 SHA-512 (sigstore's algorithm
registry). Ed25519 signs the message itself, so it can sign statements but not artifacts known by digest alone.
"""

import hashlib
from collections.abc import Callable
from typing import Final, TypeAlias, TypeGuard

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

from lockgate.digests import Digest
from lockgate.evidence.bundles import Envelope, MessageSignature
from lockgate.evidence.errors import RefusedError
from lockgate.evidence.types import RefusalCode

SigningKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_CURVE_HASHES: Final[dict[str, hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


def is_supported(key: object) -> TypeGuard[SigningKey]:
    """Tell whether a public key is of a kind that this file can check."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in _CURVE_HASHES
    return isinstance(key, ed25519.Ed25519PublicKey)


def hash_name(key: ec.EllipticCurvePublicKey) -> str:
    """Return the name of the hash that goes with a key's curve, as hashlib spells it."""
    return _CURVE_HASHES[key.curve.name].name


def signature_holds(key: SigningKey, content: Envelope | MessageSignature, subject: Digest, *, legacy: bool) -> bool:
    """Tell whether `key` made the bundle's signature.

    Args:
        key: The public key, supported.
        content: The envelope or the message signature.
        subject: The artifact; a message signature must be over it.
        legacy: Whether an envelope may have been signed in the encoding of model signing 0.2.

    Raises:
        RefusedError: `digest_mismatch` or `unsupported_bundle`: this key cannot sign an artifact by this digest.
    """
    if isinstance(content, MessageSignature):
        return _digest_signature_holds(key, content, subject)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return _holds(lambda: key.verify(content.signature, content.signed_bytes()))
    scheme = ec.ECDSA(_CURVE_HASHES[key.curve.name])
    if _holds(lambda: key.verify(content.signature, content.signed_bytes(), scheme)):
        return True
    # Model signing 0.2 took SHA-256 for every curve.
    old_scheme = ec.ECDSA(hashes.SHA256())
    return legacy and _holds(lambda: key.verify(content.signature, content.legacy_signed_bytes(), old_scheme))


def _holds(verify: Callable[[], None]) -> bool:
    try:
        verify()
    except InvalidSignature:
        return False
    return True


def _digest_signature_holds(key: SigningKey, content: MessageSignature, subject: Digest) -> bool:
    digest = bytes.fromhex(subject.hex)
    if content.stated_digest not in (None, digest):
        raise RefusedError(RefusalCode.DIGEST_MISMATCH, "want a signature that states the artifact's digest")
    if isinstance(key, ed25519.Ed25519PublicKey):
        raise RefusedError(RefusalCode.UNSUPPORTED_BUNDLE, "want a statement: Ed25519 cannot sign a digest")
    if hash_name(key) != subject.algorithm:
        raise RefusedError(RefusalCode.DIGEST_MISMATCH, f"want the artifact's {hash_name(key)} digest for this key")
    scheme = ec.ECDSA(utils.Prehashed(_CURVE_HASHES[key.curve.name]))
    return _holds(lambda: key.verify(content.signature, digest, scheme))


def signed_digest(key: ec.EllipticCurvePublicKey, content: Envelope | MessageSignature, subject: Digest) -> bytes:
    """Return the digest that the signature is over, as a log records it."""
    if isinstance(content, MessageSignature):
        return bytes.fromhex(subject.hex)
    return hashlib.new(hash_name(key), content.signed_bytes()).digest()
