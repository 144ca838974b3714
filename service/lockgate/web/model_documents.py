"""The API's documents on models, made of the registry's values. Pure."""

from typing import Any, Final

from lockgate.clock import EpochNs, format_timestamp
from lockgate.lifecycle.intervals import LiveInterval
from lockgate.promotion.types import Promotion
from lockgate.registry.metadata import Model, ModelVersion, digest_text, model_id, named_list, run_document
from lockgate.registry.types import NamedValue, RegistryModel

# What somebody else's registry may say without end is cut here; ours is within these limits.
PURPOSE_CHARS_MAX: Final = 4000
TAGS_MAX: Final = 64
TAG_CHARS_MAX: Final = 5000  # MLflow's own limit
POINTERS_MAX: Final = 256


def model_document(
    model: Model, pointers: tuple[NamedValue, ...] | None = None, *, last_used: EpochNs | None = None
) -> dict[str, Any]:
    """Write a model that is registered (schema `v1/api/model`); with its pointers where its registry was asked."""
    metadata = model.metadata
    return {
        "schema_version": 1,
        "id": model.id,
        "name": model.name,
        "registered": True,
        "registry": model.registry,
        "registry_model": model.registry_model,
        "owner": metadata.owner,
        "tier": metadata.tier,
        "purpose": metadata.purpose,
        "tags": named_list(metadata.tags),
        "card": digest_text(metadata.card),
        "bom": digest_text(metadata.bom),
        "pointers": None if pointers is None else _pointers(pointers),
        "row_version": model.row_version,
        "created_at": format_timestamp(model.created),
        "changed_at": format_timestamp(model.changed),
        "retired_at": _time(model.retired),
        "last_used_at": _time(last_used),
    }


def foreign_model_document(registry: str, model: RegistryModel) -> dict[str, Any]:
    """Write a model that nobody registered, as its registry shows it (schema `v1/api/model`)."""
    return {
        "schema_version": 1,
        "id": model_id(registry, model.name),
        "name": "",
        "registered": False,
        "registry": registry,
        "registry_model": model.name,
        "owner": "",
        "tier": "",
        "purpose": model.description[:PURPOSE_CHARS_MAX],
        "tags": [_cut(tag) for tag in model.tags[:TAGS_MAX] if tag.name],
        "card": "",
        "bom": "",
        "pointers": _pointers(model.pointers),
        "row_version": 0,
        "created_at": None,
        "changed_at": None,
        "retired_at": None,
        "last_used_at": None,
    }


def version_document(model: Model, version: ModelVersion, *, last_used: EpochNs | None = None) -> dict[str, Any]:
    """Write a version (schema `v1/api/model_version`)."""
    return {
        "schema_version": 1,
        "id": f"{model.id}/{version.version}",
        "model": version.model,
        "version": version.version,
        "digest": str(version.digest),
        "source": version.source,
        "run": None if version.run is None else run_document(version.run),
        "tags": named_list(version.tags),
        "row_version": version.row_version,
        "created_at": format_timestamp(version.created),
        "retired_at": _time(version.retired),
        "last_used_at": _time(last_used),
    }


def stage_document(promotion: Promotion) -> dict[str, Any]:
    """Write one promotion of a version as part of its history."""
    request = promotion.request
    return {
        "id": promotion.id,
        "kind": request.transition.kind,
        "from": request.transition.from_environment,
        "to": request.transition.to_environment,
        "digest": str(request.digest),
        "state": promotion.state.value,
        "created_at": format_timestamp(promotion.created),
    }


def interval_document(interval: LiveInterval) -> dict[str, Any]:
    """Write one interval in which a version was live as part of its history."""
    return {
        "environment": interval.environment,
        "digest": interval.digest,
        "from": format_timestamp(interval.begins),
        "to": _time(interval.ends),
        "promotion_id": interval.promotion_id,
    }


def _pointers(pointers: tuple[NamedValue, ...]) -> list[dict[str, str]]:
    return [
        {"alias": pointer.name[:TAG_CHARS_MAX], "version": pointer.value[:TAG_CHARS_MAX]}
        for pointer in pointers[:POINTERS_MAX]
        if pointer.name and pointer.value
    ]


def _cut(tag: NamedValue) -> dict[str, str]:
    return {"name": tag.name[:TAG_CHARS_MAX], "value": tag.value[:TAG_CHARS_MAX]}


def _time(when: EpochNs | None) -> str | None:
    return None if when is None else format_timestamp(when)
