"""Reads the outside of a Sigstore bundle: which kind it is, and its parts. Nothing here is trusted yet. Pure.

Source: sigstore/protobuf-specs, `sigstore_bundle.proto`, in its JSON form.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final, Literal

from lockgate.canonical_json import JSONTooLargeError, MalformedJSONError, parse_json
from lockgate.evidence.errors import RefusedError
from lockgate.evidence.limits import (
    BUNDLE_BYTES_MAX,
    BUNDLE_NODES_MAX,
    CERTIFICATES_MAX,
    TIMESTAMP_BYTES_MAX,
    TIMESTAMPS_MAX,
)
from lockgate.evidence.types import RefusalCode

MEDIA_TYPE_V03: Final = frozenset(
    {
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
    }
)
MEDIA_TYPE_V01: Final = "application/vnd.dev.sigstore.bundle+json;version=0.1"
MEDIA_TYPES: Final = MEDIA_TYPE_V03 | {
    MEDIA_TYPE_V01,
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
}
# What cosign wrote before there were bundles: `sign-blob --bundle` of version 2, and the parts it kept beside it.
_LEGACY_KEYS: Final = frozenset({"base64Signature", "rekorBundle", "SignedEntryTimestamp", "Base64Signature"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A DSSE envelope with its one signature."""

    payload_type: str
    payload: bytes
    signature: bytes

    def signed_bytes(self) -> bytes:
        """Return what the signature is over: `DSSEv1 <len> <type> <len> <payload>`, lengths in bytes.

        Source: secure-systems-lab/dsse, protocol.md, "PAE".
        """
        name = self.payload_type.encode()
        return b"DSSEv1 %d %b %d %b" % (len(name), name, len(self.payload), self.payload)

    def legacy_signed_bytes(self) -> bytes:
        """Return what model signing 0.2 signed by mistake: `DSSEV1`, and the payload as Python's `repr` shows it."""
        name = self.payload_type
        return f"DSSEV1 {len(name)} {name} {len(self.payload)} {self.payload!r}".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSignature:
    """A signature over an artifact's digest; the digest that the bundle states is only a claim."""

    signature: bytes
    stated_digest: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyReference:
    """What a bundle says about the managed key that signed it: a name for it, or the key, or nothing."""

    hint: str | None
    pem: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnverifiedBundle:
    """A bundle that is well-formed on its outside."""

    media_type: str
    certificates: tuple[bytes, ...]  # DER; the signer's first
    material: Literal["certificate", "chain", "key"]
    key: KeyReference | None
    log_entries: tuple[dict[str, Any], ...]
    timestamps: tuple[bytes, ...]  # RFC 3161 responses, DER
    content: Envelope | MessageSignature


def parse_bundle(data: bytes) -> UnverifiedBundle:
    """Read a bundle's parts.

    Raises:
        RefusedError: `too_large`, `malformed_bundle`, `unsupported_bundle` or `legacy_signature_format`.
    """
    try:
        document = parse_json(data, bytes_max=BUNDLE_BYTES_MAX, nodes_max=BUNDLE_NODES_MAX)
    except JSONTooLargeError as exc:
        raise RefusedError(RefusalCode.TOO_LARGE, f"want a bundle of at most {BUNDLE_BYTES_MAX} bytes") from exc
    except MalformedJSONError as exc:
        raise _malformed("want a bundle in JSON without ambiguities") from exc
    if not isinstance(document, dict):
        raise _malformed("want a JSON object")
    media_type = document.get("mediaType")
    if not isinstance(media_type, str) or media_type not in MEDIA_TYPES:
        if media_type is None and not _LEGACY_KEYS.isdisjoint(document):
            raise RefusedError(
                RefusalCode.LEGACY_SIGNATURE_FORMAT, "want a Sigstore bundle v0.1 to v0.3; convert with `cosign bundle`"
            )
        raise RefusedError(RefusalCode.UNSUPPORTED_BUNDLE, "want the media type of a Sigstore bundle v0.1 to v0.3")
    material = _object(document.get("verificationMaterial"), "verificationMaterial")
    kind, certificates, key = _signer(material)
    return UnverifiedBundle(
        media_type=media_type,
        certificates=certificates,
        material=kind,
        key=key,
        log_entries=tuple(_object(each, "log entry") for each in _array(material.get("tlogEntries"), "tlogEntries")),
        timestamps=_timestamps(material.get("timestampVerificationData")),
        content=_content(document),
    )


