"""How a decision is shown: text, JSON, Markdown, JUnit XML and SARIF, each made from the one decision document.

For whatever prints or stores a decision for people and tools: the command line today. Promises: every form is a pure
function of the decision (and, where given, of the place of its record in the log); nothing is computed beside it; a
value from outside cannot move the cursor, colour the terminal, start a link or break out of its element.

Import `render`, `render_approval_sheet`, `plain`, `Output` and `RecordPlace`. Stands on the ground floor alone.
"""

from lockgate.rendering.approval_sheet import render_approval_sheet
from lockgate.rendering.documents import render
from lockgate.rendering.types import DecisionDocument, Output, RecordPlace
from lockgate.rendering.values import plain

__all__ = ["DecisionDocument", "Output", "RecordPlace", "plain", "render", "render_approval_sheet"]
