"""A verification as text for people and as JSON for machines. Pure.

Text shows nothing that a terminal would obey: whatever is invisible is spelt out.
"""

import json
from dataclasses import asdict
from typing import Any, Final

from lockgate.audit.types import Verification
from lockgate.audit.verification.verdicts import DIMENSIONS

EXIT_CODES: Final = {"valid": 0, "tampered": 1, "unverifiable": 2}


def as_json(verification: Verification) -> str:
    """Write a verification as one line of JSON."""
    return json.dumps({"schema_version": 1, **asdict(verification)}, sort_keys=True) + "\n"


def as_text(verification: Verification) -> str:
    """Write a verification as lines of text; the first word is the verdict."""
    count = verification.size - verification.verified_from_seq
    lines = [f"{verification.verdict.upper()}  {_visible(verification.log) or '(no log)'}: {count} records read"]
    dimensions = {name: getattr(verification, name) for name in DIMENSIONS}
    lines.append("  " + ", ".join(f"{name} {verdict}" for name, verdict in dimensions.items()))
    if verification.checkpoint_size is not None:
        lines.append(f"  signed root over {verification.checkpoint_size} records: sha256:{verification.root_sha256}")
    if verification.first_bad_seq is not None:
        lines.append(f"  first record in doubt: {verification.first_bad_seq}")
    lines += [f"  {problem.code}: {_visible(problem.detail)}" for problem in verification.problems]
    lines += [f"  note, {note.code}: {_visible(note.detail)}" for note in verification.notes]
    return "\n".join(lines) + "\n"


def receipt_as_text(record: dict[str, Any]) -> str:
    """Write that a record's receipt is valid."""
    return f"VALID  record {record['seq']} ({_visible(record['kind'])}) is in {_visible(record['log'])}\n"


def failure_as_text(verdict: str, subject: str, detail: str, code: str) -> str:
    """Write why there is no valid answer."""
    return f"{verdict.upper()}  {_visible(subject)}: {_visible(detail)} [{code}]\n"


def _visible(text: str) -> str:
    # A backslash is doubled, so that the spelling of an invisible character cannot be forged.
    return "".join("\\\\" if each == "\\" else each if each.isprintable() else f"\\u{{{ord(each):x}}}" for each in text)
