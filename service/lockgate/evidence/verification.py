"""Verifies one bundle against one trust domain: finds what it was signed with, and puts the facts together."""

from dataclasses import dataclass
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from lockgate.clock import EpochNs
from lockgate.digests import Digest, Sha256Hex, sha256_hex
from lockgate.evidence.bundles import (
    MEDIA_TYPE_V03,
    Envelope,
    UnverifiedBundle,
    parse_bundle,
    require_one_log_entry,
)
from lockgate.evidence.certificates import verify_certified
from lockgate.evidence.claims import read_signer
from lockgate.evidence.errors import RefusedError
from lockgate.evidence.managed_keys import verify_managed
from lockgate.evidence.sigstore_bundles import verify_keyless
from lockgate.evidence.statements import read_statement, require_payload_type
from lockgate.evidence.trust_domains import TrustDomain
from lockgate.evidence.trusted_roots import TrustedLog
from lockgate.evidence.types import Claim, RefusalCode, VerifiedSignature, VerifiedTime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Facts:
    """What is known once the signature, the signer and the time are verified."""

    identity: str
    identity_type: Literal["email", "uri", "username", "key", "certificate"]
    issuer: str = ""
    claims: tuple[Claim, ...] = ()
    certificate: x509.Certificate | None = None
    times: tuple[VerifiedTime, ...] = ()
    log: TrustedLog | None = None
    log_entry_body: bytes | None = None
    envelope: tuple[str, bytes] | None  # payload type and payload; None for a message signature
    checks: tuple[str, ...]


def verify_evidence(data: bytes, subject: Digest, domain: TrustDomain, now: EpochNs) -> VerifiedSignature:
    """Verify a bundle.

    (1) It is well-formed, and its kind is known.
    (2) The signature, the signer and the time hold, each kind of signer by its own steps.
    (3) An envelope holds an in-toto statement, and the artifact is one of its subjects.

    Args:
        data: The bundle.
        subject: The artifact's digest.
        domain: Whom to trust.
        now: The time by the gate's clock.

    Returns:
        Authenticated facts only.

    Raises:
        RefusedError: Any step failed.
    """
    # (1) The kind.
    bundle = parse_bundle(data)
    # (2) The signature, the signer and the time.
    try:
        facts = _verify_signature(data, bundle, subject, domain, now)
    except RefusedError:
        raise
    except Exception as exc:
        # Parsers of certificates, checkpoints, timestamps and base64 let errors of many kinds out (ValueError,
        # binascii.Error, x509.ExtensionNotFound). The bundle is all they are given that was not read at the start.
        raise RefusedError(RefusalCode.MALFORMED_BUNDLE, "want a bundle whose parts can all be decoded") from exc
    # (3) The statement.
    statement, payload = None, None
    if facts.envelope is not None:
        payload_type, payload = facts.envelope
        require_payload_type(payload_type)
        statement = read_statement(payload, subject, legacy_models=domain.legacy_model_signatures)
    return VerifiedSignature(
        kind="message" if statement is None else "statement",
        subject=subject,
        trust_domain=domain.name,
        trust_root_sha256=domain.sha256,
        identity=facts.identity,
        identity_type=facts.identity_type,
        issuer=facts.issuer,
        claims=facts.claims,
        certificate_sha256=_fingerprint(facts.certificate),
        times=facts.times,
        log_entry_sha256=None if facts.log_entry_body is None else sha256_hex(facts.log_entry_body),
        log_key_id=None if facts.log is None else facts.log.log_id.hex(),
        predicate_type=None if statement is None else statement["predicateType"],
        payload_sha256=None if payload is None else sha256_hex(payload),
        statement=statement,
        checks=facts.checks if statement is None else (*facts.checks, "payload_type", "subject"),
        bundle_sha256=sha256_hex(data),
    )


def _verify_signature(
    data: bytes, bundle: UnverifiedBundle, subject: Digest, domain: TrustDomain, now: EpochNs
) -> _Facts:
    match bundle.material:
        case "key":
            return _by_key(bundle, subject, domain, now)
        case "chain" if not bundle.log_entries and domain.certificate_authorities:
            return _by_chain(bundle, subject, domain, now)
        case "chain" if bundle.log_entries and bundle.media_type in MEDIA_TYPE_V03:
            raise RefusedError(RefusalCode.UNSUPPORTED_BUNDLE, "want one certificate beside the log entry in v0.3")
        case _:
            return _by_certificate(data, bundle, subject, domain, now)


def _by_certificate(
    data: bytes, bundle: UnverifiedBundle, subject: Digest, domain: TrustDomain, now: EpochNs
) -> _Facts:
    entry = require_one_log_entry(bundle)
    if entry.get("inclusionPromise") is None and not bundle.timestamps:
        raise RefusedError(RefusalCode.NO_VERIFIED_TIME, "want a log's promise or a timestamp in the bundle")
    if domain.root is None:
        raise RefusedError(RefusalCode.UNTRUSTED_CERTIFICATE, "want a trust domain with a Sigstore root")
    # From here on the library's reading of the bundle counts, and ours no more: two readers could differ.
    signature = verify_keyless(data, subject, domain.root, now)
    signer = read_signer(signature.certificate)
    return _Facts(
        identity=signer.identity,
        identity_type=signer.identity_type,
        issuer=signer.issuer,
        claims=signer.claims,
        certificate=signature.certificate,
        times=signature.times,
        log=signature.log,
        log_entry_body=signature.log_entry_body,
        envelope=signature.envelope,
        checks=("certificate", "sct", "log_inclusion", *_time_checks(signature.times), "validity", "signature"),
    )


def _by_key(bundle: UnverifiedBundle, subject: Digest, domain: TrustDomain, now: EpochNs) -> _Facts:
    signature = verify_managed(bundle, subject, domain, now)
    entry = signature.entry
    logged = () if entry is None else ("log_inclusion",)
    return _Facts(
        identity=f"key:{signature.key.spki_sha256}",
        identity_type="key",
        times=signature.times,
        log=None if entry is None else entry.log,
        log_entry_body=None if entry is None else entry.body,
        envelope=_envelope(bundle),
        checks=("key", *logged, *_time_checks(signature.times), "validity", "signature"),
    )


def _by_chain(bundle: UnverifiedBundle, subject: Digest, domain: TrustDomain, now: EpochNs) -> _Facts:
    certificate = verify_certified(
        bundle, subject, domain.certificate_authorities, now, legacy=domain.legacy_model_signatures
    )
    return _Facts(
        identity=certificate.subject.rfc4514_string(),
        identity_type="certificate",
        certificate=certificate,
        envelope=_envelope(bundle),
        checks=("certificate", "validity", "signature"),
    )


def _envelope(bundle: UnverifiedBundle) -> tuple[str, bytes] | None:
    content = bundle.content
    return (content.payload_type, content.payload) if isinstance(content, Envelope) else None


def _time_checks(times: tuple[VerifiedTime, ...]) -> tuple[str, ...]:
    names = {"log": "log_time", "timestamp_authority": "timestamp"}
    return tuple(sorted({names[time.source] for time in times}))


def _fingerprint(certificate: x509.Certificate | None) -> Sha256Hex | None:
    return None if certificate is None else sha256_hex(certificate.public_bytes(Encoding.DER))
