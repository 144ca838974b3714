"""Believing a receipt: for whoever acts on a decision. Pure: no database, no network; the log's keys decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lockgate.audit.errors import ProofInvalidError, ReceiptStaleError, ReceiptUnwitnessedError
from lockgate.audit.formats.checkpoints import open_checkpoint, read_checkpoint
from lockgate.audit.formats.log_policy import LogPolicy, open_cosigned
from lockgate.audit.formats.merkle import leaf_hash, root_from_inclusion
from lockgate.audit.formats.notes import VerifierKey
from lockgate.audit.formats.proofs import parse_proof
from lockgate.audit.formats.records import parse_record
from lockgate.audit.types import Receipt
from lockgate.audit.verification.verdicts import CLOCK_ERROR_S_MAX
from lockgate.clock import NS_PER_S, EpochNs, parse_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptDemands:
    """What whoever acts on a record wants to be sure of, beside that it is in the log."""

    is_witnessed: bool = False  # a quorum of the policy's witnesses signed the checkpoint: others see the same log
    now: EpochNs | None = None  # by the clock of whoever asks; wanted with an age
    age_s_max: int | None = None  # of the record, by its `ts`


def verify_receipt_under(
    receipt: Receipt, policy: LogPolicy, demands: ReceiptDemands = ReceiptDemands()
) -> dict[str, Any]:
    """Make sure that a record is in a log, by the keys that a policy names for the checkpoint's size, and return it.

    The steps:
      (1) The receipt verifies (`verify_receipt`).
      (2) If demanded: the policy's quorum cosigned its checkpoint, and every line that names a witness is by that one.
      (3) If demanded: the record is no older than it may be, nor ahead of now by more than `CLOCK_ERROR_S_MAX`.

    What is not checked: the witnesses' times. A record's `ts` is the log's word.

    Raises:
        ProofInvalidError, NoteMalformedError, NoteUnverifiedError, SignatureInvalidError, RecordInvalidError: Step 1,
            as for `verify_receipt`; SignatureInvalidError also step 2.
        ReceiptUnwitnessedError: Step 2.
        ReceiptStaleError: Step 3.
    """
    # (1) It is in the log.
    note = parse_proof(receipt.proof).checkpoint
    checkpoint = read_checkpoint(note)
    record = verify_receipt(receipt, policy.keys_for(checkpoint.origin, checkpoint.size))
    # (2) Others were shown the same.
    if demands.is_witnessed and not open_cosigned(note, policy).quorum_met:
        quorum = "a policy with a quorum" if policy.quorum is None else f"the quorum {policy.quorum!r}"
        raise ReceiptUnwitnessedError(f"want {quorum} to have signed the checkpoint over {checkpoint.size} records")
    # (3) It is of late.
    if demands.age_s_max is not None:
        _check_age(record["ts"], demands.now, demands.age_s_max)
    return record


def verify_receipt(receipt: Receipt, keys: Sequence[VerifierKey]) -> dict[str, Any]:
    """Make sure that a record is in a log, and return it.

    The steps:
      (1) The proof is a tlog-proof in its one spelling, for the position that the receipt names.
      (2) Its checkpoint is signed by a known key of its own log.
      (3) The record's bytes are a record of that log at that position.
      (4) The path leads from the record's leaf hash to the signed root.

    What is not checked: that the log shows the same tree to everybody, and what the record says. The caller must
    compare the record's `kind` and `body` with what it was told.

    Raises:
        ProofInvalidError: Step 1 or 4 fails, or the record is of another position or log.
        NoteMalformedError: The checkpoint is none.
        NoteUnverifiedError: No known key signed it.
        SignatureInvalidError: A signature that names a known key is not by that key.
        RecordInvalidError: The bytes are not a record.
    """
    # (1) The proof is for this position.
    proof = parse_proof(receipt.proof)
    if proof.index != receipt.seq:
        raise ProofInvalidError(f"want a proof for record {receipt.seq}, got one for {proof.index}")
    # (2) Its checkpoint is the log's.
    checkpoint = open_checkpoint(proof.checkpoint, keys)
    # (3) The record is of this place.
    record = parse_record(receipt.record)
    if record["seq"] != proof.index or record["log"] != checkpoint.origin:
        raise ProofInvalidError("the record names another position or log than its proof")
    # (4) The path leads to the signed root.
    root = root_from_inclusion(leaf_hash(receipt.record), proof.index, checkpoint.size, proof.path)
    if root != checkpoint.root:
        raise ProofInvalidError("the inclusion path does not lead to the signed root")
    return record


def _check_age(ts: str, now: EpochNs | None, age_s_max: int) -> None:
    if now is None:
        raise ReceiptStaleError("want the time now, to tell a record's age")
    age_s = (now - parse_timestamp(ts)) / NS_PER_S
    if not -CLOCK_ERROR_S_MAX <= age_s <= age_s_max:
        raise ReceiptStaleError(f"want a record of the last {age_s_max} s, got one of {ts}, {age_s:.0f} s ago")
