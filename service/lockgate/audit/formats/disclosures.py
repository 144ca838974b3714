"""Salted disclosures: a personal value that a record commits to and that can be deleted without touching the record.

The record's body holds the commitment; the value lies in an attachment, the disclosure. Whoever has the disclosure can
show that the record speaks of this value. Once the disclosure is deleted, the 128 bits of salt are gone with it, and
the commitment cannot be guessed backwards, however few values are possible.

    disclosure = base64url without padding of the canonical JSON [salt, name, value]
    commitment = "sha256:" and SHA-256(disclosure), in hex

Pure: the salt's randomness comes in. Source: RFC 9901 (SD-JWT), sections 4.2.1 and 4.2.3; the commitment is written in
hex, as every digest here is.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from lockgate.audit.errors import DisclosureInvalidError
from lockgate.canonical_json import JSON, CanonicalJSONError, MalformedJSONError, canonicalize, parse_canonical
from lockgate.digests import sha256_hex

SALT_BYTES: Final = 16  # RFC 9901, section 9.3: 128 bits, so that no table of all salted values can be made
DISCLOSURE_BYTES_MAX: Final = 16 * 1024  # a person's name, address or comment; longer text is a document
NAME_CHARS_MAX: Final = 64
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
_TEXT: Final = re.compile(rb"[A-Za-z0-9_-]+", re.ASCII)
_PARTS: Final = 3  # salt, name, value

Draw: TypeAlias = Callable[[int], bytes]
"""Gives so many unpredictable bytes, as `secrets.token_bytes` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """A value and what it was committed under."""

    commitment: str  # "sha256:<hex>", for the record's body
    document: bytes  # for the record's attachments; it holds the value
    name: str
    value: JSON


def commit(name: str, value: JSON, draw: Draw) -> Disclosure:
    """Commit to a value under a fresh salt.

    Args:
        name: What the value is, `[a-z][a-z0-9_]*`, for example "identity".
        value: Anything that a record may hold.
        draw: Where the salt comes from. Never the same bytes twice: equal salts would show equal values.

    Raises:
        DisclosureInvalidError: The name or the value has no form that a disclosure could carry.
    """
    if not _NAME.fullmatch(name):
        raise DisclosureInvalidError(f"want a name [a-z][a-z0-9_]* of at most {NAME_CHARS_MAX} characters")
    salt = draw(SALT_BYTES)
    if len(salt) != SALT_BYTES:
        raise DisclosureInvalidError(f"want {SALT_BYTES} bytes of salt, got {len(salt)}")
    try:
        document = _encode(canonicalize([_encode(salt).decode(), name, value]))
    except CanonicalJSONError as exc:
        raise DisclosureInvalidError(f"the value has no canonical form: {exc}") from exc
    if len(document) > DISCLOSURE_BYTES_MAX:
        raise DisclosureInvalidError(f"want a disclosure of at most {DISCLOSURE_BYTES_MAX} bytes, got {len(document)}")
    return Disclosure(commitment=commitment_of(document), document=document, name=name, value=value)


def open_disclosure(document: bytes, commitment: str) -> Disclosure:
    """Read a disclosure, after making sure that it is what a record committed to.

    The steps:
      (1) Its SHA-256 is the commitment.
      (2) It is base64url in its one spelling: no padding, no spare bits.
      (3) It is canonical JSON, a list of three.
      (4) The salt is 128 bits in its one spelling, and the name is a name.

    What is not checked: that a record holds the commitment, and where. The caller must take it from a verified record.

    Raises:
        DisclosureInvalidError: A step fails; the message does not show the value.
    """
    # (1) It is what was committed to.
    if len(document) > DISCLOSURE_BYTES_MAX:
        raise DisclosureInvalidError(f"want a disclosure of at most {DISCLOSURE_BYTES_MAX} bytes, got {len(document)}")
    if commitment_of(document) != commitment:
        raise DisclosureInvalidError("the disclosure does not hash to the commitment")
    # (2) One spelling of base64url, (3) one of JSON.
    try:
        parts = parse_canonical(_decode(document))
    except (CanonicalJSONError, MalformedJSONError) as exc:
        raise DisclosureInvalidError("want a disclosure of canonical JSON") from exc
    if not isinstance(parts, list) or len(parts) != _PARTS:
        raise DisclosureInvalidError("want a disclosure of a list of three: salt, name, value")
    # (4) Salt and name.
    salt, name, value = parts
    if not isinstance(salt, str) or not salt.isascii() or len(_decode(salt.encode())) != SALT_BYTES:
        raise DisclosureInvalidError(f"want {SALT_BYTES} bytes of salt in base64url")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise DisclosureInvalidError(f"want a name [a-z][a-z0-9_]* of at most {NAME_CHARS_MAX} characters")
    return Disclosure(commitment=commitment, document=document, name=name, value=value)


def commitment_of(document: bytes) -> str:
    """Return what a body says of a disclosure: the SHA-256 of its very bytes. Source: RFC 9901, section 4.2.3."""
    return f"sha256:{sha256_hex(document)}"


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(text: bytes) -> bytes:
    try:
        data = base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4)) if _TEXT.fullmatch(text) else b""
    except binascii.Error as exc:
        raise DisclosureInvalidError("want base64url without padding") from exc
    if not data or _encode(data) != text:  # spare bits, or nothing at all
        raise DisclosureInvalidError("want base64url without padding, in its one spelling")
    return data
