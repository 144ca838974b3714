"""What the log says of a promotion's row. Whoever can write the table cannot write the log, so the log's word wins.

Each change of a row is one record, whose id follows from the promotion's id and the number of the change, the row's
`row_version`. So the record of a row's newest change is found without a search, and so is that of a change which the
row does not show. The number goes on when the pointer was moved, and is then of another series: by its id alone a
record says whether that had happened.
"""

from collections.abc import Mapping
from typing import Any, Final

from lockgate.audit import AuditLog, LogInconsistentError, RecordPrunedError, RecordUnknownError
from lockgate.canonical_json import parse_canonical, parse_json
from lockgate.clock import format_timestamp
from lockgate.ids import is_named_id
from lockgate.promotion import change_ids
from lockgate.promotion.change_ids import next_id
from lockgate.promotion.kinds import CONFIRMATION, DECISION, EXPIRY, POINTER, SUPERSESSION
from lockgate.promotion.types import Promotion, PromotionState, Verdict

INPUT_BYTES_MAX: Final = 1024 * 1024  # four times the largest policy input
_S = PromotionState
# What leaves a promotion in a state. Nothing is done on the word of a row in any other one.
_KINDS: Final[Mapping[PromotionState, frozenset[str]]] = {
    _S.PENDING: frozenset({DECISION}),
    _S.ALLOWED: frozenset({DECISION}),
    _S.PERMITTED: frozenset({DECISION}),
    _S.EXECUTING: frozenset({POINTER, DECISION}),  # a decision: on the next step
    _S.CONFIRMED: frozenset({CONFIRMATION}),
    _S.SUPERSEDED: frozenset({SUPERSESSION}),
    _S.EXPIRED: frozenset({EXPIRY}),
}
_VERDICTS: Final[Mapping[PromotionState, frozenset[Verdict]]] = {
    _S.PENDING: frozenset({Verdict.PENDING}),
    _S.ALLOWED: frozenset({Verdict.ALLOW}),
    _S.PERMITTED: frozenset({Verdict.ALLOW}),
    _S.EXECUTING: frozenset({Verdict.ALLOW, Verdict.PENDING}),  # pending: the next step was not taken
    _S.CONFIRMED: frozenset({Verdict.ALLOW, Verdict.PENDING}),
    _S.SUPERSEDED: frozenset({Verdict.ALLOW}),
    _S.EXPIRED: frozenset({Verdict.ALLOW, Verdict.PENDING}),
}
POINTER_MOVED: Final = frozenset({_S.EXECUTING, _S.CONFIRMED})


def check_row(log: AuditLog, promotion: Promotion) -> Mapping[str, Any]:
    """Make sure that a promotion is as the log has it.

    The steps:
      (1) The record of its newest change is there, of a kind that leaves it where it stands.
      (2) Its newest decision is that record, or the one that the record follows.
      (3) The decision is on what the row holds, and its verdict leaves it where it stands.
      (4) A permit was given with it, if and only if the row says so.
      (5) There is no record of a change after that.

    Promotions of before records had such ids are known by the other kind of id that their newest decision has: those
    have no record for step 1, and the rest holds for them as well.

    Args:
        log: The promotion's.
        promotion: As its row has it, in a state of `_KINDS`.

    Returns:
        The document of its newest decision.

    Raises:
        LogInconsistentError: A step fails.
        AuditError: The log cannot be read.
    """
    # (1) The newest change.
    state, version = promotion.state, promotion.row_version
    change = _find_change(log, promotion)
    if change is None and (is_named_id(promotion.decision_id) or state not in {_S.PENDING, _S.ALLOWED}):
        raise _differs(promotion, "has no record of its newest change")
    if change is not None and (
        change["kind"] not in _KINDS[state] or change["body"].get("promotion_id") != promotion.id
    ):
        raise _differs(promotion, f"has another newest change: {change['kind']}")
    # (2) The newest decision.
    if change is not None and promotion.decision_id != _deciding_id(log, promotion, change):
        raise _differs(promotion, "has another newest decision")
    decision = _find(log, promotion.decision_id)
    # (3) What it is on.
    if decision is None or decision["kind"] != DECISION or not _is_on(decision["body"], promotion):
        raise _differs(promotion, "has no such decision on it")
    document: Mapping[str, Any] = decision["body"]
    if Verdict(document["verdict"]) not in _VERDICTS[state]:
        raise _differs(promotion, f"has the verdict {document['verdict']}")
    # (4) The permit.
    permitted = _find(log, change_ids.permit_id(promotion.id, version)) is not None
    if state in {_S.ALLOWED, _S.PERMITTED} and permitted != (state is _S.PERMITTED):
        raise _differs(promotion, f"has {'a' if permitted else 'no'} permit")
    # (5) What came after.
    if _find(log, next_id(promotion)) is not None:
        raise _differs(promotion, "has a later change")
    return document


