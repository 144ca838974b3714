"""Lineage: what a version was made of, as it was found at one time. Pure.

A snapshot is canonical JSON (schema `v1/registry/lineage`); its SHA-256 names it. It says what registry and feature
store said, and what could not be found out; whether that is enough is the policy's to say.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias, TypeVar

from lockgate.canonical_json import CanonicalJSONError, MalformedJSONError, canonicalize, parse_canonical
from lockgate.clock import EpochNs, format_timestamp, parse_timestamp
from lockgate.digests import DigestError, Sha256Hex, parse_digest
from lockgate.registry.errors import RegistryAnswerError
from lockgate.registry.metadata import named_list
from lockgate.registry.types import Dataset, NamedValue, RegistryVersion, Run
from lockgate.schemas import SchemaError, check_schema

T = TypeVar("T")

LINEAGE_SCHEMA: Final = "v1/registry/lineage"
PARAMS_MAX: Final = 100  # a page of review; models with more have them in a file
METRICS_MAX: Final = 100
DATASETS_MAX: Final = 64  # the policy's input takes as many
VIEWS_MAX: Final = 64
NAME_CHARS_MAX: Final = 255
VALUE_CHARS_MAX: Final = 500  # of a parameter or a source: enough to recognise it
CONTEXT_CHARS_MAX: Final = 64
COMMIT_CHARS_MAX: Final = 128  # SHA-256 takes 64; some write a branch beside it
SNAPSHOT_BYTES_MAX: Final = 2 * 1024 * 1024  # all lists full, of characters of four bytes: below 1.5 MiB
_DEPTH_MAX: Final = 4
_WHOLE: Final = 100  # percent

ServiceStatus: TypeAlias = Literal["none", "resolved", "unresolved"]


class LineageProblem(StrEnum):
    """Why something is missing in a snapshot."""

    RUN_UNKNOWN = "run.unknown"  # the registry does not know what made the version
    RUN_UNSUPPORTED = "run.unsupported"  # it keeps no runs
    RUN_REFUSED = "run.refused"  # it does not let us see it
    RUN_ANSWER = "run.answer"  # it said something of it that we do not know
    FEATURE_SERVICE_PROJECT = "feature_service.project"  # nobody says in which project it is
    FEATURE_SERVICE_UNKNOWN = "feature_service.unknown"  # the feature store does not have it
    FEATURE_STORE_UNKNOWN = "feature_store.unknown"  # no feature store of the settings has the project
    FEATURE_STORE_REFUSED = "feature_store.refused"
    FEATURE_STORE_ANSWER = "feature_store.answer"
    TEXT_CHANGED = "text.changed"  # a text was too long, or held what no record can hold


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureView:
    """A feature view that a feature service consists of.

    Attributes:
        found: The feature store has it; else only project and name say something.
        owner: "" where nobody owns it.
        deprecated: Its tags say so.
        pii: Its tags, or those of one of its features, say that it holds personal data.
        definition_sha256: Of what the feature store says of it; another one tells that it was changed.
    """

    project: str
    name: str
    found: bool
    owner: str = ""
    deprecated: bool = False
    pii: bool = False
    definition_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureService:
    """The feature service that a version declares.

    Attributes:
        status: `none`: it declares none. `unresolved`: it was not found, or nobody could tell whether there is one.
        resolved_by: Who declared it; "" where nobody did.
        store: The settings' name of the feature store; "" where none has the project.
    """

    status: ServiceStatus
    resolved_by: Literal["", "version_tag", "run_tag", "mapping"] = ""
    store: str = ""
    project: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What was found out about a version's features."""

    service: FeatureService
    views: tuple[FeatureView, ...] = ()
    problems: frozenset[LineageProblem] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """A snapshot.

    Attributes:
        model: As promotions name it.
        registry_model: Its name in its registry.
        artifact: The version's digest as its registry knows it; "" where it knows none.
        source: Where its files are, a URI.
        run: What made it; every text in it is empty where nobody said.
        truncated: Names of lists that had more than the snapshot holds.
        problems: Codes of `LineageProblem`, sorted.
        score: How complete it is, in percent.
    """

    model: str
    version: str
    registry: str
    registry_model: str
    artifact: str
    source: str
    collected: EpochNs
    run: Run
    feature_service: FeatureService
    feature_views: tuple[FeatureView, ...]
    truncated: tuple[str, ...]
    problems: tuple[str, ...]
    score: int


_NO_RUN: Final = Run(id="", code_commit="", source_name="", user="", params=(), metrics=(), tags=(), datasets=())


