"""The decision as text for people: the verdict on the first line, then what led to it."""

from collections.abc import Iterator
from typing import Final

from lockgate.rendering.types import DecisionDocument, RecordPlace
from lockgate.rendering.values import plain

_STATUS_WORDS: Final = {"pass": "pass", "fail": "FAIL", "not_applicable": "n/a "}


def render_text(decision: DecisionDocument, place: RecordPlace | None) -> str:
    """Write the decision as lines of text; the first line alone says the verdict."""
    parts = (
        [verdict_line(decision)],
        _enforced(decision),
        _violations(decision),
        _missing_approvals(decision),
        _approvals(decision),
        _evidence(decision),
        _record(decision, place),
    )
    return "".join(f"{line}\n" for part in parts for line in part)


def verdict_line(decision: DecisionDocument) -> str:
    """Say in one line what was decided about which artifact; a forecast says first that it is one."""
    subject = decision["subject"]
    dry_run = "DRY RUN " if decision["dry_run"] else ""
    return (
        f"{dry_run}{decision['verdict'].upper()} {subject['kind']} {plain(subject['model'])} "
        f"{plain(subject['version'])} {subject['from']} -> {subject['to']} {subject['digest']}"
    )


def _enforced(decision: DecisionDocument) -> Iterator[str]:
    policy = decision["policy"]
    yield ""
    yield f"Enforced: policy {policy['revision']} by {policy['engine']} {plain(policy['engine_version'])}"
    for rule in decision["rules"]:
        yield (
            f"  {_STATUS_WORDS[rule['status']]}  {rule['rule_id']}  {plain(rule['title'])} "
            f"[{rule['category']}, {rule['severity']}]"
        )
    if not decision["rules"]:
        yield "  no rule ran"


def _violations(decision: DecisionDocument) -> Iterator[str]:
    if decision["violations"]:
        yield ""
        yield "Violations:"
    for violation in decision["violations"]:
        yield f"  {violation['rule_id']}  {violation['code']}  {plain(violation['title'])} [{violation['severity']}]"
        for detail in violation["details"]:
            yield f"    read  {detail['name']} = {plain(detail['value'])}"
        yield f"    next  {plain(violation['remediation'])}"


def _missing_approvals(decision: DecisionDocument) -> Iterator[str]:
    if decision["missing_approvals"]:
        yield ""
        yield "Missing approvals:"
    for missing in decision["missing_approvals"]:
        yield f"  {missing['role']}: {missing['have']} of {missing['need']}"


def _approvals(decision: DecisionDocument) -> Iterator[str]:
    if decision["approvals"]:
        yield ""
        yield "Approvals:"
    for approval in decision["approvals"]:
        counted = (
            "counts" if approval["counted"] else f"does not count: {', '.join(approval['reasons']) or 'no reason'}"
        )
        yield f"  {approval['approver']} as {approval['role']} {counted}"


def _evidence(decision: DecisionDocument) -> Iterator[str]:
    evidence = decision["evidence"]
    yield ""
    yield f"Evidence: {evidence['digest']}"
    for signature in evidence["signatures"]:
        issuer = f", issuer {plain(signature['issuer'])}" if signature["issuer"] else ""
        yield f"  signed by {plain(signature['identity'])}{issuer}, trust domain {signature['trust_domain']}"
    for refusal in evidence["refusals"]:
        yield f"  refused: {refusal['code']}: {plain(refusal['detail'])}, trust domain {plain(refusal['trust_domain'])}"
    if not evidence["signatures"] and not evidence["refusals"]:
        yield "  no bundle was handed in"


def _record(decision: DecisionDocument, place: RecordPlace | None) -> Iterator[str]:
    yield ""
    yield f"Decision {decision['id']} at {decision['decided_at']}, expires {decision['expires_at']}"
    if decision["dry_run"]:
        yield "Receipt: none; a dry run permits nothing and is not recorded"
        return
    yield f"Promotion {decision['promotion_id']}"
    if place is not None:
        yield f"Receipt: record {place.seq} of log {plain(place.log)}, verified"
