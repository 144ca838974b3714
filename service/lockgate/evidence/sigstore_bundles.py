"""Verifies keyless Sigstore bundles: the adapter around sigstore-python's `Verifier`.

The library does the cryptography and decides; this file closes what the library leaves open, and gives each failure
its own name. One verifier object is made for each bundle, so no state is shared between threads.

The methods with a leading underscore that are overridden or called here are the library's, not ours; the dependency is
pinned to one minor version for that reason (docs/adr/0005-sigstore-wrapper.md).
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.x509.oid import ExtendedKeyUsageOID
from sigstore._internal.timestamp import TimestampSource, TimestampVerificationResult
from sigstore.errors import VerificationError
from sigstore.hashes import Hashed
from sigstore.models import Bundle
from sigstore.verify import Verifier
from sigstore_models.common.v1 import HashAlgorithm

from lockgate.clock import EpochNs
from lockgate.digests import Digest
from lockgate.evidence.errors import RefusedError
from lockgate.evidence.limits import FUTURE_SKEW_NS
from lockgate.evidence.log_entries import LoggedEnvelope, require_intoto_entry
from lockgate.evidence.trusted_roots import SigstoreRoot, TrustedLog
from lockgate.evidence.types import RefusalCode, VerifiedTime
from lockgate.evidence.windows import epoch_ns

# Entries whose promise by the log tells the time. `intoto` is what npm and older cosign logged attestations as.
PROMISED_ENTRIES: Final = frozenset({("hashedrekord", "0.0.1"), ("dsse", "0.0.1"), ("intoto", "0.0.2")})
_MESSAGE_ENTRIES: Final = frozenset({("hashedrekord", "0.0.1"), ("hashedrekord", "0.0.2")})
_STATEMENT_ENTRIES: Final = frozenset({("dsse", "0.0.1"), ("hashedrekord", "0.0.2"), ("intoto", "0.0.2")})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeylessSignature:
    """A bundle whose signature, certificate, log entry and times all hold."""

    certificate: x509.Certificate
    envelope: tuple[str, bytes] | None  # payload type and payload; None for a message signature
    times: tuple[VerifiedTime, ...]
    log: TrustedLog
    log_entry_body: bytes


def verify_keyless(data: bytes, subject: Digest, root: SigstoreRoot, now: EpochNs) -> KeylessSignature:
    """Verify a bundle that holds a Fulcio certificate and a log entry.

    (1) The bundle is one the library can read, with one log entry, of a kind that goes with its content.
    (2) The issuer's name, the log's id and the certificate-transparency log's id are in the root; no key but theirs
        is tried.
    (3) A stated digest is the artifact's.
    (4) The library's nine steps: times, chain, certificate timestamp, key usages, inclusion, promise, validity,
        signature, and the log entry's body against the bundle.
    (5) Every verified time lies in the windows of the authority, the two logs, and not in the future.

    Args:
        data: The bundle, well-formed on its outside.
        subject: The artifact.
        root: The trusted root of the domain.
        now: The time by the gate's clock.

    Returns:
        What was verified. The payload's type and its subjects have not been looked at.

    Raises:
        RefusedError: Any step failed, with that step's code.
        Exception: Whatever the library's parsers let out of a malformed bundle; the caller names it.
    """
    # (1) A bundle that the library can read.
    bundle = Bundle.from_json(data)
    entry = bundle.log_entry._inner  # noqa: SLF001 - the library shows the entry no other way
    kind = (entry.kind_version.kind, entry.kind_version.version)
    content = bundle._dsse_envelope  # noqa: SLF001 - as above
    if kind not in (_MESSAGE_ENTRIES if content is None else _STATEMENT_ENTRIES):
        raise RefusedError(RefusalCode.UNSUPPORTED_LOG_ENTRY, "want a log entry of a kind that goes with the signature")
    # (2) One key for each log. The issuer's name comes first: it tells best that a bundle is of another instance.
    certificate = bundle.signing_certificate
    issuers = {each.subject for authority in root.authorities for each in authority.certificates}
    if certificate.issuer not in issuers:
        raise RefusedError(RefusalCode.UNTRUSTED_CERTIFICATE, _STAGE_DETAILS[RefusalCode.UNTRUSTED_CERTIFICATE])
    log = find_log(root, entry.log_id.key_id)
    ct_log, sct_time = _find_ct_log(root, certificate)
    # (3) The artifact.
    if content is None:
        _require_stated_digest(bundle, subject)
    # (4) The library's steps.
    steps = _Steps(root, log, ct_log)
    envelope = steps.run(bundle, subject)
    # (5) What the library leaves open; the chain's windows were looked at on the way.
    times = steps.times
    require_times(times, now)
    for at in (*(time.at for time in times), sct_time):
        if not ct_log.window.contains(at):
            raise outside("the certificate-transparency log's key")
    require_log_window(log, times)
    return KeylessSignature(
        certificate=certificate, envelope=envelope, times=times, log=log, log_entry_body=entry.canonicalized_body
    )


def find_log(root: SigstoreRoot, name: bytes) -> TrustedLog:
    """Return the root's log of that id.

    Raises:
        RefusedError: `log_entry_invalid`: the root has none, or more than one.
    """
    named = [log for log in root.logs if log.is_named(name)]
    if len(named) != 1:
        raise RefusedError(RefusalCode.LOG_ENTRY_INVALID, "want an entry of a transparency log in the trusted root")
    return named[0]


def require_times(times: tuple[VerifiedTime, ...], now: EpochNs) -> None:
    """Make sure that no time is later than the clock's, give or take `FUTURE_SKEW_NS`.

    Raises:
        RefusedError: `time_in_future`.
    """
    if any(time.at > now + FUTURE_SKEW_NS for time in times):
        raise RefusedError(RefusalCode.TIME_IN_FUTURE, "want a signing time that is not after the gate's clock")


def require_log_window(log: TrustedLog, times: tuple[VerifiedTime, ...]) -> None:
    """Make sure that the log's key was valid at every time.

    Raises:
        RefusedError: `outside_validity`.
    """
    if not all(log.window.contains(time.at) for time in times):
        raise outside("the transparency log's key")


def outside(what: str) -> RefusedError:
    """Return the refusal for something that was not valid when the signature was made."""
    return RefusedError(RefusalCode.OUTSIDE_VALIDITY, f"want a signing time within the validity of {what}")


class _Steps(Verifier):
    """The library's verifier, for one bundle, noting where it is.

    Attributes:
        stage: The code of a failure here and now.
        times: The verified times, after the first step.
    """

    def __init__(self, root: SigstoreRoot, log: TrustedLog, ct_log: TrustedLog) -> None:
        # Not the library's own: it would make an HTTP client that nothing here uses.
        self._trusted_root = root.pinned(log, ct_log)
        self._fulcio_certificate_chain = [each for authority in root.authorities for each in authority.certificates]
        self._root = root
        self.stage = RefusalCode.MALFORMED_BUNDLE
        self.times: tuple[VerifiedTime, ...] = ()

    def run(self, bundle: Bundle, subject: Digest) -> tuple[str, bytes] | None:
        """Verify the bundle.

        Returns:
            The envelope's payload type and payload; None for a message signature.

        Raises:
            RefusedError: A step failed.
        """
        try:
            return self._dispatch(bundle, subject)
        except VerificationError as exc:
            stage = self.stage
            if stage is RefusalCode.SIGNATURE_INVALID and _signature_holds(bundle, subject):
                stage = RefusalCode.LOG_ENTRY_MISMATCH  # then only the comparison with the log entry is left
            raise RefusedError(stage, _STAGE_DETAILS[stage]) from exc

    def _dispatch(self, bundle: Bundle, subject: Digest) -> tuple[str, bytes] | None:
        envelope = bundle._dsse_envelope  # noqa: SLF001 - the library shows the envelope no other way
        if envelope is None:
            digest = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes.fromhex(subject.hex))
            self.verify_artifact(digest, bundle, self)
            return None
        if bundle.log_entry._inner.kind_version.kind != "intoto":  # noqa: SLF001 - as above
            return self.verify_dsse(bundle, self)
        # The library's steps (0) to (6), then our own (7) and (8), because it does not know this kind of entry.
        self._verify_common_signing_cert(bundle, self)
        if not _signature_holds(bundle, subject):
            raise VerificationError
        inner = envelope._inner  # noqa: SLF001 - as above
        require_intoto_entry(
            bundle.log_entry._inner.canonicalized_body,  # noqa: SLF001 - as above
            LoggedEnvelope(
                payload_type=inner.payload_type,
                payload=inner.payload,
                signature=envelope.signature,
                signer=bundle.signing_certificate,
            ),
        )
        return inner.payload_type, inner.payload

    def verify(self, cert: x509.Certificate) -> None:
        """Stand in for the library's identity policy, which it asks between the certificate and the log entry.

        Whom a signature must be by is policy's to say, later and on every request. Here it only marks the place.
        """
        del cert
        self.stage = RefusalCode.LOG_ENTRY_INVALID

    def _establish_time(self, bundle: Bundle) -> list[TimestampVerificationResult]:
        # Step (0), with two changes: the results are kept, because asking twice would verify each token twice; and a
        # promise for an `intoto` entry counts, since the promise is verified in the same way for every kind.
        self.stage = RefusalCode.NO_VERIFIED_TIME
        results: list[TimestampVerificationResult] = []
        if bundle.verification_material.timestamp_verification_data:
            if not self._root.document.timestamp_authorities:
                raise VerificationError
            results.extend(self._verify_timestamp_authority(bundle))
        entry = bundle.log_entry._inner  # noqa: SLF001 - the library shows the entry no other way
        if entry.integrated_time and entry.inclusion_promise:
            if (entry.kind_version.kind, entry.kind_version.version) not in PROMISED_ENTRIES:
                raise VerificationError
            moment = datetime.fromtimestamp(entry.integrated_time, UTC)
            results.append(TimestampVerificationResult(source=TimestampSource.TRANSPARENCY_SERVICE, time=moment))
        self.times = tuple(verified_time(result) for result in results)
        return results

    def _verify_chain_at_time(
        self, certificate: x509.Certificate, timestamp_result: TimestampVerificationResult
    ) -> list[x509.Certificate]:
        # Step (1), and the window of the authority whose certificate the chain ends in.
        self.stage = RefusalCode.UNTRUSTED_CERTIFICATE
        moment = timestamp_result.time
        if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
            raise outside("the certificate")
        chain = super()._verify_chain_at_time(certificate, timestamp_result)
        authorities = [each for each in self._root.authorities if chain[-1] in each.certificates]
        if not any(each.window.contains(epoch_ns(moment)) for each in authorities):
            raise outside("the certificate authority")
        _require_code_signing(certificate)
        self.stage = RefusalCode.SCT_INVALID
        return chain

    def _verify_common_signing_cert(self, bundle: Bundle, policy: "_Steps") -> None:  # type: ignore[override]
        super()._verify_common_signing_cert(bundle, policy)
        self.stage = RefusalCode.SIGNATURE_INVALID


_STAGE_DETAILS: Final = {
    RefusalCode.MALFORMED_BUNDLE: "want a bundle whose parts can all be decoded",
    RefusalCode.NO_VERIFIED_TIME: "want a time by a log's promise or a timestamp authority in the trusted root",
    RefusalCode.UNTRUSTED_CERTIFICATE: "want a certificate issued by an authority in the trusted root",
    RefusalCode.SCT_INVALID: "want a certificate timestamp signed by a log in the trusted root",
    RefusalCode.LOG_ENTRY_INVALID: "want a log entry with a valid inclusion proof, checkpoint and promise",
    RefusalCode.SIGNATURE_INVALID: "want a signature over the artifact by the certificate's key",
    RefusalCode.LOG_ENTRY_MISMATCH: "want a log entry for this very signature, certificate and artifact",
}


def _find_ct_log(root: SigstoreRoot, certificate: x509.Certificate) -> tuple[TrustedLog, EpochNs]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps)
        (timestamp,) = extension.value
    except (x509.ExtensionNotFound, ValueError) as exc:  # a ValueError also for another number than one
        raise RefusedError(
            RefusalCode.SCT_INVALID, "want a certificate with exactly one certificate timestamp"
        ) from exc
    named = [log for log in root.ct_logs if log.is_named(timestamp.log_id)]
    if len(named) != 1:
        raise RefusedError(
            RefusalCode.SCT_INVALID,
            "want a certificate timestamp of a certificate-transparency log in the trusted root",
        )
    return named[0], epoch_ns(timestamp.timestamp.replace(tzinfo=UTC))


def _require_stated_digest(bundle: Bundle, subject: Digest) -> None:
    if subject.algorithm != "sha256":
        raise RefusedError(RefusalCode.DIGEST_MISMATCH, "want the SHA-256 digest of the artifact for its signature")
    message = bundle._inner.message_signature  # noqa: SLF001 - the library shows the signature no other way
    stated = None if message is None else message.message_digest
    if stated is not None and (
        stated.algorithm is not HashAlgorithm.SHA2_256 or stated.digest != bytes.fromhex(subject.hex)
    ):
        raise RefusedError(RefusalCode.DIGEST_MISMATCH, "want a signature that states the artifact's digest")


def _require_code_signing(certificate: x509.Certificate) -> None:
    # The library's step (3), with the extensions' absence as a refusal and not as an exception.
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as exc:
        raise RefusedError(RefusalCode.UNTRUSTED_CERTIFICATE, "want a certificate for signing code") from exc
    if not usage.digital_signature or ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise RefusedError(RefusalCode.UNTRUSTED_CERTIFICATE, "want a certificate for signing code")


def _signature_holds(bundle: Bundle, subject: Digest) -> bool:
    key = bundle.signing_certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    envelope = bundle._dsse_envelope  # noqa: SLF001 - the library shows the envelope no other way
    digest = bytes.fromhex(subject.hex) if envelope is None else hashlib.sha256(envelope.pae()).digest()
    try:
        key.verify(bundle.signature, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    except InvalidSignature:
        return False
    return True


def verified_time(result: TimestampVerificationResult) -> VerifiedTime:
    """Return the library's verified time as ours."""
    return VerifiedTime(
        source="log" if result.source is TimestampSource.TRANSPARENCY_SERVICE else "timestamp_authority",
        at=epoch_ns(result.time),
    )
