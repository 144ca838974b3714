"""Compares the body of a log entry with the signature it should be of, for the kinds that the library does not.

A log proves that it holds a body; only this comparison proves that the body is about this signature by this signer
(CVE-2022-36056, CVE-2026-22703). Bodies are authenticated by then, so a body of another form is a mismatch. Pure.

Source: sigstore/rekor, `pkg/types/{hashedrekord,dsse,intoto}`; Rekor v2 specification, section 6.1.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.evidence.errors import RefusedError
from lockgate.evidence.limits import BUNDLE_BYTES_MAX, BUNDLE_NODES_MAX
from lockgate.evidence.types import RefusalCode


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEnvelope:
    """A DSSE envelope as a log must have recorded it."""

    payload_type: str
    payload: bytes
    signature: bytes
    signer: x509.Certificate | bytes  # a certificate, or the DER SubjectPublicKeyInfo of a managed key


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDigest:
    """A signed digest as a log must have recorded it."""

    algorithm: str  # as hashlib spells it: sha256, sha384, sha512
    digest: bytes
    signature: bytes
    signer: bytes  # the DER SubjectPublicKeyInfo of a managed key


def require_intoto_entry(body: bytes, logged: LoggedEnvelope) -> None:
    """Make sure that an `intoto/0.0.2` entry is of this envelope by this signer.

    Raises:
        RefusedError: `log_entry_mismatch`.
    """
    content = _spec(body, "intoto", "0.0.2").get("content")
    envelope = _object(_object(content).get("envelope"))
    _require(envelope.get("payloadType") == logged.payload_type)
    _require(_object(content).get("payloadHash") == _hash_value(logged.payload))
    signature = _only(envelope.get("signatures"))
    # Rekor took the envelope's base64 text for bytes, and encoded it again.
    _require(_bytes(_bytes(signature.get("sig")).decode("latin-1")) == logged.signature)
    _require(_is_signer(_bytes(signature.get("publicKey")), logged.signer))


def require_dsse_entry(body: bytes, logged: LoggedEnvelope) -> None:
    """Make sure that a `dsse/0.0.1` entry is of this envelope by this signer.

    Raises:
        RefusedError: `log_entry_mismatch`.
    """
    spec = _spec(body, "dsse", "0.0.1")
    _require(spec.get("payloadHash") == _hash_value(logged.payload))
    signature = _only(spec.get("signatures"))
    _require(_bytes(signature.get("signature")) == logged.signature)
    _require(_is_signer(_bytes(signature.get("verifier")), logged.signer))


def require_hashedrekord_v1_entry(body: bytes, logged: LoggedDigest) -> None:
    """Make sure that a `hashedrekord/0.0.1` entry is of this digest by this key.

    Raises:
        RefusedError: `log_entry_mismatch`.
    """
    spec = _spec(body, "hashedrekord", "0.0.1")
    _require(_object(spec.get("data")).get("hash") == {"algorithm": logged.algorithm, "value": logged.digest.hex()})
    signature = _object(spec.get("signature"))
    _require(_bytes(signature.get("content")) == logged.signature)
    _require(_is_signer(_bytes(_object(signature.get("publicKey")).get("content")), logged.signer))


def require_hashedrekord_v2_entry(body: bytes, logged: LoggedDigest) -> None:
    """Make sure that a `hashedrekord/0.0.2` entry is of this digest by this key.

    Raises:
        RefusedError: `log_entry_mismatch`.
    """
    record = _object(_spec(body, "hashedrekord", "0.0.2").get("hashedRekordV002"))
    data = _object(record.get("data"))
    _require(data.get("algorithm") == logged.algorithm.upper().replace("SHA", "SHA2_"))
    _require(_bytes(data.get("digest")) == logged.digest)
    signature = _object(record.get("signature"))
    _require(_bytes(signature.get("content")) == logged.signature)
    public_key = _object(_object(signature.get("verifier")).get("publicKey"))
    _require(_bytes(public_key.get("rawBytes")) == logged.signer)


def _spec(body: bytes, kind: str, version: str) -> dict[str, Any]:
    try:
        document = _object(parse_json(body, bytes_max=BUNDLE_BYTES_MAX, nodes_max=BUNDLE_NODES_MAX))
    except MalformedJSONError as exc:
        raise _mismatch() from exc
    _require(document.get("kind") == kind and document.get("apiVersion") == version)
    return _object(document.get("spec"))


def _hash_value(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _is_signer(pem: bytes, signer: x509.Certificate | bytes) -> bool:
    # Compared as DER: PEM has many spellings.
    try:
        if isinstance(signer, x509.Certificate):
            return x509.load_pem_x509_certificate(pem) == signer
        spki = load_pem_public_key(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return False
    return spki == signer


def _only(value: object) -> dict[str, Any]:
    if not isinstance(value, list) or len(value) != 1:
        raise _mismatch()
    return _object(value[0])


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _mismatch()
    return value


def _bytes(value: object) -> bytes:
    try:
        _require(isinstance(value, str))
        return base64.b64decode(str(value), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise _mismatch() from exc


def _require(holds: bool) -> None:  # noqa: FBT001 - a condition, read as one
    if not holds:
        raise _mismatch()


def _mismatch() -> RefusedError:
    return RefusedError(RefusalCode.LOG_ENTRY_MISMATCH, "want a log entry for this very signature, signer and artifact")
