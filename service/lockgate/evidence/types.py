"""What evidence becomes: a verified signature, or a refusal with a stable code. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from lockgate.clock import EpochNs
from lockgate.digests import Digest, Sha256Hex


class RefusalCode(StrEnum):
    """Why a piece of evidence was refused. The values are an interface: none is renamed, none is reused."""

    MALFORMED_BUNDLE = "malformed_bundle"
    UNSUPPORTED_BUNDLE = "unsupported_bundle"
    UNSUPPORTED_LOG_ENTRY = "unsupported_log_entry"
    LEGACY_SIGNATURE_FORMAT = "legacy_signature_format"
    UNTRUSTED_CERTIFICATE = "untrusted_certificate"
    SCT_INVALID = "sct_invalid"
    NO_VERIFIED_TIME = "no_verified_time"
    OUTSIDE_VALIDITY = "outside_validity"
    TIME_IN_FUTURE = "time_in_future"
    LOG_ENTRY_INVALID = "log_entry_invalid"
    LOG_ENTRY_MISMATCH = "log_entry_mismatch"
    SIGNATURE_INVALID = "signature_invalid"
    DIGEST_MISMATCH = "digest_mismatch"
    PAYLOAD_TYPE = "payload_type"
    SUBJECT_MISMATCH = "subject_mismatch"
    KEY_UNKNOWN = "key_unknown"
    TOO_LARGE = "too_large"
    TRUST_DOMAIN_UNKNOWN = "trust_domain_unknown"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A piece of evidence that proves nothing, and why."""

    code: RefusalCode
    detail: str  # for people: bounded, our own words, never an echo of the bundle
    trust_domain: str
    bundle_sha256: Sha256Hex


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One authenticated statement of the certificate authority about the signer, by Fulcio's name for it."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedTime:
    """A moment at which the signature is known to have existed."""

    source: Literal["log", "timestamp_authority"]
    at: EpochNs


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedSignature:
    """A signature over the artifact that survived every check. Holds authenticated facts only.

    It says who signed, not whether that signer is trusted for anything: that is policy's to say.
    """

    kind: Literal["message", "statement"]
    subject: Digest  # the artifact's digest that the caller asked about and the signature covers
    trust_domain: str
    trust_root_sha256: Sha256Hex
    identity: str  # certificate SAN, or "key:<sha256 of the SubjectPublicKeyInfo>" for a managed key
    identity_type: Literal["email", "uri", "username", "key", "certificate"]
    issuer: str  # the OIDC issuer of a keyless identity; "" for keys and plain certificates
    claims: tuple[Claim, ...]  # sorted by name
    certificate_sha256: Sha256Hex | None
    times: tuple[VerifiedTime, ...]  # empty only where the trust domain allows a signature without a verified time
    log_entry_sha256: Sha256Hex | None  # sha256 of the log entry's canonicalized body: the signing event's identity
    log_key_id: str | None  # hex
    predicate_type: str | None  # of an in-toto statement
    payload_sha256: Sha256Hex | None  # of a DSSE payload
    statement: dict[str, Any] | None = field(default=None, repr=False)  # the parsed, authenticated statement
    checks: tuple[str, ...]  # what was checked, for example ("certificate", "sct", "log_inclusion", "log_time")
    bundle_sha256: Sha256Hex  # names the bytes that came; it is not an identity of the signing event