def check_request(log: AuditLog, promotion: Promotion, decision: Mapping[str, Any]) -> None:
    """Make sure that a promotion's request is the one that its newest decision was made of, contributors and all.

    Args:
        log: The promotion's.
        promotion: As its row has it.
        decision: The document of its newest decision, from the log.

    Raises:
        LogInconsistentError: It is another one.
        ErasedError: What the decision was made of was erased.
        AuditError: The log does not hold it.
    """
    kept = log.attachment(decision["input"].removeprefix("sha256:"))
    asked = parse_json(kept, bytes_max=INPUT_BYTES_MAX)["request"]
    recorded = (
        asked["id"],
        asked["requested_at_ns"],
        asked["expires_at_ns"],
        [(made["subject"], made["role"]) for made in asked["contributors"]],
    )
    contributors = [(made.subject, made.role) for made in promotion.request.contributors]
    if recorded != (promotion.id, promotion.created, promotion.expires, contributors):
        raise _differs(promotion, "was decided on another request")


def _find_change(log: AuditLog, promotion: Promotion) -> dict[str, Any] | None:
    if promotion.state in POINTER_MOVED:
        change = _find(log, change_ids.change_id(promotion.id, promotion.row_version, moved=True))
        if change is not None:
            return change
    return _find(log, change_ids.change_id(promotion.id, promotion.row_version, moved=False))


def _deciding_id(log: AuditLog, promotion: Promotion, change: Mapping[str, Any]) -> str:
    """Return the id of the newest decision, as the record of the newest change tells it."""
    if change["kind"] == DECISION:
        newest: str = change["id"]
        return newest
    if change["kind"] == CONFIRMATION:
        confirmed: str = change["body"]["decision_id"]
        return confirmed
    before = change_ids.change_id(promotion.id, promotion.row_version - 1, moved=False)  # it always follows a decision
    decided_long_ago = not is_named_id(promotion.decision_id) and _find(log, before) is None
    return promotion.decision_id if decided_long_ago else before


def _is_on(document: Mapping[str, Any], promotion: Promotion) -> bool:
    request = promotion.request
    subject = document["subject"]
    recorded = (
        document["promotion_id"],
        document["expires_at"],
        document["evidence"]["digest"],
        document.get("lineage", ""),  # decisions of before there was any have none
        *(subject[name] for name in ("model", "version", "digest", "kind", "from", "to", "requester")),
    )
    return recorded == (
        promotion.id,
        format_timestamp(promotion.expires),
        str(request.evidence_digest),
        f"sha256:{promotion.lineage}" if promotion.lineage else "",
        request.model,
        request.version,
        str(request.digest),
        request.transition.kind,
        request.transition.from_environment,
        request.transition.to_environment,
        promotion.requester,
    )


def _find(log: AuditLog, record_id: str) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = parse_canonical(log.record_by_id(record_id).body)
    except (RecordUnknownError, RecordPrunedError):  # what is open needs its records, so they were not pruned
        return None
    return record


def _differs(promotion: Promotion, what: str) -> LogInconsistentError:
    return LogInconsistentError(f"want each promotion as the log has it; there {promotion.id} {what}")
