"""RFC 3161 timestamps: an authority's word that some bytes existed at a time. Pure: no network, no clock.

A log keeps the token (`TimeStampToken`, a CMS SignedData in DER), not the response around it: the token alone is
signed, and it is what `openssl ts -verify -token_in` reads.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    PKIStatus,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from lockgate.audit.errors import TimestampTrustError
from lockgate.clock import EpochNs

TOKEN_BYTES_MAX: Final = 64 * 1024  # a token with its whole chain has about 6 KB, with RSA-4096 keys
TRUST_BYTES_MAX: Final = 1024 * 1024  # every public authority's roots together have a tenth of it
_GRANTED: Final = bytes.fromhex("3003020100")  # PKIStatusInfo { status granted }
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SEQUENCE: Final = b"\x30"

TimestampRefusalCode: TypeAlias = Literal[
    "audit.timestamp_malformed",  # no timestamp in DER, or too long
    "audit.timestamp_not_granted",  # the authority said no
    "audit.timestamp_nonce",  # the answer to another request: an old one, say
    "audit.timestamp_message",  # about other bytes
    "audit.timestamp_untrusted",  # no authority that we trust signed it, or it may not sign timestamps
]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampTrust:
    """Whose timestamps count."""

    roots: tuple[x509.Certificate, ...]  # at least one
    intermediates: tuple[x509.Certificate, ...] = ()  # for authorities that do not send theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampRequest:
    """What is sent to an authority."""

    body: bytes  # TimeStampReq in DER: SHA-256 of the message, a nonce, and the wish for certificates
    nonce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timestamp:
    """A token that verified."""

    token: bytes  # TimeStampToken in DER
    time: EpochNs  # by the authority's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampRefusal:
    """Why a token proves nothing."""

    code: TimestampRefusalCode
    detail: str


def parse_timestamp_trust(pem: bytes) -> TimestampTrust:
    """Read certificates in PEM: those that signed themselves are the roots, the others come below them.

    Raises:
        TimestampTrustError: They are none, or there is no root among them.
    """
    if len(pem) > TRUST_BYTES_MAX:
        raise TimestampTrustError(f"want at most {TRUST_BYTES_MAX} bytes of certificates, got {len(pem)}")
    try:
        certificates = x509.load_pem_x509_certificates(pem)
    except ValueError as exc:
        raise TimestampTrustError("want certificates in PEM") from exc
    # Each once: the library takes no certificate twice.
    distinct = tuple(dict.fromkeys(certificates))
    roots = tuple(each for each in distinct if each.issuer == each.subject)
    if not roots:
        raise TimestampTrustError("want the authority's root among the certificates, got none that signed itself")
    return TimestampTrust(roots=roots, intermediates=tuple(each for each in distinct if each not in roots))


def make_timestamp_request(message: bytes) -> TimestampRequest:
    """Ask for a timestamp of a message, with a random nonce of 64 bits."""
    builder = TimestampRequestBuilder().data(message).hash_algorithm(HashAlgorithm.SHA256)
    request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
    return TimestampRequest(body=request.as_bytes(), nonce=request.nonce or 0)


def open_timestamp_response(
    response: bytes, message: bytes, nonce: int, trust: TimestampTrust
) -> Timestamp | TimestampRefusal:
    """Believe an authority's answer to our own request.

    The steps:
      (1) It is a response in DER, and the authority granted the request.
      (2) It answers this request: the nonce is ours.
      (3) Its token verifies (`verify_timestamp`).

    Source: RFC 3161, section 2.4.2.
    """
    # (1) A response, and a yes.
    status = _status(response)
    if status is not None and status != PKIStatus.GRANTED.value:
        return TimestampRefusal(code="audit.timestamp_not_granted", detail=f"want the status 0 (granted), got {status}")
    parsed = _decode(response)
    if parsed is None:
        return TimestampRefusal(code="audit.timestamp_malformed", detail="want a TimeStampResp in DER")
    # (2) To our request.
    if parsed.tst_info.nonce != nonce:
        return TimestampRefusal(code="audit.timestamp_nonce", detail="the answer is to another request")
    # (3) The token by itself, by the same way as an auditor goes later.
    return verify_timestamp(parsed.time_stamp_token(), message, trust)


def verify_timestamp(token: bytes, message: bytes, trust: TimestampTrust) -> Timestamp | TimestampRefusal:
    """Tell when a message existed, by a token.

    The steps:
      (1) The token is a TimeStampToken in DER.
      (2) One certificate signed it that may sign timestamps (critically so), and a chain leads from it to a root of
          `trust`; each of the chain was valid at the token's time.
      (3) It is about the message.

    What is not checked: that the authority's clock was right, and whether a certificate was revoked.

    Source: RFC 3161, sections 2.3 and 2.4.2.
    """
    # (1) A token. The library reads responses only, so the one that the token came in is put around it again.
    parsed = _decode(_wrap(_GRANTED + token))
    if parsed is None:
        return TimestampRefusal(code="audit.timestamp_malformed", detail="want a TimeStampToken in DER")
    builder = VerifierBuilder()
    for root in trust.roots:
        builder = builder.add_root_certificate(root)
    for intermediate in trust.intermediates:
        builder = builder.add_intermediate_certificate(intermediate)
    verifier = builder.build()
    # (2) Signed by a trusted authority. Compared with its own message first, so that the two failures differ.
    try:
        verifier.verify(parsed, parsed.tst_info.message_imprint.message)
    except (VerificationError, ValueError) as exc:
        return TimestampRefusal(
            code="audit.timestamp_untrusted", detail=f"no trusted authority signed this token ({type(exc).__name__})"
        )
    # (3) About the message.
    try:
        verifier.verify_message(parsed, message)
    except VerificationError:
        return TimestampRefusal(code="audit.timestamp_message", detail="the token is about other bytes")
    time_us = (parsed.tst_info.gen_time - _EPOCH) // timedelta(microseconds=1)
    return Timestamp(token=token, time=EpochNs(time_us * 1_000))


def _status(response: bytes) -> int | None:
    if len(response) > TOKEN_BYTES_MAX:
        return None
    try:
        return decode_timestamp_response(response).status
    except ValueError:
        return None


def _decode(response: bytes) -> TimeStampResponse | None:
    if len(response) > TOKEN_BYTES_MAX:
        return None
    try:
        parsed = decode_timestamp_response(response)
        # What is read later is read here once: the library decodes lazily, and raises then.
        _ = parsed.tst_info.nonce, parsed.tst_info.gen_time, parsed.time_stamp_token()
        _ = parsed.signed_data.signer_infos, parsed.signed_data.certificates, parsed.tst_info.message_imprint.message
    except ValueError:
        return None
    return parsed


def _wrap(content: bytes) -> bytes:
    """Return a DER SEQUENCE around its content."""
    length = len(content)
    if length < 0x80:  # noqa: PLR2004 - the short form, X.690 section 8.1.3.4
        return _SEQUENCE + bytes([length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return _SEQUENCE + bytes([0x80 | len(octets)]) + octets + content
