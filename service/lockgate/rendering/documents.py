"""One entry for every form of the decision."""

from lockgate.canonical_json import canonicalize
from lockgate.rendering.junit import render_junit
from lockgate.rendering.markdown import render_markdown
from lockgate.rendering.sarif import render_sarif
from lockgate.rendering.text import render_text
from lockgate.rendering.types import DecisionDocument, Output, RecordPlace


def render(output: Output, decision: DecisionDocument, place: RecordPlace | None = None) -> str:
    """Write a decision in the form asked for.

    Args:
        output: The form.
        decision: Valid under `schemas/v1/api/decision.json`.
        place: Where its record stands, once a receipt proved it; None for a dry run.

    Returns:
        Text that ends with a line feed. As JSON it is the canonical decision document: the bytes that the record's
        `body` holds, so that the two can be compared as they are.

    Raises:
        CanonicalJSONError: `decision` is outside the record profile, which no valid decision of the gate is.
    """
    match output:
        case Output.TEXT:
            return render_text(decision, place)
        case Output.JSON:
            return canonicalize(decision).decode() + "\n"
        case Output.MARKDOWN:
            return render_markdown(decision, place)
        case Output.JUNIT:
            return render_junit(decision, place)
        case Output.SARIF:
            return render_sarif(decision, place)
