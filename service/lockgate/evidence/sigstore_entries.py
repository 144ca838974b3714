"""Verifies log entries and timestamps that do not come with a Fulcio certificate, by sigstore-python's own code."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rfc3161_client import decode_timestamp_response
from sigstore._internal.trust import KeyringPurpose
from sigstore.errors import VerificationError
from sigstore.models import TransparencyLogEntry
from sigstore.verify import Verifier
from sigstore_models.rekor.v1 import TransparencyLogEntry as EntryDocument

from lockgate.evidence.errors import RefusedError
from lockgate.evidence.sigstore_bundles import PROMISED_ENTRIES, find_log, verified_time
from lockgate.evidence.trusted_roots import SigstoreRoot, TrustedLog
from lockgate.evidence.types import RefusalCode, VerifiedTime
from lockgate.evidence.windows import epoch_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedEntry:
    """A log entry that is in a log of the root. What its body says is still to be compared."""

    kind: tuple[str, str]  # kind and version
    body: bytes
    log: TrustedLog
    promised: VerifiedTime | None  # the time of the log's promise, if it made one


def verify_log_entry(entry: dict[str, Any], root: SigstoreRoot) -> VerifiedEntry:
    """Verify a log entry's inclusion proof, checkpoint and, if there is one, promise.

    Raises:
        RefusedError: `log_entry_invalid`.
        Exception: Whatever the library's parsers let out of a malformed entry; the caller names it.
    """
    document = EntryDocument.from_dict(entry)
    log = find_log(root, document.log_id.key_id)
    try:
        # The library's own steps for an entry; it offers them only as part of a whole bundle.
        TransparencyLogEntry(document)._verify(root.pinned(log, None).rekor_keyring(KeyringPurpose.VERIFY))  # noqa: SLF001
    except VerificationError as exc:
        raise RefusedError(
            RefusalCode.LOG_ENTRY_INVALID, "want a log entry with a valid inclusion proof, checkpoint and promise"
        ) from exc
    kind = (document.kind_version.kind, document.kind_version.version)
    promised = None
    if document.inclusion_promise and document.integrated_time and kind in PROMISED_ENTRIES:
        moment = datetime.fromtimestamp(document.integrated_time, UTC)
        promised = VerifiedTime(source="log", at=epoch_ns(moment))
    return VerifiedEntry(kind=kind, body=document.canonicalized_body, log=log, promised=promised)


def verify_timestamps(tokens: tuple[bytes, ...], signature: bytes, root: SigstoreRoot) -> tuple[VerifiedTime, ...]:
    """Verify RFC 3161 timestamps over a signature's bytes; those of unknown authorities are ignored.

    Raises:
        Exception: Whatever the library's parsers let out of a malformed token; the caller names it.
    """
    timestamper = _Timestamper(root)
    responses = [decode_timestamp_response(token) for token in tokens]
    results = [timestamper._verify_signed_timestamp(response, signature) for response in responses]  # noqa: SLF001
    return tuple(verified_time(result) for result in results if result is not None)


class _Timestamper(Verifier):
    # Only the library's step for one timestamp is used; it needs nothing but the root's authorities.
    def __init__(self, root: SigstoreRoot) -> None:
        self._trusted_root = root.pinned(None, None)