class _Bounds:
    """Brings texts and lists within a snapshot's bounds, and remembers what it took away."""

    def __init__(self) -> None:
        self.truncated: set[str] = set()
        self.changed = False

    def text(self, text: str, chars_max: int) -> str:
        """Cut what is only read."""
        clean = "".join("\ufffd" if _unwritable(character) else character for character in text[:chars_max])
        self.changed |= clean != text
        return clean

    def identifier(self, text: str, chars_max: int) -> str:
        """Leave out what identifies something: a part of a digest would be another digest."""
        if len(text) <= chars_max and not any(map(_unwritable, text)):
            return text
        self.changed = True
        return ""

    def first(self, name: str, items: tuple[T, ...], items_max: int) -> tuple[T, ...]:
        if len(items) > items_max:
            self.truncated.add(name)
        return items[:items_max]


def make_lineage(  # noqa: PLR0913 - what was found where
    *,
    model: str,
    registry: str,
    version: RegistryVersion,
    artifact: str,
    run: Run | None,
    features: Features,
    problems: frozenset[LineageProblem],
    now: EpochNs,
) -> Lineage:
    """Make a snapshot of what was found, within its bounds.

    Args:
        model: As promotions name it.
        registry: Where the version lives.
        version: As its registry shows it.
        artifact: Its digest, where it is known; what is no digest is left out.
        run: What made it, if that is known.
        features: What it reads.
        problems: What could not be found out about the run.
        now: When it was collected.
    """
    bounds = _Bounds()
    bounded_run = _bound_run(run or _NO_RUN, bounds)
    views = tuple(_bound_view(view, bounds) for view in bounds.first("feature_views", features.views, VIEWS_MAX))
    service = features.service
    source = bounds.text(version.source, VALUE_CHARS_MAX)
    found = {*problems, *features.problems, *([LineageProblem.TEXT_CHANGED] if bounds.changed else [])}
    return Lineage(
        model=model,
        version=version.version,
        registry=registry,
        registry_model=version.model,
        artifact=artifact if _is_digest(artifact) else "",
        source=source,
        collected=now,
        run=bounded_run,
        feature_service=service,
        feature_views=views,
        truncated=tuple(sorted(bounds.truncated)),
        problems=tuple(sorted(problem.value for problem in found)),
        score=_score(bounded_run, service, views, bounds.truncated),
    )


def lineage_bytes(lineage: Lineage) -> bytes:
    """Write a snapshot: the bytes that are hashed, kept and attached.

    Raises:
        SchemaError: It is out of bounds; `make_lineage` makes none that is.
    """
    document = lineage_document(lineage)
    check_schema(LINEAGE_SCHEMA, document)
    return canonicalize(document, bytes_max=SNAPSHOT_BYTES_MAX, depth_max=_DEPTH_MAX)


def lineage_document(lineage: Lineage) -> dict[str, Any]:
    """Write a snapshot as its document."""
    run, service = lineage.run, lineage.feature_service
    return {
        "schema_version": 1,
        "model": lineage.model,
        "version": lineage.version,
        "registry": lineage.registry,
        "registry_model": lineage.registry_model,
        "artifact": lineage.artifact,
        "source": lineage.source,
        "collected_at": format_timestamp(lineage.collected),
        "run": {"id": run.id, "code_commit": run.code_commit, "source_name": run.source_name, "user": run.user},
        "params": named_list(run.params),
        "metrics": named_list(run.metrics),
        "datasets": [
            {"name": read.name, "digest": read.digest, "source": read.source, "context": read.context}
            for read in run.datasets
        ],
        "feature_service": {
            "status": service.status,
            "resolved_by": service.resolved_by,
            "store": service.store,
            "project": service.project,
            "name": service.name,
        },
        "feature_views": [
            {
                "project": view.project,
                "name": view.name,
                "found": view.found,
                "owner": view.owner,
                "deprecated": view.deprecated,
                "pii": view.pii,
                "definition_sha256": view.definition_sha256,
            }
            for view in lineage.feature_views
        ],
        "truncated": list(lineage.truncated),
        "problems": list(lineage.problems),
        "score": lineage.score,
    }


def parse_lineage(body: bytes) -> Lineage:
    """Read what `lineage_bytes` wrote.

    Raises:
        RegistryAnswerError: It is no snapshot of this version of Lockgate.
    """
    try:
        document = parse_canonical(body, bytes_max=SNAPSHOT_BYTES_MAX, depth_max=_DEPTH_MAX)
        check_schema(LINEAGE_SCHEMA, document)
    except (MalformedJSONError, CanonicalJSONError, SchemaError) as exc:
        raise RegistryAnswerError(f"want a snapshot of lineage: {exc}") from exc
    return Lineage(
        model=document["model"],
        version=document["version"],
        registry=document["registry"],
        registry_model=document["registry_model"],
        artifact=document["artifact"],
        source=document["source"],
        collected=parse_timestamp(document["collected_at"]),
        run=Run(
            **document["run"],
            params=_each(document["params"], NamedValue),
            metrics=_each(document["metrics"], NamedValue),
            tags=(),
            datasets=_each(document["datasets"], Dataset),
        ),
        feature_service=FeatureService(**document["feature_service"]),
        feature_views=_each(document["feature_views"], FeatureView),
        truncated=tuple(document["truncated"]),
        problems=tuple(document["problems"]),
        score=document["score"],
    )


