"""Transparency log proofs (C2SP tlog-proof v1): the text form of a receipt. Pure.

    c2sp.org/tlog-proof@v1
    index <seq>
    <base64 of a hash>                  the inclusion path, from the leaf's sibling upwards
                                        an empty line
    <signed checkpoint>

The optional `extra` line is refused: it would be data that nothing authenticates.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from lockgate.audit.errors import ProofInvalidError
from lockgate.audit.formats.checkpoints import TREE_SIZE_MAX
from lockgate.audit.formats.merkle import HASH_BYTES, PATH_HASHES_MAX

PROOF_CHARS_MAX: Final = 72 * 1024  # the longest path and the longest note
_HEADER: Final = "c2sp.org/tlog-proof@v1"
_INDEX_PREFIX: Final = "index "
_INDEX_DIGITS_MAX: Final = len(str(TREE_SIZE_MAX))
_HEAD_LINES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionProof:
    """Where a record stands in a log, and the path from it to a signed root."""

    index: int
    path: tuple[bytes, ...]  # 32 bytes each, from the leaf's sibling upwards
    checkpoint: bytes  # the signed note, exact bytes; not yet believed


def format_proof(proof: InclusionProof) -> str:
    """Write a proof."""
    path = b"".join(map(binascii.b2a_base64, proof.path)).decode("ascii")  # each with a newline behind it
    return f"{_HEADER}\n{_INDEX_PREFIX}{proof.index}\n{path}\n{proof.checkpoint.decode()}"


def parse_proof(text: str) -> InclusionProof:
    """Read what `format_proof` writes, and no other spelling. Nothing in it is believed yet.

    Raises:
        ProofInvalidError: `text` is anything else.
    """
    if len(text) > PROOF_CHARS_MAX:
        raise ProofInvalidError(f"want a proof of at most {PROOF_CHARS_MAX} characters, got {len(text)}")
    head, separator, note = text.partition("\n\n")
    lines = head.split("\n")
    if not separator or len(lines) < _HEAD_LINES or lines[0] != _HEADER or not lines[1].startswith(_INDEX_PREFIX):
        raise ProofInvalidError(f"want {_HEADER!r}, an index line, hashes, an empty line and a checkpoint")
    index = lines[1].removeprefix(_INDEX_PREFIX)
    if not index.isascii() or not index.isdigit() or len(index) > _INDEX_DIGITS_MAX:
        raise ProofInvalidError("want a decimal index")
    if len(lines) - _HEAD_LINES > PATH_HASHES_MAX:
        raise ProofInvalidError(f"want at most {PATH_HASHES_MAX} hashes, got {len(lines) - _HEAD_LINES}")
    try:
        path = tuple(base64.b64decode(line, validate=True) for line in lines[_HEAD_LINES:])
        proof = InclusionProof(index=int(index), path=path, checkpoint=note.encode())
    except (binascii.Error, ValueError) as exc:  # ValueError: outside ASCII, or a lone surrogate in the note
        raise ProofInvalidError("want hashes in base64 and a checkpoint in Unicode") from exc
    if any(len(item) != HASH_BYTES for item in path) or format_proof(proof) != text:
        raise ProofInvalidError("want a proof in its one spelling")
    return proof
