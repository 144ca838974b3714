"""Whether an answer of the gate may be believed. Pure: the receipt, the log's public keys and what was asked decide.

DESIGN, invariant 4: a consumer refuses an answer without a receipt. The server, its database and the network between
are not trusted here; the log's keys are.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lockgate.audit.errors import AuditError
from lockgate.audit.formats.disclosures import open_disclosure
from lockgate.audit.formats.notes import VerifierKey
from lockgate.audit.types import Receipt
from lockgate.audit.verification.receipts import verify_receipt
from lockgate.cli.errors import AnswerInvalidError, PromotionClosedError, ReceiptInvalidError
from lockgate.config import MAIN_LOG, log_of_origin
from lockgate.rendering import RecordPlace

_OVER: Final = frozenset({"withdrawn", "expired", "failed", "superseded"})
_ALLOWED: Final = frozenset({"allowed", "permitted", "executing", "confirmed"})
_BOUND_FIELDS: Final = ("model", "version", "digest", "kind", "from", "to")


def check_promotion_answer(
    answer: Mapping[str, Any], keys: Sequence[VerifierKey], *, asked: Mapping[str, Any]
) -> RecordPlace:
    """Make sure that the decision of an answer was recorded, is about what was asked, and still stands.

    The steps:
      (1) The receipt verifies under a key of a log that holds such decisions, and its record's body is the decision.
      (2) The decision is about what was asked.
      (3) It agrees with itself.
      (4) The promotion beside it agrees with it.
      (5) The promotion was not taken back, did not run out, did not fail and was not superseded.

    Args:
        answer: Valid under `promotion_answer` or `approval_answer`.
        keys: The log's public keys.
        asked: What must come back: `promotion_id` and fields of the decision's subject, as far as they are known.

    Returns:
        Where the decision's record stands.

    Raises:
        ReceiptInvalidError: Step 1 or 2 fails.
        AnswerInvalidError: Step 3 or 4 fails.
        PromotionClosedError: Step 5 fails.
    """
    decision, promotion = answer["decision"], answer["promotion"]
    # (1) The receipt.
    environment = decision["subject"]["to"]
    place = _check_record(answer["receipt"], keys, kind="gate.decision", body=decision, environment=environment)
    if decision["dry_run"]:
        raise ReceiptInvalidError("want a decision, got a dry run with a receipt")
    # (2) What was asked.
    shown = {**decision["subject"], "promotion_id": decision["promotion_id"]}
    for name, value in asked.items():
        if shown[name] != value:
            raise ReceiptInvalidError(f"want a decision with {name} {value!r}, as asked, got {shown[name]!r}")
    # (3) The decision itself.
    check_consistent(decision)
    # (4) The promotion beside it.
    if promotion["id"] != decision["promotion_id"]:
        raise AnswerInvalidError("the decision is of another promotion than the one beside it")
    for name in _BOUND_FIELDS:
        if promotion[name] != decision["subject"][name]:
            raise AnswerInvalidError(f"promotion and decision name a different {name}")
    if promotion["evidence_digest"] != decision["evidence"]["digest"]:
        raise AnswerInvalidError("promotion and decision name a different evidence digest")
    # (5) Whether it still stands.
    if promotion["state"] in _OVER:
        raise PromotionClosedError(f"promotion {promotion['id']} is {promotion['state']}; no decision of it stands")
    if decision["verdict"] == "allow" and promotion["state"] not in _ALLOWED:
        raise AnswerInvalidError(f"the decision allows, but the promotion is {promotion['state']}")
    return place


def check_consistent(decision: Mapping[str, Any]) -> None:
    """Make sure that a decision allows exactly when it says that every rule it lists held.

    Raises:
        AnswerInvalidError: It does not. DESIGN, invariant 2: allow by positive assertion, checked here once more.
    """
    failed = {rule["rule_id"] for rule in decision["rules"] if rule["status"] == "fail"}
    violated = {violation["rule_id"] for violation in decision["violations"]}
    if failed != violated:
        raise AnswerInvalidError("want a violation for each failed rule and for no other")
    if decision["verdict"] == "allow" and (failed or decision["missing_approvals"] or not decision["rules"]):
        raise AnswerInvalidError("the decision allows, but not every rule held")
    if decision["verdict"] != "allow" and not failed:
        raise AnswerInvalidError(f"the decision is {decision['verdict']}, but no rule failed")


def check_forecast(decision: Mapping[str, Any], *, asked: Mapping[str, Any]) -> None:
    """Make sure that a dry run's decision is one, is about what was asked, and agrees with itself.

    Raises:
        AnswerInvalidError: It does not.
    """
    if not decision["dry_run"]:
        raise AnswerInvalidError("want a dry run, got a decision")
    for name, value in asked.items():
        got = decision["subject"][name]
        if got != value:
            raise AnswerInvalidError(f"want a forecast with {name} {value!r}, as asked, got {got!r}")
    check_consistent(decision)


def check_approval_recorded(
    answer: Mapping[str, Any], keys: Sequence[VerifierKey], *, promotion_id: str, sent: Mapping[str, Any]
) -> None:
    """Make sure that an approval was recorded exactly as it was sent.

    Args:
        answer: Valid under `approval_answer`.
        keys: The log's public keys.
        promotion_id: The promotion that was approved or rejected.
        sent: The `approval_request`.

    Raises:
        ReceiptInvalidError: It was not.
    """
    approval = answer["approval"]
    _check_record(answer["approval_receipt"], keys, kind="gate.approval", body=approval, environment=approval["to"])
    _check_words("comment", sent.get("comment", ""), approval["comment"], answer["comment_disclosure"])
    for name, value in {**sent, "promotion_id": promotion_id, "comment": approval["comment"]}.items():
        if approval[name] != value:
            raise ReceiptInvalidError(f"want {name} {value!r} recorded, as approved, got {approval[name]!r}")


def check_withdrawal_recorded(
    answer: Mapping[str, Any], keys: Sequence[VerifierKey], *, promotion_id: str, reason: str
) -> RecordPlace:
    """Make sure that a withdrawal was recorded as it was sent, and that it left the promotion withdrawn.

    Args:
        answer: Valid under `withdrawal_answer`.
        keys: The log's public keys.
        promotion_id: The promotion that was to be withdrawn.
        reason: What was said; "" for nothing.

    Returns:
        Where the withdrawal's record stands.

    Raises:
        ReceiptInvalidError: It was not recorded, or otherwise.
        AnswerInvalidError: The promotion beside it is another, or is not withdrawn.
    """
    withdrawal, promotion = answer["withdrawal"], answer["promotion"]
    place = _check_record(
        answer["withdrawal_receipt"], keys, kind="gate.withdrawal", body=withdrawal, environment=promotion["to"]
    )
    if withdrawal["promotion_id"] != promotion_id:
        raise ReceiptInvalidError(f"want the withdrawal of promotion {promotion_id}, got another's")
    _check_words("reason", reason, withdrawal["reason"], answer["reason_disclosure"])
    if (promotion["id"], promotion["state"]) != (promotion_id, "withdrawn"):
        raise AnswerInvalidError(f"want promotion {promotion_id} withdrawn, got it or another {promotion['state']}")
    return place


def _check_words(name: str, sent: str, commitment: str, disclosure: str) -> None:
    # The record holds a commitment to a person's words, which the disclosure beside it opens.
    if not sent and not commitment:
        return
    try:
        said = open_disclosure(disclosure.encode(), commitment)
    except AuditError as exc:
        raise ReceiptInvalidError(f"the {name} cannot be shown to be recorded: {exc}") from exc
    if (said.name, said.value) != (name, sent):
        raise ReceiptInvalidError(f"want the {name} recorded as it was sent, got another")


def _check_record(
    receipt: Mapping[str, Any], keys: Sequence[VerifierKey], *, kind: str, body: Mapping[str, Any], environment: str
) -> RecordPlace:
    try:
        record = verify_receipt(
            Receipt(seq=receipt["seq"], record=receipt["record"].encode(), proof=receipt["proof"]), keys
        )
    except AuditError as exc:
        raise ReceiptInvalidError(f"the receipt does not verify: {exc}") from exc
    if record["kind"] != kind:
        raise ReceiptInvalidError(f"want the receipt of a {kind} record, got another kind")
    if record["body"] != body or record["id"] != body.get("id", record["id"]):  # not every body has one
        raise ReceiptInvalidError("the receipt is of another document than the one shown")
    _check_log(record["log"], environment)
    return RecordPlace(log=record["log"], seq=receipt["seq"])


def _check_log(log: str, environment: str) -> None:
    # The key of an environment's log vouches for nothing in another environment: whoever got hold of that of staging
    # must not be able to let anything into production. That holds whichever keys this client was given.
    if log_of_origin(log) not in {MAIN_LOG, environment}:
        raise ReceiptInvalidError(f"want a record of the log of {environment} or the main one, got one of {log}")
