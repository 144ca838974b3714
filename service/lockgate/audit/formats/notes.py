"""Signed notes (C2SP signed-note v1.0.0) under Ed25519 keys, and the text forms of those keys. Pure.

    <text, one or more lines>
                                        an empty line
    — <key name> <base64 of key ID and signature>

A key ID is SHA-256(key name || 0x0A || signature type || public key)[:4]. A public key is written `<name>+<key ID>+`
and the base64 of the type and the key, a private one `PRIVATE+KEY+<name>+<key ID>+` and the base64 of the type and the
seed, as in Go. The type of a log's signatures is 0x01; that of a witness's is in `lockgate.audit.formats.cosignatures`.

Everything here has one spelling: what a reader accepts is byte for byte what a writer would have written.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, NamedTuple, Protocol, TypeVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lockgate.audit.errors import KeyInvalidError, NoteMalformedError, NoteUnverifiedError, SignatureInvalidError
from lockgate.audit.formats.points import check_public_key

NOTE_BYTES_MAX: Final = 64 * 1024  # sixteen post-quantum signatures of 3 KB, the least C2SP asks to accept
SIGNATURES_MAX: Final = 100  # as Go's note package
KEY_NAME_CHARS_MAX: Final = 255  # the width of the log's column
_ED25519: Final = b"\x01"
_SEED_BYTES: Final = 32
_KEY_ID_BYTES: Final = 4
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")  # all but newline
_SIGNATURE_PREFIX: Final = "\N{EM DASH} "
PRIVATE_PREFIX: Final = "PRIVATE+KEY+"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteKey:
    """A public key whose signatures stand under notes; each type of signature is a class of its own."""

    signature_type: ClassVar[bytes]  # one byte

    name: str
    public_key: bytes  # 32 bytes, RFC 8032

    @property
    def key_id(self) -> bytes:
        """Return the four bytes that mark this key's signatures."""
        data = self.name.encode() + b"\n" + self.signature_type + self.public_key
        return hashlib.sha256(data).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        """Return the key's text form."""
        return f"{self.name}+{self.key_id.hex()}+{_encode(self.signature_type + self.public_key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey(NoteKey):
    """A log's public key; made by `parse_verifier_key` or by a signer, never from raw bytes elsewhere."""

    signature_type: ClassVar[bytes] = _ED25519


NoteKeyT = TypeVar("NoteKeyT", bound=NoteKey)


class NoteSignature(NamedTuple):
    """One signature line of a note; nothing is believed."""

    name: str
    key_id: bytes  # 4 bytes
    data: bytes  # what follows the key ID; its form is that of the key's signature type

    def names(self, key: NoteKey) -> bool:
        """Tell whether the line claims to be by this key."""
        return self.name == key.name and self.key_id == key.key_id


class Signer(Protocol):
    """What can sign a note: a key in this process, or another program that keeps one."""

    @property
    def verifier_key(self) -> VerifierKey:
        """The public half."""
        ...

    def sign(self, text: bytes) -> bytes:
        """Return the Ed25519 signature of `text`, 64 bytes.

        Raises:
            SignerError: There is none.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSigner:
    """An Ed25519 key held in this process."""

    verifier_key: VerifierKey
    seed: bytes = field(repr=False)  # 32 bytes, RFC 8032; secret
    _key: Ed25519PrivateKey = field(init=False, repr=False, compare=False)  # made once: as dear as a signature

    def __post_init__(self) -> None:
        object.__setattr__(self, "_key", Ed25519PrivateKey.from_private_bytes(self.seed))

    def sign(self, text: bytes) -> bytes:
        """Return the Ed25519 signature of `text`, 64 bytes."""
        return self._key.sign(text)


def make_signer(name: str, seed: bytes) -> SeedSigner:
    """Make a signer from 32 secret bytes.

    Raises:
        KeyInvalidError: `name` is not a key name, or `seed` is not 32 bytes.
    """
    _check_name(name)
    if len(seed) != _SEED_BYTES:
        raise KeyInvalidError(f"want a seed of {_SEED_BYTES} bytes, got {len(seed)}")
    public_key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return SeedSigner(verifier_key=VerifierKey(name=name, public_key=public_key), seed=seed)


def format_signer(signer: SeedSigner) -> str:
    """Write a private key's text form. It is secret."""
    key = signer.verifier_key
    return f"{PRIVATE_PREFIX}{key.name}+{key.key_id.hex()}+{_encode(_ED25519 + signer.seed)}"


def parse_signer(text: str) -> SeedSigner:
    """Read what `format_signer` writes.

    Raises:
        KeyInvalidError: `text` is anything else; the message holds none of it.
    """
    name, _, encoded = text.removeprefix(PRIVATE_PREFIX).split("+", 2) if text.count("+") >= 4 else ("", "", "")  # noqa: PLR2004 - PRIVATE+KEY+name+id+key
    data = _decode(encoded)
    if data is None or data[:1] != _ED25519:
        raise KeyInvalidError("want PRIVATE+KEY+<name>+<key ID>+<base64 of an Ed25519 seed>")
    signer = make_signer(name, data[1:])
    if format_signer(signer) != text:
        raise KeyInvalidError("want a private key whose key ID is that of its public key")
    return signer


def parse_verifier_key(text: str) -> VerifierKey:
    """Read a public key's text form, `<name>+<8 hex digits>+<base64>`.

    Raises:
        KeyInvalidError: `text` has another form, its key ID is not that of its key, or the key is one under which a
            signature proves nothing (`lockgate.audit.formats.points`).
    """
    return parse_note_key(text, VerifierKey)


