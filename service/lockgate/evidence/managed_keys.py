"""Verifies bundles that are signed by a key which the trust domain lists, instead of by a short-lived certificate."""

from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from lockgate.clock import EpochNs
from lockgate.digests import Digest
from lockgate.evidence.bundles import Envelope, KeyReference, UnverifiedBundle, require_one_log_entry
from lockgate.evidence.errors import RefusedError
from lockgate.evidence.log_entries import (
    LoggedDigest,
    LoggedEnvelope,
    require_dsse_entry,
    require_hashedrekord_v1_entry,
    require_hashedrekord_v2_entry,
    require_intoto_entry,
)
from lockgate.evidence.signatures import hash_name, signature_holds, signed_digest
from lockgate.evidence.sigstore_bundles import outside, require_log_window, require_times
from lockgate.evidence.sigstore_entries import VerifiedEntry, verify_log_entry, verify_timestamps
from lockgate.evidence.trust_domains import ManagedKey, TrustDomain
from lockgate.evidence.types import RefusalCode, VerifiedTime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySignature:
    """A bundle whose signature by a managed key holds."""

    key: ManagedKey
    times: tuple[VerifiedTime, ...]
    entry: VerifiedEntry | None


def verify_managed(bundle: UnverifiedBundle, subject: Digest, domain: TrustDomain, now: EpochNs) -> KeySignature:
    """Verify a bundle that names a managed key.

    (1) The domain has the key that the bundle names, or keys to try if it names none.
    (2) One of them made the signature.
    (3) The log entry, which only a key with `require_log = false` may lack, is in the log and of this signature.
    (4) The times are not in the future, and in the windows of the key and of the log. A signature without a verified
        time is taken to be made now, because nothing shows that it is older.

    Raises:
        RefusedError: Any step failed, with that step's code.
    """
    # (1) The keys.
    candidates = _candidates(bundle.key, domain.managed_keys)
    # (2) The signature.
    signers = [
        key
        for key in candidates
        if signature_holds(key.public_key, bundle.content, subject, legacy=domain.legacy_model_signatures)
    ]
    if not signers:
        raise RefusedError(RefusalCode.SIGNATURE_INVALID, "want a signature over the artifact by the managed key")
    key = signers[0]
    # (3) The log entry.
    entry = None
    if bundle.log_entries or key.require_log:
        document = require_one_log_entry(bundle)
        if domain.root is None:
            raise RefusedError(RefusalCode.LOG_ENTRY_INVALID, "want a transparency log in the trust domain")
        entry = verify_log_entry(document, domain.root)
        _require_entry_of(entry, bundle, subject, key)
    # (4) The times.
    times = _times(bundle, domain, entry)
    if entry is not None and not times:
        raise RefusedError(RefusalCode.NO_VERIFIED_TIME, "want a time by a log's promise or a timestamp authority")
    require_times(times, now)
    if entry is not None:
        require_log_window(entry.log, times)
    if not all(key.window.contains(at) for at in ([time.at for time in times] or [now])):
        raise outside("the managed key")
    return KeySignature(key=key, times=times, entry=entry)


def _candidates(reference: KeyReference | None, keys: tuple[ManagedKey, ...]) -> list[ManagedKey]:
    candidates = list(keys)
    if reference is not None and reference.hint is not None:
        candidates = [key for key in candidates if reference.hint in key.hints]
    if reference is not None and reference.pem is not None:
        spki = _spki(reference.pem)
        candidates = [key for key in candidates if key.spki == spki]
    if not candidates:
        raise RefusedError(RefusalCode.KEY_UNKNOWN, "want a signature by a managed key of the trust domain")
    return candidates


def _spki(pem: bytes) -> bytes:
    try:
        return load_pem_public_key(pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise RefusedError(RefusalCode.MALFORMED_BUNDLE, "want a public key in PEM") from exc


def _times(bundle: UnverifiedBundle, domain: TrustDomain, entry: VerifiedEntry | None) -> tuple[VerifiedTime, ...]:
    stamped: tuple[VerifiedTime, ...] = ()
    if bundle.timestamps and domain.root is not None:
        stamped = verify_timestamps(bundle.timestamps, bundle.content.signature, domain.root)
    return stamped if entry is None or entry.promised is None else (*stamped, entry.promised)


def _require_entry_of(entry: VerifiedEntry, bundle: UnverifiedBundle, subject: Digest, key: ManagedKey) -> None:
    content = bundle.content
    match entry.kind, content:
        case ("dsse", "0.0.1"), Envelope():
            require_dsse_entry(entry.body, _logged_envelope(content, key))
        case ("intoto", "0.0.2"), Envelope():
            require_intoto_entry(entry.body, _logged_envelope(content, key))
        case ("hashedrekord", "0.0.1"), _ if not isinstance(content, Envelope):
            require_hashedrekord_v1_entry(entry.body, _logged_digest(bundle, subject, key))
        case ("hashedrekord", "0.0.2"), _:
            require_hashedrekord_v2_entry(entry.body, _logged_digest(bundle, subject, key))
        case _:
            raise RefusedError(
                RefusalCode.UNSUPPORTED_LOG_ENTRY, "want a log entry of a kind that goes with the signature"
            )


def _logged_envelope(envelope: Envelope, key: ManagedKey) -> LoggedEnvelope:
    return LoggedEnvelope(
        payload_type=envelope.payload_type,
        payload=envelope.payload,
        signature=envelope.signature,
        signer=key.spki,
    )


def _logged_digest(bundle: UnverifiedBundle, subject: Digest, key: ManagedKey) -> LoggedDigest:
    if isinstance(key.public_key, ed25519.Ed25519PublicKey):
        raise RefusedError(RefusalCode.UNSUPPORTED_LOG_ENTRY, "want an entry that records the envelope, for Ed25519")
    return LoggedDigest(
        algorithm=hash_name(key.public_key),
        digest=signed_digest(key.public_key, bundle.content, subject),
        signature=bundle.content.signature,
        signer=key.spki,
    )
