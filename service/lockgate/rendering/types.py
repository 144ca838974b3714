"""What is shown, and in which form. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

DecisionDocument: TypeAlias = Mapping[str, Any]
"""A decision that is valid under `schemas/v1/api/decision.json`; every renderer relies on that."""


class Output(StrEnum):
    """A form of the decision. The values are the words of `--output`."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    JUNIT = "junit"
    SARIF = "sarif"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordPlace:
    """Where the decision's record stands, as a verified receipt proved it."""

    log: str  # the log's origin
    seq: int  # the record's number in it, from 0
