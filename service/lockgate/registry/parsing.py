"""From bytes off the wire to what shall be registered. Pure."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from lockgate.canonical_json import MalformedJSONError, parse_json
from lockgate.digests import Digest, parse_digest, sha256_of
from lockgate.registry.documents import DocumentKind, check_document
from lockgate.registry.metadata import Metadata, named_from, run_from
from lockgate.registry.types import BUILTIN, NamedValue, Run
from lockgate.schemas import SchemaError, check_schema

MODEL_REQUEST_BYTES_MAX: Final = 6 * 1024 * 1024  # the largest card and bill in base64, and a page
VERSION_REQUEST_BYTES_MAX: Final = 256 * 1024  # a run with a hundred parameters and metrics, and room
RETIREMENT_BYTES_MAX: Final = 16 * 1024  # a reason of a thousand characters
_DEPTH_MAX: Final = 8  # the schemas need four levels


@dataclass(frozen=True, slots=True, kw_only=True)
class NewModel:
    """A model that somebody wants registered."""

    name: str
    registry: str
    registry_model: str
    said: "SaidOfModel"


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidOfModel:
    """What shall be said of a model from now on.

    Attributes:
        metadata: Its card and bill are those handed in now, or those of before that were named by digest.
        kept: Those named by digest; they must be the model's already.
        uploads: The bytes of those handed in.
    """

    metadata: Metadata
    kept: Mapping[DocumentKind, Digest]
    uploads: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """A version that somebody wants registered."""

    version: str
    digest: Digest
    source: str
    run: Run | None
    tags: tuple[NamedValue, ...]


def parse_model_request(body: bytes) -> NewModel:
    """Read a request to register a model.

    Raises:
        MalformedJSONError: `body` is not one unambiguous JSON value within the limits.
        SchemaError: It breaks `v1/api/model_request`, or a document in it is none of its kind.
    """
    document = parse_json(body, bytes_max=MODEL_REQUEST_BYTES_MAX, depth_max=_DEPTH_MAX)
    check_schema("v1/api/model_request", document)
    return NewModel(
        name=document["name"],
        registry=document.get("registry", BUILTIN),
        registry_model=document.get("registry_model", document["name"]),
        said=_said(document),
    )


def parse_model_update(body: bytes) -> SaidOfModel:
    """Read what shall be said of a model instead.

    Raises:
        MalformedJSONError: As `parse_model_request`.
        SchemaError: It breaks `v1/api/model_update`, or a document in it is none of its kind.
    """
    document = parse_json(body, bytes_max=MODEL_REQUEST_BYTES_MAX, depth_max=_DEPTH_MAX)
    check_schema("v1/api/model_update", document)
    return _said(document)


def parse_version_request(body: bytes) -> NewVersion:
    """Read a request to register a version.

    Raises:
        MalformedJSONError: `body` is not one unambiguous JSON value within the limits.
        SchemaError: It breaks `v1/api/model_version_request`.
    """
    document = parse_json(body, bytes_max=VERSION_REQUEST_BYTES_MAX, depth_max=_DEPTH_MAX)
    check_schema("v1/api/model_version_request", document)
    run = document.get("run")
    if run is not None:
        run = {**_EMPTY_RUN, **run}
        for name in ("params", "metrics", "tags"):
            _check_names(run[name], f"/run/{name}")
    return NewVersion(
        version=document["version"],
        digest=parse_digest(document["digest"]),
        source=document.get("source", ""),
        run=run_from(run),
        tags=_tags(document),
    )


def parse_retirement(body: bytes) -> str:
    """Read why a model or version is retired; return the reason, perhaps empty.

    Raises:
        MalformedJSONError: `body` is not one unambiguous JSON value within the limits.
        SchemaError: It breaks `v1/api/retirement_request`.
    """
    document = parse_json(body, bytes_max=RETIREMENT_BYTES_MAX, depth_max=_DEPTH_MAX)
    check_schema("v1/api/retirement_request", document)
    reason: str = document.get("reason", "")
    return reason


_EMPTY_RUN: Final[Mapping[str, Any]] = {
    "id": "",
    "code_commit": "",
    "source_name": "",
    "user": "",
    "params": [],
    "metrics": [],
    "tags": [],
    "datasets": [],
}
"""A run of which nobody said anything."""


def _said(document: Mapping[str, Any]) -> SaidOfModel:
    digests: dict[DocumentKind, Digest] = {}
    kept: dict[DocumentKind, Digest] = {}
    uploads: list[bytes] = []
    kinds: tuple[DocumentKind, ...] = ("card", "bom")
    for kind in kinds:
        given = document.get(kind)
        if given is None:
            continue
        if "digest" in given:
            digests[kind] = kept[kind] = parse_digest(given["digest"])
        else:
            upload = _decode(given["document"], kind)
            uploads.append(upload)
            digests[kind] = sha256_of(upload)
    metadata = Metadata(
        owner=document["owner"],
        tier=document.get("tier", ""),
        purpose=document.get("purpose", ""),
        tags=_tags(document),
        card=digests.get("card"),
        bom=digests.get("bom"),
    )
    return SaidOfModel(metadata=metadata, kept=kept, uploads=tuple(uploads))


def _decode(text: str, kind: DocumentKind) -> bytes:
    try:
        document = base64.b64decode(text, validate=True)
    except binascii.Error as exc:
        raise SchemaError("want base64 (RFC 4648, section 4)", f"/{kind}/document") from exc
    try:
        check_document(kind, document)
    except MalformedJSONError as exc:
        raise SchemaError(f"the document in it: {exc}", f"/{kind}/document") from exc
    except SchemaError as exc:
        raise SchemaError(str(exc), f"/{kind}/document{exc.pointer}") from exc
    return document


def _tags(document: Mapping[str, Any]) -> tuple[NamedValue, ...]:
    tags = document.get("tags", [])
    _check_names(tags, "/tags")
    return named_from(tags)


def _check_names(values: Sequence[Mapping[str, str]], pointer: str) -> None:
    # A schema can only say that no two are wholly equal.
    seen: set[str] = set()
    for index, value in enumerate(values):
        if value["name"] in seen:
            raise SchemaError("want each name once", f"{pointer}/{index}/name")
        seen.add(value["name"])
