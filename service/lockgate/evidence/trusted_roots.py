"""Reads a Sigstore trusted root and arranges it so that exactly one key can answer for each log.

The library tries every key of a kind when a log's id is unknown to it, ignores the ends of validity windows, and lets
services of different instances be mixed. So we read the windows ourselves, give the library one log's key at a time,
and refuse a root whose services have different operators.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from sigstore.models import TrustedRoot as LibraryRoot
from sigstore_models.trustroot.v1 import CertificateAuthority, TransparencyLogInstance
from sigstore_models.trustroot.v1 import TrustedRoot as RootDocument

from lockgate.canonical_json import parse_json
from lockgate.evidence.limits import TRUST_FILE_BYTES_MAX
from lockgate.evidence.windows import Window, window_of

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedLog:
    """A transparency log or a certificate-transparency log.

    Attributes:
        log_id: The id that the root gives to it, 32 bytes.
        key_sha256: SHA-256 of its SubjectPublicKeyInfo, by which RFC 6962 names it.
        window: When its key may sign.
        instance: Its entry in the root.
    """

    log_id: bytes
    key_sha256: bytes
    window: Window
    instance: TransparencyLogInstance

    def is_named(self, name: bytes) -> bool:
        """Tell whether `name` is an id of this log."""
        return name in (self.log_id, self.key_sha256)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedAuthority:
    """A certificate authority: its chain, the issuing certificate first, and when it may issue."""

    certificates: tuple[x509.Certificate, ...]
    window: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class SigstoreRoot:
    """A trusted root, read once."""

    document: RootDocument
    authorities: tuple[TrustedAuthority, ...]
    logs: tuple[TrustedLog, ...]
    ct_logs: tuple[TrustedLog, ...]

    def pinned(self, log: TrustedLog | None, ct_log: TrustedLog | None) -> LibraryRoot:
        """Return the root as the library wants it, with one log and one certificate-transparency log at most."""
        return LibraryRoot(
            self.document.model_copy(
                update={
                    "tlogs": [] if log is None else [log.instance],
                    "ctlogs": [] if ct_log is None else [ct_log.instance],
                }
            )
        )


def parse_trusted_root(data: bytes, *, operator: str) -> SigstoreRoot:
    """Read a `trusted_root.json`.

    Args:
        data: The file's bytes.
        operator: The domain name that every certificate authority and log of the root must be under.

    Returns:
        The root.

    Raises:
        MalformedJSONError: It is not JSON, or is ambiguous.
        ValueError: It is not a trusted root, holds a key or certificate that cannot be read, or mixes operators. The
            message says what was wanted; the caller adds the file.
    """
    parse_json(data, bytes_max=TRUST_FILE_BYTES_MAX)  # refuses duplicate keys, which the library's reader does not
    document = RootDocument.from_json(data)
    if document.media_type != MEDIA_TYPE:
        raise ValueError(f"want the media type {MEDIA_TYPE}")
    _require_operator(document, operator)
    document = document.model_copy(
        update={"timestamp_authorities": [_closed(authority) for authority in document.timestamp_authorities]}
    )
    return SigstoreRoot(
        document=document,
        authorities=tuple(_read_authority(authority) for authority in document.certificate_authorities),
        logs=tuple(_read_log(log) for log in document.tlogs),
        ct_logs=tuple(_read_log(log) for log in document.ctlogs),
    )


def _require_operator(document: RootDocument, operator: str) -> None:
    # A certificate of one instance with a timestamp of another's log would pass the library. Timestamp authorities are
    # left out: they testify to the time and to nothing else, and trusting somebody else's is a sound choice.
    for service, url in _services(document):
        host = urlsplit(url).hostname or ""
        if host != operator and not host.endswith(f".{operator}"):
            raise ValueError(f"want every {service} under {operator!r}, got {host[:100]!r}")


def _services(document: RootDocument) -> Iterator[tuple[str, str]]:
    for authority in document.certificate_authorities:
        yield "certificate authority", authority.uri or ""
    for log in document.tlogs:
        yield "transparency log", log.base_url
    for log in document.ctlogs:
        yield "certificate-transparency log", log.base_url


def _read_log(log: TransparencyLogInstance) -> TrustedLog:
    if not log.public_key.raw_bytes:
        raise ValueError("want a public key for each log")
    period = log.public_key.valid_for
    # The library would compare the window's start with the machine's clock; the check of both ends against the
    # verified time is ours, in sigstore_bundles.py.
    unbounded = log.public_key.model_copy(update={"valid_for": None})
    return TrustedLog(
        log_id=log.log_id.key_id,
        key_sha256=hashlib.sha256(log.public_key.raw_bytes).digest(),
        window=window_of(None, None) if period is None else window_of(period.start, period.end),
        instance=log.model_copy(update={"public_key": unbounded}),
    )


def _read_authority(authority: CertificateAuthority) -> TrustedAuthority:
    certificates = tuple(x509.load_der_x509_certificate(each.raw_bytes) for each in authority.cert_chain.certificates)
    if not certificates:
        raise ValueError("want a certificate for each certificate authority")
    return TrustedAuthority(
        certificates=certificates, window=window_of(authority.valid_for.start, authority.valid_for.end)
    )


def _closed(authority: CertificateAuthority) -> CertificateAuthority:
    # The library takes the window of a timestamp authority as half-open, the specification as closed. Its times are
    # whole microseconds, so one more makes the one into the other.
    end = authority.valid_for.end
    if end is None:
        return authority
    closed = authority.valid_for.model_copy(update={"end": end + timedelta(microseconds=1)})
    return authority.model_copy(update={"valid_for": closed})
