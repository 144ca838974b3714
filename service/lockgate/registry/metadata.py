"""What teams tell of their models and versions, and the documents that say it. Pure.

A document is canonical JSON, kept in the row and with the record of each change; its SHA-256 names it.
"""

from dataclasses import dataclass
from typing import Any, Final

from lockgate.canonical_json import canonicalize, parse_canonical
from lockgate.clock import EpochNs
from lockgate.digests import Digest, parse_digest
from lockgate.ids import named_id
from lockgate.registry.types import Dataset, NamedValue, Run

MODEL_KIND: Final = "registry.model"  # of the record that a model was registered, changed or retired
DOCUMENT_BYTES_MAX: Final = 512 * 1024  # 64 tags of a thousand characters, each written as \uXXXX, and the purpose
VERSION_KIND: Final = "registry.version"  # of the records that tell of versions
_DEPTH_MAX: Final = 8  # the schemas need four levels


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a team says of a model; it may change.

    Attributes:
        owner: The team.
        tier: As the team declares it; the gate goes by the policy's.
        card: The model card; None where there is none.
        bom: The machine-learning bill of materials; None where there is none.
    """

    owner: str
    tier: str
    purpose: str
    tags: tuple[NamedValue, ...]  # sorted by name
    card: Digest | None
    bom: Digest | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model that somebody registered.

    Attributes:
        name: As promotions name it.
        registry: Where its versions live, by the settings' name.
        registry_model: Its name there.
        row_version: Counts its changes, from 1.
    """

    name: str
    registry: str
    registry_model: str
    metadata: Metadata
    row_version: int
    created: EpochNs
    changed: EpochNs
    retired: EpochNs | None

    @property
    def id(self) -> str:
        """What it is called over all registries; it never changes."""
        return model_id(self.registry, self.registry_model)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """A version that somebody registered.

    Attributes:
        source: Where its files are, a URI; "" where nobody said.
        run: What made it, as declared; None where nobody said.
    """

    model: str
    version: str
    digest: Digest
    source: str
    run: Run | None
    tags: tuple[NamedValue, ...]
    row_version: int
    created: EpochNs
    retired: EpochNs | None


def model_id(registry: str, registry_model: str) -> str:
    """Return what a model is called over all registries; a registry's name holds no colon."""
    return f"{registry}:{registry_model}"


def write_model(model: Model) -> bytes:
    """Write what is said of a model (schema `v1/registry/model`)."""
    metadata = model.metadata
    document = {
        "schema_version": 1,
        "name": model.name,
        "registry": model.registry,
        "registry_model": model.registry_model,
        "owner": metadata.owner,
        "tier": metadata.tier,
        "purpose": metadata.purpose,
        "tags": named_list(metadata.tags),
        "card": digest_text(metadata.card),
        "bom": digest_text(metadata.bom),
    }
    return _write(document)


def version_record_id(model: str, version: str) -> str:
    """Return the id of the record that says what was registered as a version: whoever has its name finds it."""
    return named_id(f"lockgate/version:{model}/{version}")  # no name has a slash


def write_version(version: ModelVersion) -> bytes:
    """Write what is said of a version (schema `v1/registry/version`)."""
    document = {
        "schema_version": 1,
        "model": version.model,
        "version": version.version,
        "digest": str(version.digest),
        "source": version.source,
        "run": None if version.run is None else run_document(version.run),
        "tags": named_list(version.tags),
    }
    return _write(document)


def read_metadata(document: bytes) -> Metadata:
    """Read the part of `write_model` that may change."""
    return metadata_from(_read(document))


def metadata_from(document: dict[str, Any]) -> Metadata:
    """Take a model's metadata from a document that its schema was checked against."""
    return Metadata(
        owner=document["owner"],
        tier=document["tier"],
        purpose=document["purpose"],
        tags=named_from(document["tags"]),
        card=parse_digest(document["card"]) if document["card"] else None,
        bom=parse_digest(document["bom"]) if document["bom"] else None,
    )


def read_version_document(document: bytes) -> tuple[str, Run | None, tuple[NamedValue, ...]]:
    """Read source, run and tags of what `write_version` wrote."""
    said = _read(document)
    return said["source"], run_from(said["run"]), named_from(said["tags"])


def named_list(values: tuple[NamedValue, ...]) -> list[dict[str, str]]:
    """Write values by name; as a list, since their names are no keys of canonical JSON."""
    return [{"name": value.name, "value": value.value} for value in values]


def named_from(values: list[dict[str, str]]) -> tuple[NamedValue, ...]:
    """Read what `named_list` wrote, or somebody sent; sorted by name."""
    return tuple(NamedValue(**value) for value in sorted(values, key=lambda value: value["name"]))


def digest_text(digest: Digest | None) -> str:
    """Write a digest, or "" where there is none."""
    return "" if digest is None else str(digest)


def run_document(run: Run) -> dict[str, Any]:
    """Write a run."""
    return {
        "id": run.id,
        "code_commit": run.code_commit,
        "source_name": run.source_name,
        "user": run.user,
        "params": named_list(run.params),
        "metrics": named_list(run.metrics),
        "tags": named_list(run.tags),
        "datasets": [
            {"name": read.name, "digest": read.digest, "source": read.source, "context": read.context}
            for read in run.datasets
        ],
    }


def run_from(document: dict[str, Any] | None) -> Run | None:
    """Read what `run_document` wrote, or somebody declared."""
    if document is None:
        return None
    return Run(
        id=document["id"],
        code_commit=document["code_commit"],
        source_name=document["source_name"],
        user=document["user"],
        params=named_from(document["params"]),
        metrics=named_from(document["metrics"]),
        tags=named_from(document["tags"]),
        datasets=tuple(Dataset(**read) for read in document["datasets"]),
    )


def _write(document: dict[str, Any]) -> bytes:
    return canonicalize(document, bytes_max=DOCUMENT_BYTES_MAX, depth_max=_DEPTH_MAX)


def _read(document: bytes) -> dict[str, Any]:
    said: dict[str, Any] = parse_canonical(document, bytes_max=DOCUMENT_BYTES_MAX, depth_max=_DEPTH_MAX)
    return said
