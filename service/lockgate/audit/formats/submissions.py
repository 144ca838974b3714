"""Submissions (C2SP tlog-witness, add-checkpoint): what a log sends to a witness. Pure.

old <size of the checkpoint that the witness cosigned last; 0 for none>
<base64 of a hash>                  the consistency proof from that size to the new one
                                    an empty line
<signed checkpoint>
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from lockgate.audit.errors import NoteMalformedError, SubmissionMalformedError
from lockgate.audit.formats.checkpoints import TREE_SIZE_MAX, Checkpoint, read_checkpoint
from lockgate.audit.formats.merkle import HASH_BYTES
from lockgate.audit.formats.notes import NOTE_BYTES_MAX

PROOF_HASHES_MAX: Final = 63  # C2SP tlog-witness: a client sends no more
SUBMISSION_BYTES_MAX: Final = NOTE_BYTES_MAX + 4 * 1024  # the longest note, and 63 lines of 45 bytes
_OLD: Final = b"old "
_SIZE_DIGITS_MAX: Final = len(str(TREE_SIZE_MAX))


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A checkpoint for a witness, and how it grew from the one before. Nothing is believed."""

    old_size: int
    proof: tuple[bytes, ...]  # 32 bytes each, RFC 9162 section 2.1.4
    note: bytes  # the signed checkpoint, exact bytes

    @property
    def checkpoint(self) -> Checkpoint:
        """What the note says."""
        return read_checkpoint(self.note)


def format_submission(submission: Submission) -> bytes:
    """Write a submission."""
    proof = b"".join(base64.b64encode(item) + b"\n" for item in submission.proof)
    return _OLD + str(submission.old_size).encode() + b"\n" + proof + b"\n" + submission.note


def parse_submission(data: bytes) -> Submission:
    """Read what `format_submission` writes, and no other spelling.

    Raises:
        SubmissionMalformedError: `data` is anything else.
    """
    if len(data) > SUBMISSION_BYTES_MAX:
        raise SubmissionMalformedError(f"want a submission of at most {SUBMISSION_BYTES_MAX} bytes, got {len(data)}")
    head, separator, note = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    size = first.removeprefix(_OLD)
    if not separator or not first.startswith(_OLD) or not size.isdigit() or len(size) > _SIZE_DIGITS_MAX:
        raise SubmissionMalformedError("want 'old <size>', hashes, an empty line and a checkpoint")
    if len(lines) > PROOF_HASHES_MAX:
        raise SubmissionMalformedError(f"want at most {PROOF_HASHES_MAX} hashes, got {len(lines)}")
    try:
        proof = tuple(base64.b64decode(line, validate=True) for line in lines)
        read_checkpoint(note)
    except binascii.Error as exc:
        raise SubmissionMalformedError("want hashes in base64") from exc
    except NoteMalformedError as exc:
        raise SubmissionMalformedError(f"want a checkpoint: {exc}") from exc
    submission = Submission(old_size=int(size), proof=proof, note=note)
    if any(len(item) != HASH_BYTES for item in proof) or format_submission(submission) != data:
        raise SubmissionMalformedError("want a submission in its one spelling")
    return submission
