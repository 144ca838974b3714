"""What a verifier wants to know of a body, beside that it was signed. Pure: no schema is read here.

To hold bodies to their schemas takes a validator, which an auditor's program does without. Whoever has one hands it in.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from lockgate.audit.verification.stretches import Attachments


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyVerdict:
    """Whether a record's body keeps to the schema that the record names."""

    status: Literal["valid", "invalid", "unchecked"]
    detail: str = ""  # what breaks it, or why it was not checked: one of a few reasons


BodyCheck: TypeAlias = Callable[[Mapping[str, Any], Attachments], BodyVerdict]
"""Checks a record's body: the record, and where the documents are that the log keeps."""
