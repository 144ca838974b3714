"""Cosignatures (C2SP tlog-cosignature, Ed25519, type 0x04): what a witness says of a checkpoint. Pure.

A cosignature is one more signature line under the checkpoint. Its key ID is made with the type 0x04, its data is

    time, 8 bytes, big-endian           seconds since the epoch
    signature, 64 bytes                 Ed25519

and what is signed is the checkpoint's text below two lines of the witness's own:

    cosignature/v1
    time <the same time, decimal>

It means: at that time, this was the largest tree of this log that the witness had seen, and it had only grown. Lines of
other types, ML-DSA-44 (0x06) among them, are lines of unknown keys: they neither help nor hurt.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from lockgate.audit.errors import NoteMalformedError, SignatureInvalidError
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.notes import (
    NoteKey,
    Signer,
    check_signature,
    parse_note_key,
    signature_line,
    split_note,
)
from lockgate.clock import NS_PER_S, EpochNs

TIME_S_MAX: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that a timestamp can be written for
_TYPE: Final = b"\x04"
_TIME: Final = struct.Struct(">Q")
_DATA_BYTES: Final = _TIME.size + 64


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessKey(NoteKey):
    """A witness's public key; made by `parse_witness_key` or of a signer, never from raw bytes elsewhere."""

    signature_type: ClassVar[bytes] = _TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosignature:
    """What a known witness said of one checkpoint; its signature holds."""

    key: WitnessKey
    time: EpochNs  # by the witness's clock, whole seconds
    line: str  # as it stands in the note, its newline too


def parse_witness_key(text: str) -> WitnessKey:
    """Read a witness's public key, `<name>+<8 hex digits>+<base64 of 0x04 and the key>`.

    Raises:
        KeyInvalidError: `text` has another form, its key ID is not that of its key, or the key is one under which a
            signature proves nothing (`lockgate.audit.formats.points`).
    """
    return parse_note_key(text, WitnessKey)


def witness_key_of(signer: Signer) -> WitnessKey:
    """Return the public key under which this signer's cosignatures are known."""
    key = signer.verifier_key
    return WitnessKey(name=key.name, public_key=key.public_key)


def cosign(note: bytes, signer: Signer, now: EpochNs) -> Cosignature:
    """Say that a checkpoint's tree is the largest that this witness has seen. To be called when that is so.

    Args:
        note: A checkpoint, verified by the caller.
        signer: The witness's.
        now: When; cut to the second.

    Raises:
        NoteMalformedError: `note` is not a checkpoint.
    """
    read_checkpoint(note)
    key, time_s = witness_key_of(signer), now // NS_PER_S
    signature = signer.sign(_message(split_note(note)[0], time_s))
    line = signature_line(key, _TIME.pack(time_s) + signature)
    return Cosignature(key=key, time=EpochNs(time_s * NS_PER_S), line=line)


def verify_cosignatures(note: bytes, keys: Iterable[WitnessKey]) -> tuple[Cosignature, ...]:
    """Return what known witnesses say of a checkpoint: of each the newest cosignature, in the order of `keys`.

    The log's own signature is not looked at. Lines of unknown keys are ignored.

    Raises:
        NoteMalformedError: `note` is not a checkpoint.
        SignatureInvalidError: A line names a known witness but is not by it, or not a cosignature.

    Source: C2SP tlog-cosignature, "Format" and "Ed25519 signed message".
    """
    read_checkpoint(note)
    text, signatures = split_note(note)
    newest: dict[WitnessKey, Cosignature] = {}
    for key in keys:
        for signature in signatures:
            if signature.names(key):
                cosignature = _verify(key, signature.data, text)
                if key not in newest or newest[key].time < cosignature.time:
                    newest[key] = cosignature
    return tuple(newest.values())


def add_cosignatures(note: bytes, cosignatures: Iterable[Cosignature]) -> bytes:
    """Return a checkpoint with more signature lines at its end; those that it has stay as they are.

    Raises:
        NoteMalformedError: The result would be too long or have too many lines for a note.
    """
    extended = note + "".join(cosignature.line for cosignature in cosignatures).encode()
    split_note(extended)
    return extended


def keep_signatures(note: bytes, keys: Sequence[NoteKey]) -> bytes:
    """Return a note with none but the first line that names each of these keys. Nothing is verified.

    Whoever keeps a note that came from elsewhere keeps only what he verified: anybody can add lines.

    Raises:
        NoteMalformedError: `note` is not a signed note, or no line names one of these keys.
    """
    text, signatures = split_note(note)
    lines: dict[NoteKey, str] = {}
    for signature in signatures:
        for key in keys:
            if signature.names(key):
                lines.setdefault(key, signature_line(key, signature.data))
    if not lines:
        raise NoteMalformedError("want a note with a signature line of a known key")
    return f"{text}\n{''.join(lines.values())}".encode()


def _verify(key: WitnessKey, data: bytes, text: str) -> Cosignature:
    if len(data) != _DATA_BYTES:
        raise SignatureInvalidError(f"want {_DATA_BYTES} bytes of cosignature by {key.key_id.hex()}, got {len(data)}")
    (time_s,) = _TIME.unpack_from(data)
    if not 0 < time_s <= TIME_S_MAX:
        raise SignatureInvalidError(f"want a cosignature time from 1 to {TIME_S_MAX}, got {time_s}")
    check_signature(key, data[_TIME.size :], _message(text, time_s))
    return Cosignature(key=key, time=EpochNs(time_s * NS_PER_S), line=signature_line(key, data))


def _message(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()
