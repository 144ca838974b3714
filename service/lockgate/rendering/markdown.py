"""The decision as GitHub-flavoured Markdown: for step summaries and comments."""

from collections.abc import Iterator

from lockgate.rendering.types import DecisionDocument, RecordPlace
from lockgate.rendering.values import markdown_code, markdown_text


def render_markdown(decision: DecisionDocument, place: RecordPlace | None) -> str:
    """Write the decision as Markdown: a heading with the verdict, the rules as a table, then the rest as lists."""
    parts = (_head(decision), _rules(decision), _violations(decision), _approvals(decision), _foot(decision, place))
    return "".join(f"{line}\n" for part in parts for line in part)


def _head(decision: DecisionDocument) -> Iterator[str]:
    subject, policy = decision["subject"], decision["policy"]
    dry_run = "DRY RUN: " if decision["dry_run"] else ""
    model = f"{markdown_text(subject['model'])} {markdown_text(subject['version'])}"
    yield f"## {dry_run}{decision['verdict'].upper()}: {model}"
    yield ""
    yield f"{subject['kind']} {markdown_code(subject['from'])} to {markdown_code(subject['to'])}, artifact "
    yield f"{markdown_code(subject['digest'])}, requested by {markdown_code(subject['requester'])}."
    yield ""
    yield f"Enforced policy {markdown_code(policy['revision'])} by {markdown_text(policy['engine'])} "
    yield f"{markdown_text(policy['engine_version'])}:"


def _rules(decision: DecisionDocument) -> Iterator[str]:
    yield ""
    yield "| Status | Rule | Title | Category | Severity |"
    yield "| --- | --- | --- | --- | --- |"
    for rule in decision["rules"]:
        yield (
            f"| {rule['status'].replace('_', ' ')} | {rule['rule_id']} | {markdown_text(rule['title'])} "
            f"| {rule['category']} | {rule['severity']} |"
        )


def _violations(decision: DecisionDocument) -> Iterator[str]:
    if decision["violations"]:
        yield ""
        yield "### Violations"
        yield ""
    for violation in decision["violations"]:
        yield f"- **{violation['rule_id']}** {markdown_code(violation['code'])} {markdown_text(violation['title'])}"
        for detail in violation["details"]:
            yield f"  - {markdown_code(detail['name'])} = {markdown_code(detail['value'])}"
        yield f"  - Next: {markdown_text(violation['remediation'])}"


def _approvals(decision: DecisionDocument) -> Iterator[str]:
    if decision["missing_approvals"] or decision["approvals"]:
        yield ""
        yield "### Approvals"
        yield ""
    for missing in decision["missing_approvals"]:
        yield f"- missing: {markdown_code(missing['role'])} has {missing['have']} of {missing['need']}"
    for approval in decision["approvals"]:
        reasons = ", ".join(markdown_code(reason) for reason in approval["reasons"]) or "no reason"
        counted = "counts" if approval["counted"] else f"does not count: {reasons}"
        yield f"- {markdown_code(approval['approver'])} as {markdown_code(approval['role'])} {counted}"


def _foot(decision: DecisionDocument, place: RecordPlace | None) -> Iterator[str]:
    evidence = decision["evidence"]
    yield ""
    yield "### Evidence"
    yield ""
    yield f"- handed in: {markdown_code(evidence['digest'])}"
    for signature in evidence["signatures"]:
        trust_domain = markdown_code(signature["trust_domain"])
        yield f"- signed by {markdown_code(signature['identity'])}, trust domain {trust_domain}"
    for refusal in evidence["refusals"]:
        yield f"- refused: {markdown_code(refusal['code'])} {markdown_text(refusal['detail'])}"
    yield ""
    yield f"Decision {markdown_code(decision['id'])} at {markdown_code(decision['decided_at'])}, "
    yield f"expires {markdown_code(decision['expires_at'])}."
    if decision["dry_run"]:
        yield "A dry run permits nothing and is not recorded."
    elif place is not None:
        yield f"Receipt verified: record {place.seq} of log {markdown_code(place.log)}."
