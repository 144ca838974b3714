"""What an approver is shown before the word is given: exactly the fields that the approval will be bound to."""

from collections.abc import Mapping
from typing import Any

from lockgate.rendering.types import DecisionDocument
from lockgate.rendering.values import plain


def render_approval_sheet(decision: DecisionDocument, promotion: Mapping[str, Any], *, verdict: str, role: str) -> str:
    """Write what is about to be approved or rejected.

    Args:
        decision: The newest decision, its receipt verified; the bound fields are read from here alone.
        promotion: The promotion it belongs to; only its reason and contributors are read, marked as claims.
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
        f"  policy revision  {decision['policy']['revision']}",
        f"  request expires  {decision['expires_at']}",
        f"  requested by     {plain(subject['requester'])}",
    ]
    lines.extend(f"  signed by        {plain(signature['identity'])}" for signature in evidence["signatures"])
    lines.extend(f"  claimed {one['role']:<8} {plain(one['subject'])}" for one in promotion["contributors"])
    lines.append(f"  claimed reason   {plain(promotion['reason']) or 'none given'}")
    lines.extend(f"  violation        {one['rule_id']} {plain(one['title'])}" for one in decision["violations"])
    return "".join(f"{line}\n" for line in lines)
