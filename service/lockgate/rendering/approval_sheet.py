"""What an approver is shown before the word is given: exactly the fields that the approval will be bound to."""

from collections.abc import Mapping
from typing import Any

from lockgate.rendering.types import DecisionDocument
from lockgate.rendering.values import plain


def render_approval_sheet(decision: DecisionDocument, promotion: Mapping[str, Any], *, verdict: str, role: str) -> str:
    """Write what is about to be approved or rejected.

    Args:
        decision: The newest decision, its receipt verified; the bound fields are read from here, but for the policy
            revision.
        promotion: The promotion it belongs to. Its policy revision is the one in force now, which the approval names;
            its reason and contributors are shown as claims.
        verdict: `approve` or `reject`.
        role: The role in which the approver speaks.
    """
    subject, evidence = decision["subject"], decision["evidence"]
    lines = [
        f"You are about to {verdict.upper()} as {plain(role)}:",
        f"  model            {plain(subject['model'])} {plain(subject['version'])} (tier {plain(subject['tier'])})",
        f"  digest           {subject['digest']}",
        f"  transition       {subject['kind']} {subject['from']} -> {subject['to']}",
        f"  evidence         {evidence['digest']}",
        f"  policy revision  {promotion['policy_revision']}",
        f"  request expires  {decision['expires_at']}",
        f"  requested by     {plain(subject['requester'])}",
    ]
    if promotion["policy_revision"] != decision["policy"]["revision"]:
        lines.append(f"  POLICY CHANGED   since the newest decision, made under {decision['policy']['revision']}")
    lines.extend(f"  signed by        {plain(signature['identity'])}" for signature in evidence["signatures"])
    lines.extend(f"  claimed {one['role']:<8} {plain(one['subject'])}" for one in promotion["contributors"])
    lines.append(f"  claimed reason   {plain(promotion['reason']) or 'none given'}")
    for one in decision["violations"]:
        lines.append(f"  violation        {one['rule_id']} {one['code']} {plain(one['title'])}")
        read = ", ".join(f"{detail['name']} = {plain(detail['value'])}" for detail in one["details"])
        lines.append(f"                   {read or 'read nothing'}")
    return "".join(f"{line}\n" for line in lines)
