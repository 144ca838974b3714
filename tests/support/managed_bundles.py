"""Makes bundles that are signed by a managed key, with and without a log entry."""

import base64
import hashlib
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lockgate.demo.virtual_log import encode_base64, encode_sorted
from lockgate.demo.virtual_sigstore import BUNDLE_MEDIA_TYPE, STATEMENT_TYPE, pre_authentication_encoding
from support.evidence import NOW, SUBJECT, intoto_content
from support.virtual_timestamping import TimestampedSigstore, hashedrekord_v2_body


class KeySigner:
    """A managed key and the bundles it signs."""

    def __init__(self, curve: ec.EllipticCurve | None = None) -> None:
        self.key = ec.generate_private_key(curve or ec.SECP256R1())
        self.pem = self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.spki = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.hint = hashlib.sha256(self.pem).hexdigest()

    def message(self) -> dict[str, Any]:
        """Return a message bundle without a log entry."""
        digest = bytes.fromhex(SUBJECT.hex)
        signature = self.key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        return {**self._outside(), "messageSignature": {"signature": encode_base64(signature)}}

    def statement(self, payload: bytes) -> dict[str, Any]:
        """Return a statement bundle without a log entry."""
        size = self.key.curve.key_size
        algorithm = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}[size]
        signature = self.key.sign(pre_authentication_encoding(STATEMENT_TYPE, payload), ec.ECDSA(algorithm))
        envelope = {
            "payload": encode_base64(payload),
            "payloadType": STATEMENT_TYPE,
            "signatures": [{"sig": encode_base64(signature)}],
        }
        return {**self._outside(), "dsseEnvelope": envelope}

    def log_as(self, sigstore: TimestampedSigstore, kind: str, bundle: dict[str, Any]) -> dict[str, Any]:
        """Log a bundle as `dsse`, `intoto`, `hashedrekord` (version 0.0.1) or `hashedrekord_v2`."""
        pem, envelope = encode_base64(self.pem), bundle.get("dsseEnvelope")
        material = bundle["verificationMaterial"]
        if envelope is None:
            signature = bundle["messageSignature"]["signature"]
            digest = bytes.fromhex(SUBJECT.hex)
        else:
            signature = envelope["signatures"][0]["sig"]
            payload = _decode(envelope["payload"])
            digest = hashlib.sha256(pre_authentication_encoding(STATEMENT_TYPE, payload)).digest()
            payload_hash = {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()}
        if kind == "hashedrekord_v2":
            verifier = {
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "publicKey": {"rawBytes": encode_base64(self.spki)},
            }
            body = hashedrekord_v2_body(digest, _decode(signature), verifier)
            material["tlogEntries"] = [sigstore.log_v2.append_unpromised("hashedrekord", "0.0.2", body)]
            token = encode_base64(sigstore.tsa.timestamp(_decode(signature), NOW))
            material["timestampVerificationData"] = {"rfc3161Timestamps": [{"signedTimestamp": token}]}
            return bundle
        specs: dict[str, tuple[str, Any]] = {
            "hashedrekord": (
                "0.0.1",
                lambda: {
                    "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
                    "signature": {"content": signature, "publicKey": {"content": pem}},
                },
            ),
            "dsse": (
                "0.0.1",
                lambda: {
                    "payloadHash": payload_hash,
                    "signatures": [{"signature": signature, "verifier": pem}],
                },
            ),
            "intoto": (
                "0.0.2",
                lambda: {"content": intoto_content(payload_hash, signature, pem)},
            ),
        }
        version, spec = specs[kind]
        body = encode_sorted({"apiVersion": version, "kind": kind, "spec": spec()})
        material["tlogEntries"] = [sigstore.log.append(kind, version, body, NOW)]
        return bundle

    def _outside(self) -> dict[str, Any]:
        return {
            "mediaType": BUNDLE_MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": self.hint}, "tlogEntries": []},
        }


def _decode(text: str) -> bytes:
    return base64.b64decode(text)