def parse_note_key(text: str, kind: type[NoteKeyT]) -> NoteKeyT:
    """Read a public key of one type of signature.

    Raises:
        KeyInvalidError: As for `parse_verifier_key`, or the key is of another type.
    """
    name, _, rest = text.partition("+")
    _, _, encoded = rest.partition("+")
    data = _decode(encoded)
    if data is None or data[:1] != kind.signature_type:
        want = kind.signature_type.hex()
        raise KeyInvalidError(f"want <name>+<8 hex digits>+<base64 of an Ed25519 key of type 0x{want}>")
    _check_name(name)
    check_public_key(data[1:])
    key = kind(name=name, public_key=data[1:])
    if str(key) != text:
        raise KeyInvalidError("want a key whose key ID is SHA-256(name, newline, type, key)[:4]")
    return key


def sign_note(text: str, signer: Signer, *more: Signer) -> bytes:
    """Write a note with one signature, or several while keys change.

    Args:
        text: Whole lines, the last one too.
        signer: Whose key signs.
        more: Others whose keys sign too, each in a line of its own after the first.

    Raises:
        NoteMalformedError: `text` cannot be the text of a note.
    """
    lines = [signature_line(each.verifier_key, each.sign(text.encode())) for each in (signer, *more)]
    note = f"{text}\n{''.join(lines)}".encode()
    if split_note(note)[0] != text:
        raise NoteMalformedError("want a text of whole lines without control characters")
    return note


def signature_line(key: NoteKey, data: bytes) -> str:
    """Write the line of one signature, its newline too.

    Args:
        key: Whose signature it is.
        data: The signature in the form of the key's signature type.
    """
    return f"{_SIGNATURE_PREFIX}{key.name} {_encode(key.key_id + data)}\n"


def note_text(note: bytes) -> str:
    """Return a note's text without believing it: no signature is checked.

    Raises:
        NoteMalformedError: `note` is not a signed note.
    """
    return split_note(note)[0]


def split_note(note: bytes) -> tuple[str, list[NoteSignature]]:
    """Take a note apart without believing it: its text, and its signatures in order.

    Raises:
        NoteMalformedError: `note` is not a signed note in its one spelling.
    """
    if len(note) > NOTE_BYTES_MAX:
        raise NoteMalformedError(f"want a note of at most {NOTE_BYTES_MAX} bytes, got {len(note)}")
    try:
        content = note.decode()
    except UnicodeDecodeError as exc:
        raise NoteMalformedError("want a note in UTF-8") from exc
    if _CONTROL.search(content):
        raise NoteMalformedError("want a note without control characters")
    text, separator, tail = content.rpartition("\n\n")
    if not separator or not text or not tail.endswith("\n"):
        raise NoteMalformedError("want a text, an empty line and signature lines")
    lines = tail[:-1].split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise NoteMalformedError(f"want at most {SIGNATURES_MAX} signatures, got {len(lines)}")
    return f"{text}\n", [_parse_signature(line) for line in lines]


def open_note(note: bytes, keys: Sequence[VerifierKey]) -> str:
    """Return a note's text if a known key signed it.

    The steps:
      (1) The bytes are a signed note in its one spelling.
      (2) Every signature that names a known key is by that key; signatures of unknown keys are ignored.
      (3) There is at least one such signature.

    Raises:
        NoteMalformedError: Step 1 fails.
        SignatureInvalidError: Step 2 fails.
        NoteUnverifiedError: Step 3 fails.

    Source: C2SP signed-note v1.0.0, "Signatures".
    """
    # (1) A signed note in its one spelling.
    text, signatures = split_note(note)
    # (2) Whoever is named has signed.
    verified = False
    for signature in signatures:
        for key in keys:
            if signature.names(key):
                check_signature(key, signature.data, text.encode())
                verified = True
    # (3) Somebody known has.
    if not verified:
        raise NoteUnverifiedError("no known key signed this note")
    return text


def check_signature(key: NoteKey, signature: bytes, message: bytes) -> None:
    """Make sure that a key made a bare Ed25519 signature of a message.

    Raises:
        SignatureInvalidError: It did not.
    """
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, message)
    except InvalidSignature as exc:
        raise SignatureInvalidError(f"a signature names key {key.key_id.hex()} but is not by it") from exc


def _parse_signature(line: str) -> NoteSignature:
    name, _, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
    data = _decode(encoded)
    if not line.startswith(_SIGNATURE_PREFIX) or data is None or len(data) <= _KEY_ID_BYTES or not _is_name(name):
        raise NoteMalformedError("want signature lines '\N{EM DASH} <key name> <base64>'")
    return NoteSignature(name=name, key_id=data[:_KEY_ID_BYTES], data=data[_KEY_ID_BYTES:])


def _check_name(name: str) -> None:
    if not _is_name(name):
        raise KeyInvalidError(f"want a key name of 1 to {KEY_NAME_CHARS_MAX} characters without spaces and '+'")


def _is_name(name: str) -> bool:
    return 0 < len(name) <= KEY_NAME_CHARS_MAX and name.isprintable() and " " not in name and "+" not in name


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decode(text: str) -> bytes | None:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: a character outside ASCII
        return None
    return data if _encode(data) == text else None  # one spelling: no stray bits in the last character
