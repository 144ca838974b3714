"""When a witness cosigns. Pure.

The rules, in the order of C2SP tlog-witness v1.0.0, add-checkpoint:

(1) The request is a submission in its one spelling.
(2) The witness follows the log.
(3) A key that it trusts for this log and size signed the checkpoint, and no line falsely says so.
(4) The old size is not above the checkpoint's.
(5) The old size is that of the checkpoint that the witness cosigned last; 0 if there is none.
(6) A checkpoint of the same size has the same root.
(7) The proof leads from the old root to the new one. From size 0 it is empty, and a tree of size 0 has its one root.

(1) to (3) need no state. (4) to (7) must run in the transaction that then keeps the checkpoint: between a look and the
writing, another request could move the state.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from lockgate.audit.errors import (
    NoteUnverifiedError,
    ProofInvalidError,
    SignatureInvalidError,
    SubmissionMalformedError,
)
from lockgate.audit.formats.checkpoints import Checkpoint, open_checkpoint
from lockgate.audit.formats.cosignatures import keep_signatures
from lockgate.audit.formats.log_policy import LogPolicy
from lockgate.audit.formats.merkle import EMPTY_ROOT, check_consistency
from lockgate.audit.formats.submissions import Submission, parse_submission

RefusalCode: TypeAlias = Literal[
    "malformed",
    "log_unknown",
    "signature_untrusted",
    "old_size_above",
    "old_size_stale",
    "root_differs",
    "proof_invalid",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a checkpoint gets no cosignature."""

    code: RefusalCode
    detail: str
    size: int | None = None  # of the checkpoint cosigned last; told where the old size is not that
    evidence: bytes | None = (
        None  # the log's signed checkpoint, where it does not follow from the last: a fork, or a slip
    )


def open_submission(data: bytes, policy: LogPolicy) -> Submission | Refusal:
    """Read a request and believe its signature: rules (1) to (3).

    Returns:
        The submission, its note cut down to the lines of trusted keys: anybody can add others, and what the witness
        keeps and shows must not grow by them.
    """
    # (1) A submission.
    try:
        submission = parse_submission(data)
    except SubmissionMalformedError as exc:
        return Refusal(code="malformed", detail=str(exc))
    # (2) Of a log that we follow.
    checkpoint = submission.checkpoint
    if not policy.follows(checkpoint.origin):
        return Refusal(code="log_unknown", detail="this witness does not follow the log")
    # (3) Signed by it.
    keys = policy.keys_for(checkpoint.origin, checkpoint.size)
    try:
        open_checkpoint(submission.note, keys)
    except (NoteUnverifiedError, SignatureInvalidError) as exc:
        return Refusal(code="signature_untrusted", detail=str(exc))
    note = keep_signatures(submission.note, keys)
    return Submission(old_size=submission.old_size, proof=submission.proof, note=note)


def check_growth(submission: Submission, last: Checkpoint | None) -> Refusal | None:
    """Tell what speaks against cosigning: rules (4) to (7).

    Args:
        submission: Of `open_submission`.
        last: The checkpoint of this log that the witness cosigned last.

    Returns:
        None if nothing does.
    """
    checkpoint, old_size = submission.checkpoint, submission.old_size
    last_size = 0 if last is None else last.size
    # (4) The old size is not above the new one.
    if old_size > checkpoint.size:
        return Refusal(code="old_size_above", detail="want an old size that is not above the checkpoint's")
    # (5) We agree about where we were.
    if old_size != last_size:
        return Refusal(code="old_size_stale", detail="want the size cosigned last", size=last_size)
    # (6) One size, one root.
    if last is not None and checkpoint.size == last.size and checkpoint.root != last.root:
        detail = "another root was cosigned for this size"
        return Refusal(code="root_differs", detail=detail, evidence=submission.note)
    # (7) The tree only grew.
    try:
        _check_proof(submission, last)
    except ProofInvalidError as exc:
        return Refusal(code="proof_invalid", detail=str(exc), evidence=submission.note)
    return None


def _check_proof(submission: Submission, last: Checkpoint | None) -> None:
    checkpoint = submission.checkpoint
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        raise ProofInvalidError("want the root of the empty tree for size 0")
    if last is not None and last.size > 0:
        check_consistency(last.size, checkpoint.size, last.root, checkpoint.root, submission.proof)
    elif submission.proof:
        raise ProofInvalidError("want no proof from size 0")