def parse_snapshot(snapshot: bytes) -> Lineage | None:
    """Read a snapshot; None where there is none that this version of Lockgate can read."""
    if not snapshot:
        return None
    try:
        return parse_lineage(snapshot)
    except RegistryAnswerError:
        return None


def record_id(sha256: Sha256Hex) -> str:
    """Return the id of the record that says that a snapshot was collected: whoever has one finds the other.

    A UUID of version 8 made of the first 128 bits of the snapshot's SHA-256.

    Source: RFC 9562, section 5.8.
    """
    value = int(sha256[:32], 16)
    value = value & ~(0xF << 76) | 0x8 << 76
    value = value & ~(0x3 << 62) | 0b10 << 62
    return str(uuid.UUID(int=value))


def same_finding(one: Lineage, other: Lineage) -> bool:
    """Tell whether two snapshots say the same, whenever they were collected."""
    return {**lineage_document(one), "collected_at": ""} == {**lineage_document(other), "collected_at": ""}


def _score(run: Run, service: FeatureService, views: tuple[FeatureView, ...], truncated: set[str]) -> int:
    """Return how complete a snapshot is, in percent, rounded down.

    The parts count alike: the run is known; its code commit is; there are datasets, all of them there and with a
    digest; and where a feature service is declared, or nobody could tell, all its views were found.
    """
    parts = [
        bool(run.id),
        bool(run.code_commit),
        bool(run.datasets) and "datasets" not in truncated and all(read.digest for read in run.datasets),
    ]
    if service.status != "none":
        found = all(view.found for view in views) and "feature_views" not in truncated
        parts.append(service.status == "resolved" and found)
    return _WHOLE * sum(parts) // len(parts)


def _bound_run(run: Run, bounds: _Bounds) -> Run:
    return Run(
        id=bounds.identifier(run.id, COMMIT_CHARS_MAX),
        code_commit=bounds.identifier(run.code_commit, COMMIT_CHARS_MAX),
        source_name=bounds.text(run.source_name, VALUE_CHARS_MAX),
        user=bounds.text(run.user, NAME_CHARS_MAX),
        params=_bound_values("params", run.params, PARAMS_MAX, bounds),
        metrics=_bound_values("metrics", run.metrics, METRICS_MAX, bounds),
        tags=(),  # who reads a snapshot has no use for them; what they say of features was looked up
        datasets=tuple(
            Dataset(
                name=bounds.text(read.name, NAME_CHARS_MAX),
                digest=bounds.identifier(read.digest, NAME_CHARS_MAX),
                source=bounds.text(read.source, VALUE_CHARS_MAX),
                context=bounds.text(read.context, CONTEXT_CHARS_MAX),
            )
            for read in bounds.first("datasets", _ordered(run.datasets), DATASETS_MAX)
        ),
    )


def _bound_values(name: str, values: tuple[NamedValue, ...], items_max: int, bounds: _Bounds) -> tuple[NamedValue, ...]:
    # Sorted: a registry's order may change from one answer to the next.
    ordered = tuple(sorted(values, key=lambda value: (value.name, value.value)))
    return tuple(
        NamedValue(name=bounds.text(value.name, NAME_CHARS_MAX), value=bounds.text(value.value, VALUE_CHARS_MAX))
        for value in bounds.first(name, ordered, items_max)
    )


def _ordered(datasets: tuple[Dataset, ...]) -> tuple[Dataset, ...]:
    return tuple(sorted(datasets, key=lambda read: (read.name, read.digest, read.context, read.source)))


def _bound_view(view: FeatureView, bounds: _Bounds) -> FeatureView:
    return FeatureView(
        project=view.project,
        name=bounds.text(view.name, NAME_CHARS_MAX),
        found=view.found,
        owner=bounds.text(view.owner, NAME_CHARS_MAX),
        deprecated=view.deprecated,
        pii=view.pii,
        definition_sha256=view.definition_sha256,
    )


def _each(documents: list[dict[str, Any]], make: Callable[..., T]) -> tuple[T, ...]:
    return tuple(make(**document) for document in documents)


def _is_digest(text: str) -> bool:
    try:
        parse_digest(text)
    except DigestError:
        return False
    return True


def _unwritable(character: str) -> bool:
    # What canonical JSON does not hold: U+0000 and lone surrogates.
    return character == "\0" or "\ud800" <= character <= "\udfff"