def require_one_log_entry(bundle: UnverifiedBundle) -> dict[str, Any]:
    """Return the bundle's one log entry, which must come with a proof that it is in the log.

    Bundles of version 0.1 may carry a log's promise alone. A promise is not proof: the log may never have kept it.

    Raises:
        RefusedError: `log_entry_invalid` or `legacy_signature_format`.
    """
    if len(bundle.log_entries) != 1:
        raise RefusedError(RefusalCode.LOG_ENTRY_INVALID, f"want exactly one log entry, got {len(bundle.log_entries)}")
    (entry,) = bundle.log_entries
    proof = entry.get("inclusionProof")
    if isinstance(proof, dict) and proof.get("checkpoint") is not None:
        return entry
    if bundle.media_type == MEDIA_TYPE_V01 and entry.get("inclusionPromise") is not None:
        raise RefusedError(
            RefusalCode.LEGACY_SIGNATURE_FORMAT,
            "want an inclusion proof with a checkpoint; add it with `cosign bundle upgrade`",
        )
    raise RefusedError(RefusalCode.LOG_ENTRY_INVALID, "want a log entry with an inclusion proof and a checkpoint")


def _signer(
    material: dict[str, Any],
) -> tuple[Literal["certificate", "chain", "key"], tuple[bytes, ...], KeyReference | None]:
    present = [name for name in ("certificate", "x509CertificateChain", "publicKey") if material.get(name) is not None]
    if len(present) != 1:
        raise _malformed(f"want exactly one of certificate, certificate chain and public key, got {len(present)}")
    value = _object(material[present[0]], present[0])
    match present[0]:
        case "certificate":
            return "certificate", (_bytes(value.get("rawBytes"), "certificate"),), None
        case "x509CertificateChain":
            chain = _array(value.get("certificates"), "certificates")
            if not 1 <= len(chain) <= CERTIFICATES_MAX:
                raise _malformed(f"want 1 to {CERTIFICATES_MAX} certificates, got {len(chain)}")
            return "chain", tuple(_bytes(_object(c, "certificate").get("rawBytes"), "certificate") for c in chain), None
        case _:
            hint = value.get("hint")
            # Model signing 0.3 and 1.0 put the PEM itself here, which is not in the bundle's schema.
            raw = value.get("rawBytes")
            return (
                "key",
                (),
                KeyReference(
                    hint=None if hint in (None, "") else _text(hint, "hint"),
                    pem=None if raw is None else _bytes(raw, "public key"),
                ),
            )


def _content(document: dict[str, Any]) -> Envelope | MessageSignature:
    message, envelope = document.get("messageSignature"), document.get("dsseEnvelope")
    if (message is None) == (envelope is None):
        raise _malformed("want exactly one of message signature and envelope")
    if envelope is None:
        message = _object(message, "messageSignature")
        digest = message.get("messageDigest")
        return MessageSignature(
            signature=_bytes(message.get("signature"), "signature"),
            stated_digest=None if digest is None else _bytes(_object(digest, "messageDigest").get("digest"), "digest"),
        )
    envelope = _object(envelope, "dsseEnvelope")
    signatures = _array(envelope.get("signatures"), "signatures")
    if len(signatures) != 1:
        raise RefusedError(
            RefusalCode.UNSUPPORTED_BUNDLE, f"want exactly one signature in the envelope, got {len(signatures)}"
        )
    return Envelope(
        payload_type=_text(envelope.get("payloadType"), "payloadType"),
        payload=_bytes(envelope.get("payload"), "payload"),
        signature=_bytes(_object(signatures[0], "signature").get("sig"), "signature"),
    )


def _timestamps(value: object) -> tuple[bytes, ...]:
    if value is None:
        return ()
    responses = _array(_object(value, "timestampVerificationData").get("rfc3161Timestamps"), "rfc3161Timestamps")
    tokens = tuple(_bytes(_object(each, "timestamp").get("signedTimestamp"), "timestamp") for each in responses)
    if len(tokens) > TIMESTAMPS_MAX or any(len(token) > TIMESTAMP_BYTES_MAX for token in tokens):
        raise RefusedError(
            RefusalCode.TOO_LARGE, f"want at most {TIMESTAMPS_MAX} timestamps of {TIMESTAMP_BYTES_MAX} bytes"
        )
    if len(set(tokens)) != len(tokens):
        raise _malformed("want each timestamp once")
    return tokens


def _object(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _malformed(f"want an object for the {what}")
    return value


def _array(value: object, what: str) -> list[Any]:
    if value is None:  # protobuf's JSON leaves out empty lists
        return []
    if not isinstance(value, list):
        raise _malformed(f"want a list for {what}")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _malformed(f"want a string for the {what}")
    return value


def _bytes(value: object, what: str) -> bytes:
    try:
        decoded = base64.b64decode(_text(value, what), validate=True)
    except (binascii.Error, ValueError) as exc:
        raise _malformed(f"want base64 for the {what}") from exc
    if not decoded:
        raise _malformed(f"want a {what} that is not empty")
    return decoded


def _malformed(detail: str) -> RefusedError:
    return RefusedError(RefusalCode.MALFORMED_BUNDLE, detail)
