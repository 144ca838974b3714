"""Checkpoints (C2SP tlog-checkpoint v1.0.0): what a log's key signs. Pure.

    <origin>
    <tree size, decimal>
    <base64 of the root hash>

as the text of a signed note whose key name is the origin. Extension lines are refused: nobody could audit them.
"""

import base64
import binascii
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.audit.errors import NoteMalformedError, NoteUnverifiedError
from lockgate.audit.formats.merkle import HASH_BYTES
from lockgate.audit.formats.notes import Signer, VerifierKey, note_text, open_note, sign_note

TREE_SIZE_MAX: Final = 2**53 - 1  # seq is a safe integer in the record
_LINES: Final = 3
_OPENED_MAX: Final = 16  # of one writer: the newest few
_SIZE_DIGITS_MAX: Final = len(str(TREE_SIZE_MAX))


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A claim about a log: the root over its first `size` records."""

    origin: str
    size: int
    root: bytes  # 32 bytes


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer, *more: Signer) -> bytes:
    """Write a checkpoint as a signed note, under several keys while they change."""
    return sign_note(_format(checkpoint), signer, *more)


def open_checkpoint(note: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Read a checkpoint if a known key of its own log signed it.

    Raises:
        NoteMalformedError: `note` is not a checkpoint.
        NoteUnverifiedError: No known key of this origin signed it.
        SignatureInvalidError: A signature that names a known key is not by that key.
    """
    checkpoint = read_checkpoint(note)
    own_keys = [key for key in keys if key.name == checkpoint.origin]
    if not own_keys:
        raise NoteUnverifiedError(f"no key of the log {checkpoint.origin[:80]!r} is known")
    open_note(note, own_keys)
    return checkpoint


@functools.lru_cache(maxsize=_OPENED_MAX)
def open_known_checkpoint(note: bytes, keys: tuple[VerifierKey, ...]) -> Checkpoint:
    """Read a checkpoint as `open_checkpoint` does, but verify the same bytes under the same keys only once.

    For a writer, who meets each checkpoint of the other writers twice: in the database and outside it.
    """
    return open_checkpoint(note, keys)


def read_checkpoint(note: bytes) -> Checkpoint:
    """Read a checkpoint without believing it: no signature is checked.

    Raises:
        NoteMalformedError: `note` is not a checkpoint.
    """
    text = note_text(note)
    lines = text[:-1].split("\n")
    if len(lines) != _LINES:
        raise NoteMalformedError(f"want {_LINES} lines of checkpoint, got {len(lines)}")
    origin, size, root = lines
    if not size.isascii() or not size.isdigit() or len(size) > _SIZE_DIGITS_MAX or int(size) > TREE_SIZE_MAX:
        raise NoteMalformedError("want a decimal tree size")
    try:
        digest = base64.b64decode(root, validate=True)
    except (binascii.Error, ValueError) as exc:  # ValueError: a character outside ASCII
        raise NoteMalformedError("want the root hash in base64") from exc
    checkpoint = Checkpoint(origin=origin, size=int(size), root=digest)
    if not origin or len(digest) != HASH_BYTES or _format(checkpoint) != text:
        raise NoteMalformedError("want a checkpoint in its one spelling")
    return checkpoint


def _format(checkpoint: Checkpoint) -> str:
    root = base64.b64encode(checkpoint.root).decode("ascii")
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n"
