"""Findings as documents of the API. Pure."""

from typing import Any

from lockgate.clock import format_timestamp
from lockgate.reconciling.documents import difference_document
from lockgate.reconciling.types import Finding


def finding_document(finding: Finding) -> dict[str, Any]:
    """Return a `v1/api/finding`."""
    return {
        "schema_version": 1,
        "id": finding.id,
        "state": finding.state,
        **difference_document(finding.difference),
        "response": finding.response,
        "standing": finding.standing,
        "opened_at": format_timestamp(finding.opened),
        "closed_at": None if finding.closed is None else format_timestamp(finding.closed),
    }
