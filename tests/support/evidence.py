"""What the evidence tests share: a virtual instance, and a verifier for its root."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.serialization import Encoding

from lockgate.clock import EpochNs
from lockgate.demo.virtual_ca import VirtualSigner
from lockgate.demo.virtual_log import encode_base64, encode_sorted
from lockgate.demo.virtual_sigstore import STATEMENT_TYPE
from lockgate.digests import Digest, sha256_of
from lockgate.evidence import EvidenceVerifier, Refusal, VerifiedSignature, load_trust_domains
from support.clocks import START, FixedClock
from support.virtual_timestamping import TimestampedSigstore

NOW = START
ARTIFACT = b"the weights of a very small model"
SUBJECT = sha256_of(ARTIFACT)
ISSUER = "https://id.example"
SIGNER = VirtualSigner(identity="trainer@example.com", issuer=ISSUER)


@dataclass
class World:
    """One virtual instance, its configuration folder and a clock that both share."""

    folder: Path
    clock: FixedClock = field(default_factory=FixedClock)

    def __post_init__(self) -> None:
        self.sigstore = TimestampedSigstore(name="test", clock=self.clock)
        self.domain_text = ""

    def verifier(self, change_root: Callable[[dict[str, Any]], None] | None = None) -> EvidenceVerifier:
        """Return a verifier for the root, after a change to it; `domain_text` is added to the domain file."""
        path = self.sigstore.write_trust_domain(self.folder)
        root = self.sigstore.trusted_root()
        if change_root is not None:
            change_root(root)
        (self.folder / "test.trusted_root.json").write_bytes(orjson.dumps(root))
        path.write_text(path.read_text() + self.domain_text)
        return EvidenceVerifier(load_trust_domains(self.folder), self.clock)

    def check(
        self,
        bundle: dict[str, Any] | bytes,
        subject: Digest = SUBJECT,
        change_root: Callable[[dict[str, Any]], None] | None = None,
    ) -> VerifiedSignature | Refusal:
        """Verify a bundle under the instance's root."""
        data = bundle if isinstance(bundle, bytes) else orjson.dumps(bundle)
        return self.verifier(change_root).verify(data, subject, "test")

    def message(self, at: EpochNs | None = None, signer: VirtualSigner = SIGNER) -> dict[str, Any]:
        """Return a good message bundle, as Rekor v1 logs it."""
        when = self.clock.now if at is None else at
        return self.sigstore.message_bundle(bytes.fromhex(SUBJECT.hex), self.sigstore.certify(signer, when), when)

    def message_v2(self, at: EpochNs | None = None) -> dict[str, Any]:
        """Return a good message bundle, as Rekor v2 logs it."""
        when = self.clock.now if at is None else at
        return self.sigstore.message_bundle_v2(bytes.fromhex(SUBJECT.hex), self.sigstore.certify(SIGNER, when), when)

    def statement(self, payload: dict[str, Any] | bytes | None = None) -> dict[str, Any]:
        """Return a good statement bundle, as Rekor v1 logs it."""
        when = self.clock.now
        return self.sigstore.statement_bundle(_payload(payload), self.sigstore.certify(SIGNER, when), when)

    def statement_v2(self, payload: dict[str, Any] | bytes | None = None) -> dict[str, Any]:
        """Return a good statement bundle, as Rekor v2 logs it."""
        when = self.clock.now
        return self.sigstore.statement_bundle_v2(_payload(payload), self.sigstore.certify(SIGNER, when), when)

    def intoto(self, *, logged_payload: bytes | None = None) -> dict[str, Any]:
        """Return a statement bundle logged as intoto/0.0.2; of another payload, if one is given."""
        credential = self.sigstore.certify(SIGNER, self.clock.now)
        payload = orjson.dumps(statement_of())
        bundle = self.sigstore.statement_bundle(payload, credential, self.clock.now)
        payload_hash = {"algorithm": "sha256", "value": hashlib.sha256(logged_payload or payload).hexdigest()}
        pem = encode_base64(credential.certificate.public_bytes(Encoding.PEM))
        content = intoto_content(payload_hash, bundle["dsseEnvelope"]["signatures"][0]["sig"], pem)
        body = encode_sorted({"apiVersion": "0.0.2", "kind": "intoto", "spec": {"content": content}})
        entry = self.sigstore.log.append("intoto", "0.0.2", body, self.clock.now)
        bundle["verificationMaterial"]["tlogEntries"] = [entry]
        return bundle


def intoto_content(payload_hash: dict[str, str], signature: str, pem: str) -> dict[str, Any]:
    """Return the content of an `intoto/0.0.2` entry; `signature` and `pem` are in base64."""
    envelope = {
        "payloadType": STATEMENT_TYPE,
        "signatures": [{"publicKey": pem, "sig": encode_base64(signature.encode())}],
    }
    return {"envelope": envelope, "hash": payload_hash, "payloadHash": payload_hash}


def statement_of(**changes: Any) -> dict[str, Any]:
    """Return an in-toto statement about the artifact, with fields replaced."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": SUBJECT.hex}}],
        "predicateType": "https://example.com/evaluation/v1",
        "predicate": {"accuracy_ppm": 990_000},
        **changes,
    }


def code_of(result: VerifiedSignature | Refusal) -> str:
    """Return a refusal's code, or `verified`."""
    return result.code.value if isinstance(result, Refusal) else "verified"


def _payload(payload: dict[str, Any] | bytes | None) -> bytes:
    return payload if isinstance(payload, bytes) else orjson.dumps(payload or statement_of())
