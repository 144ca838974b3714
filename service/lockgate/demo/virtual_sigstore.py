"""A Sigstore instance in memory: it certifies, logs and hands out bundles that real verifiers accept.

    sigstore = VirtualSigstore(name="demo", clock=SystemClock())
    domain_file = sigstore.write_trust_domain(folder)
    bundle = sigstore.sign_artifact(subject, VirtualSigner(identity="trainer@example.com", issuer="https://id.example"))

Everything is at `*.<name>.sigstore.example`, which no real service can be. Nothing here checks who asks for a
certificate, so a production gate must never be given the trusted root of such an instance.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.serialization import Encoding

from lockgate.clock import NS_PER_S, Clock, EpochNs
from lockgate.demo.virtual_ca import VirtualCA, VirtualCTLog, VirtualSigner, moment_of, spki_of
from lockgate.demo.virtual_log import VirtualLog, encode_base64, encode_sorted
from lockgate.digests import Digest

__all__ = ["VirtualCredential", "VirtualSigner", "VirtualSigstore"]

BUNDLE_MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
ROOT_MEDIA_TYPE: Final = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
STATEMENT_TYPE: Final = "application/vnd.in-toto+json"
_OPEN_SINCE_S: Final = 30 * 24 * 3600  # the instance is a month old, so that tests can sign in its past


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualCredential:
    """A signing key and its short-lived certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


class VirtualSigstore:
    """The services of one instance and what they make together.

    Attributes:
        operator: The domain name under which every service of the instance is.
        ca: The certificate authority.
        ct_log: The certificate-transparency log; None issues certificates without a timestamp.
        log: The transparency log.
    """

    def __init__(self, *, name: str, clock: Clock) -> None:
        self.name = name
        self.operator = f"{name}.sigstore.example"
        self._clock = clock
        self.start = EpochNs(clock.now_ns() - _OPEN_SINCE_S * NS_PER_S)
        self.ca = VirtualCA(name=f"{name}-fulcio", start=self.start)
        self.ct_log: VirtualCTLog | None = VirtualCTLog()
        self.log = VirtualLog(host=f"rekor.{self.operator}")

    def certify(self, signer: VirtualSigner, at: EpochNs | None = None) -> VirtualCredential:
        """Make a key and certify it for `signer` at a time, now by default."""
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key()
        when = self._clock.now_ns() if at is None else at
        certificate = self.ca.issue(public, self.ca.leaf_extensions(signer, public), when, self.ct_log)
        return VirtualCredential(key=key, certificate=certificate)

    def sign_artifact(self, subject: Digest, signer: VirtualSigner, at: EpochNs | None = None) -> bytes:
        """Sign an artifact by its SHA-256 digest, as `cosign sign-blob` does; returns a bundle."""
        when = self._clock.now_ns() if at is None else at
        return orjson.dumps(self.message_bundle(bytes.fromhex(subject.hex), self.certify(signer, when), when))

    def sign_statement(self, statement: dict[str, Any], signer: VirtualSigner, at: EpochNs | None = None) -> bytes:
        """Sign an in-toto statement, as `cosign attest-blob` does; returns a bundle."""
        when = self._clock.now_ns() if at is None else at
        return orjson.dumps(self.statement_bundle(orjson.dumps(statement), self.certify(signer, when), when))

    def message_bundle(self, digest: bytes, credential: VirtualCredential, at: EpochNs) -> dict[str, Any]:
        """Return a bundle with a message signature over a 32-byte SHA-256 digest, logged at `at`."""
        signature = credential.key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        body = {
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
                "signature": {
                    "content": encode_base64(signature),
                    "publicKey": {"content": encode_base64(credential.certificate.public_bytes(Encoding.PEM))},
                },
            },
        }
        entry = self.log.append("hashedrekord", "0.0.1", encode_sorted(body), at)
        return {
            **_material(credential.certificate, entry),
            "messageSignature": {
                "messageDigest": {"algorithm": "SHA2_256", "digest": encode_base64(digest)},
                "signature": encode_base64(signature),
            },
        }

    def statement_bundle(
        self, payload: bytes, credential: VirtualCredential, at: EpochNs, payload_type: str = STATEMENT_TYPE
    ) -> dict[str, Any]:
        """Return a bundle with a DSSE envelope around `payload`, logged at `at`."""
        signature = credential.key.sign(pre_authentication_encoding(payload_type, payload), ec.ECDSA(hashes.SHA256()))
        envelope = {
            "payload": encode_base64(payload),
            "payloadType": payload_type,
            "signatures": [{"sig": encode_base64(signature)}],
        }
        body = {
            "apiVersion": "0.0.1",
            "kind": "dsse",
            "spec": {
                "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(orjson.dumps(envelope)).hexdigest()},
                "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
                "signatures": [
                    {
                        "signature": encode_base64(signature),
                        "verifier": encode_base64(credential.certificate.public_bytes(Encoding.PEM)),
                    }
                ],
            },
        }
        entry = self.log.append("dsse", "0.0.1", encode_sorted(body), at)
        return {**_material(credential.certificate, entry), "dsseEnvelope": envelope}

    def trusted_root(self) -> dict[str, Any]:
        """Return the instance's trusted root, in the format of sigstore's `trusted_root.json`."""
        window = {"start": moment_of(self.start).strftime("%Y-%m-%dT%H:%M:%SZ")}
        ct_logs = []
        if self.ct_log is not None:
            spki = spki_of(self.ct_log.key.public_key())
            ct_logs = [_log_entry(f"ct.{self.operator}", spki, "PKIX_ECDSA_P256_SHA_256", self.ct_log.log_id, window)]
        certificates = [{"rawBytes": encode_base64(each.public_bytes(Encoding.DER))} for each in self.ca.chain]
        return {
            "mediaType": ROOT_MEDIA_TYPE,
            "tlogs": [_log_entry(self.log.host, self.log.spki, self.log.key_details, self.log.log_id, window)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": self.name, "commonName": f"{self.name}-fulcio"},
                    "uri": f"https://fulcio.{self.operator}",
                    "certChain": {"certificates": certificates},
                    "validFor": window,
                }
            ],
            "ctlogs": ct_logs,
            "timestampAuthorities": [],
        }

    def write_trust_domain(self, folder: Path) -> Path:
        """Write the instance as a trust domain of its own name into a configuration folder; returns the domain file."""
        (folder / f"{self.name}.trusted_root.json").write_bytes(orjson.dumps(self.trusted_root()))
        path = folder / f"{self.name}.toml"
        path.write_text(
            f'name = "{self.name}"\ntrusted_root = "{self.name}.trusted_root.json"\noperator = "{self.operator}"\n'
        )
        return path


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return what a DSSE signature is over: `DSSEv1 <len> <type> <len> <payload>`, lengths in bytes."""
    name = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


def _material(certificate: x509.Certificate, entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "mediaType": BUNDLE_MEDIA_TYPE,
        "verificationMaterial": {
            "certificate": {"rawBytes": encode_base64(certificate.public_bytes(Encoding.DER))},
            "tlogEntries": [entry],
            "timestampVerificationData": {},
        },
    }


def _log_entry(host: str, spki: bytes, key_details: str, log_id: bytes, window: dict[str, str]) -> dict[str, Any]:
    return {
        "baseUrl": f"https://{host}",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": encode_base64(spki), "keyDetails": key_details, "validFor": window},
        "logId": {"keyId": encode_base64(log_id)},
    }
