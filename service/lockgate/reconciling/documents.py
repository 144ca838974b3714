"""What records, and answers of the API, say of a difference. Pure."""

from typing import Any

from lockgate.reconciling.types import Difference


def difference_document(difference: Difference) -> dict[str, Any]:
    """Return the fields that `v1/api/finding_change` and `v1/api/finding` have in common."""
    return {
        "kind": difference.kind.value,
        "model": difference.model,
        "environment": difference.environment,
        "registry": difference.registry,
        "registry_model": difference.registry_model,
        "alias": difference.alias,
        "wanted_version": difference.wanted_version,
        "wanted_digest": difference.wanted_digest,
        "promotion_id": difference.promotion_id,
        "found_version": difference.found_version,
        "found_digest": difference.found_digest,
        "stage": difference.stage,
    }
