"""Believing a receipt: for whoever acts on a decision. Pure: no database, no network; the log's keys decide."""

from collections.abc import Sequence
from typing import Any

from lockgate.audit.errors import ProofInvalidError
from lockgate.audit.formats.checkpoints import open_checkpoint, read_checkpoint
from lockgate.audit.formats.log_policy import LogPolicy
from lockgate.audit.formats.merkle import leaf_hash, root_from_inclusion
from lockgate.audit.formats.notes import VerifierKey
from lockgate.audit.formats.proofs import parse_proof
from lockgate.audit.formats.records import parse_record
from lockgate.audit.types import Receipt


def verify_receipt_under(receipt: Receipt, policy: LogPolicy) -> dict[str, Any]:
    """Make sure that a record is in a log, by the keys that a policy names for the checkpoint's size.

    Raises:
        ProofInvalidError, NoteMalformedError, NoteUnverifiedError, SignatureInvalidError, RecordInvalidError: As for
            `verify_receipt`.
    """
    checkpoint = read_checkpoint(parse_proof(receipt.proof).checkpoint)
    return verify_receipt(receipt, policy.keys_for(checkpoint.origin, checkpoint.size))


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
