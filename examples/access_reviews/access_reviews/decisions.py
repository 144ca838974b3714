"""Believing that the gate let a model in: by the receipt and the log's public key, without the gate. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lockgate.audit import Receipt, VerifierKey, verify_receipt
from lockgate.canonical_json import parse_json

RECEIPT_BYTES_MAX: Final = 256 * 1024  # a record of 32 KiB and its proof, as JSON
_DECISION: Final = "gate.decision"


class DecisionRefusedError(Exception):
    """What was handed in does not prove that the gate allowed this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A promotion that the gate allowed."""

    log: str  # the gate's log
    seq: int  # where the decision's record is in it
    id: str
    model: str
    version: str
    environment: str


def read_receipt(text: bytes) -> Receipt:
    """Read a receipt as `lockgate request --receipt FILE` and the API write it.

    Raises:
        DecisionRefusedError: It is none.
        MalformedJSONError: It is not even JSON.
    """
    document = parse_json(text, bytes_max=RECEIPT_BYTES_MAX)
    match document:
        case {"seq": int(seq), "record": str(record), "proof": str(proof)}:
            return Receipt(seq=seq, record=record.encode(), proof=proof)
        case _:
            raise DecisionRefusedError("want a receipt: seq, record and proof")


def believe_allow(receipt: Receipt, gate_keys: Sequence[VerifierKey], *, environment: str) -> Decision:
    """Return the decision that a receipt proves.

    The steps:
      (1) The record is in the gate's log.
      (2) It is a decision, and it allows.
      (3) It is about the environment that the caller means.

    What is not checked: that the decision still stands. It says until when in `expires_at`, and the gate knows whether
    a newer one was made.

    Raises:
        AuditError: Step 1 fails; its subclass says how.
        DecisionRefusedError: Step 2 or 3 fails.
    """
    # (1) The record is in the gate's log.
    record = verify_receipt(receipt, gate_keys)
    # (2) It is a decision, and it allows.
    body, subject = record["body"], record["body"].get("subject", {})
    if record["kind"] != _DECISION or body["dry_run"] or body["verdict"] != "allow":
        raise DecisionRefusedError(f"want a decision that allows, got a record of kind {record['kind']}")
    # (3) It is about this environment.
    if subject["to"] != environment:
        raise DecisionRefusedError(f"want a promotion to {environment}, got one to {subject['to']}")
    return Decision(
        log=record["log"],
        seq=record["seq"],
        id=record["id"],
        model=subject["model"],
        version=subject["version"],
        environment=environment,
    )
