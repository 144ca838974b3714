"""Kubeflow Hub's model registry, over its REST interface `v1alpha3`.

Written from its published OpenAPI document and tested against a fake made from the same document
(`tests/support/kubeflow_hub.py`), not against a running Hub: whatever the two understand differently is not known here.

- The Hub has no aliases. A pointer is a custom property of the registered model, `lockgate.alias.<alias>`, with the
  version's name; "" once it was taken away. Nobody but the gate reads it, there is no guard in front, and as there is
  no compare-and-set either, two who move one at the same moment may both believe that they did.
- Changing one property sends all of them, as they were read: the document does not say whether others would be lost.
- A version is named by whoever registers it. Where its files are is said by its model artifact; a list of versions does
  not ask for each, so that `source` and `run` are "" there, as they are where a version has several model artifacts.
- It serves no files and states no digest.
- Names are asked for in printable ASCII alone; a model of another name is listed, and not found.

Source: kubeflow/model-registry, api/openapi/model-registry.yaml, version v1alpha3.
"""

import math
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from lockgate.canonical_json import SAFE_INTEGER_MAX
from lockgate.registry.answers import LIST_ITEMS_MAX, Fields
from lockgate.registry.calls import Conversation, Reply
from lockgate.registry.errors import (
    PointerMovedError,
    RegistryAnswerError,
    RegistryRefusedError,
    RegistryUnsupportedError,
)
from lockgate.registry.settings import RegistrySettings
from lockgate.registry.types import (
    ArtifactFile,
    Dataset,
    ModelPage,
    NamedValue,
    RegistryModel,
    RegistryVersion,
    Run,
    VersionPage,
)

POINTER_PREFIX: Final = "lockgate.alias."
PAGE_ITEMS_MAX: Final = 1000  # the document names no bound; as for the other registries
RUN_PAGES_MAX: Final = 20  # of what a run left, a hundred items each
_RUN_PAGE_ITEMS: Final = 100
_API: Final = "/api/model_registry/v1alpha3"
_NAME: Final = re.compile(r"[\x20-\x7e]{1,1024}", re.ASCII)  # what the document lets be asked for
_ID: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
_ALIAS: Final = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)
_CURSOR: Final = re.compile(r"[!-~]{1,4096}", re.ASCII)
_STRING: Final = "MetadataStringValue"
_VALUE_KEYS: Final = ("string_value", "int_value", "double_value")  # the others are no text


class KubeflowHubRegistry:
    """Models in a Kubeflow Hub. Safe to share between threads."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self._settings.name

    def list_models(self, *, cursor: str = "", limit: int = 100) -> ModelPage:
        """Return a page of models, oldest first. See `RegistryPort`."""
        talk = Conversation(self._settings)
        items, following = self._read_page(talk, "/registered_models", {"sortOrder": "ASC"}, cursor, limit)
        return ModelPage(items=tuple(_read_model(item) for item in items), next_cursor=following)

    def find_model(self, model: str) -> RegistryModel | None:
        """Return a model. See `RegistryPort`."""
        found = self._find_model(Conversation(self._settings), model)
        return None if found is None else _read_model(found)

    def list_versions(self, model: str, *, cursor: str = "", limit: int = 100) -> VersionPage:
        """Return a page of a model's versions, without their sources. See `RegistryPort`."""
        talk = Conversation(self._settings)
        found = self._find_model(talk, model)
        if found is None:
            return VersionPage(items=(), next_cursor="")
        path = f"/registered_models/{_read_id(found, 'id')}/versions"
        items, following = self._read_page(talk, path, {"sortOrder": "DESC"}, cursor, limit)
        return VersionPage(
            items=tuple(_read_version(model, item, source="", run="") for item in items), next_cursor=following
        )

    def find_version(self, model: str, version: str) -> RegistryVersion | None:
        """Return a version. See `RegistryPort`."""
        return self._find_version(Conversation(self._settings), model, version)

    def find_run(self, model: str, version: str) -> Run | None:
        """Return the experiment run that a version's model artifact names. See `RegistryPort`."""
        talk = Conversation(self._settings)
        found = self._find_version(talk, model, version)
        if found is None or not found.run:
            return None
        path = f"/experiment_runs/{found.run}"
        run = self._find(talk.ask("GET", _API + path), "a run")
        if run is None:
            return None
        items: list[Fields] = []
        cursor = ""
        for _ in range(RUN_PAGES_MAX):
            page, cursor = self._read_page(talk, f"{path}/artifacts", {"sortOrder": "ASC"}, cursor, _RUN_PAGE_ITEMS)
            items += page
            if not cursor:
                return _read_run(found.run, run, items)
        raise self._wrong(f"want at most {RUN_PAGES_MAX * _RUN_PAGE_ITEMS} artifacts of a run")

    def move_pointer(self, model: str, alias: str, version: str | None, *, expected: str | None, permit: str) -> None:
        """Let a pointer point to a version. See `RegistryPort`."""
        if not _ALIAS.fullmatch(alias):
            raise RegistryRefusedError(f"registry {self.name}: want an alias of the form {_ALIAS.pattern}")
        talk = Conversation(self._settings)
        # (1) It stands where it is expected, and there is what it is to point to.
        found = self._find_model(talk, model)
        self._check_pointer(found, alias, expected, "before")
        if found is None or (version is not None and self._find_version(talk, model, version) is None):
            raise RegistryRefusedError(f"registry {self.name}: want a model and a version that are there")
        # (2) Write all of the model's own properties, with this one changed.
        properties = _properties_to_send(found)
        properties[POINTER_PREFIX + alias] = {"metadataType": _STRING, "string_value": version or ""}
        reply = talk.ask(
            "PATCH",
            f"{_API}/registered_models/{_read_id(found, 'id')}",
            document={"customProperties": properties},
            permit=permit,
        )
        if not reply.is_good:
            raise talk.unexpected(reply, "a model that is changed")
        # (3) It stands where it was put.
        self._check_pointer(self._find_model(talk, model), alias, version, "after")

    def list_files(self, model: str, version: str) -> tuple[ArtifactFile, ...]:
        """Raise: the Hub serves no files."""
        del model, version
        raise self._no_files()

    def read_file(self, model: str, version: str, path: str, *, timeout_s: float) -> Iterator[bytes]:
        """Raise: the Hub serves no files."""
        del model, version, path, timeout_s
        raise self._no_files()

    def _read_page(
        self, talk: Conversation, path: str, query: dict[str, str], cursor: str, limit: int
    ) -> tuple[tuple[Fields, ...], str]:
        if cursor:
            if not _CURSOR.fullmatch(cursor):
                raise self._wrong("want a cursor that it gave, got another text")
            query = query | {"nextPageToken": cursor}
        size = max(1, min(limit, PAGE_ITEMS_MAX))
        # Names cannot be sorted by; ids are given in the order of creation.
        reply = talk.ask("GET", _API + path, query=query | {"orderBy": "ID", "pageSize": str(size)})
        if not reply.is_good:
            raise talk.unexpected(reply, "a page")
        following = reply.fields.text("nextPageToken")
        if following and (following == cursor or not _CURSOR.fullmatch(following)):
            raise self._wrong("want a page token that leads on")
        return reply.fields.objects("items", items_max=size), following

    def _find_model(self, talk: Conversation, model: str) -> Fields | None:
        if not _NAME.fullmatch(model):
            return None
        found = self._find(talk.ask("GET", f"{_API}/registered_model", query={"name": model}), "a model")
        return found if found is not None and found.name("name") == model else None

    def _find_version(self, talk: Conversation, model: str, version: str) -> RegistryVersion | None:
        parent = self._find_model(talk, model) if _NAME.fullmatch(version) else None
        if parent is None:
            return None
        parent_id = _read_id(parent, "id")
        query = {"name": version, "parentResourceId": parent_id}
        found = self._find(talk.ask("GET", f"{_API}/model_version", query=query), "a version")
        if found is None or (found.name("name"), found.text("registeredModelId")) != (version, parent_id):
            return None
        path = f"/model_versions/{_read_id(found, 'id')}/artifacts"
        artifacts, _ = self._read_page(talk, path, {"artifactType": "model-artifact", "sortOrder": "ASC"}, "", 2)
        only = artifacts[0] if len(artifacts) == 1 else Fields("no artifact", {})
        run = only.text("experimentRunId") and _read_id(only, "experimentRunId")
        return _read_version(model, found, source=only.text("uri"), run=run)

    def _find(self, reply: Reply, wanted: str) -> Fields | None:
        # A 404 alone may be another server's: the Hub's own says so in its body too.
        if reply.status == HTTPStatus.NOT_FOUND and reply.fields.scalar("code") and reply.fields.text("message"):
            return None
        if not reply.is_good:
            raise self._wrong(f"want {wanted}, got the status {reply.status}")
        return reply.fields

    def _check_pointer(self, found: Fields | None, alias: str, wanted: str | None, when: str) -> None:
        pointers = {pointer.name: pointer.value for pointer in _read_model(found).pointers} if found else {}
        stands = pointers.get(alias)
        if stands != wanted:
            raise PointerMovedError(
                f"registry {self.name}: want the alias {alias[:80]!r} at {(wanted or 'nothing')[:80]} {when} the move, "
                f"got {'another version' if stands else 'nothing'}"
            )

    def _no_files(self) -> RegistryUnsupportedError:
        return RegistryUnsupportedError(f"registry {self.name}: a Kubeflow Hub serves no files")

    def _wrong(self, detail: str) -> RegistryAnswerError:
        return RegistryAnswerError(f"registry {self.name}: {detail}")


def _read_id(fields: Fields, key: str) -> str:
    value = fields.text(key)
    if not _ID.fullmatch(value):
        raise RegistryAnswerError(f"{fields.where}.{key}: want a number of at most nine digits, as text")
    return value


def _read_properties(fields: Fields) -> tuple[NamedValue, ...]:
    # Those that are texts or numbers; a structure is no tag.
    properties = fields.object("customProperties")
    if len(properties.values) > LIST_ITEMS_MAX:
        raise RegistryAnswerError(f"{properties.where}: want at most {LIST_ITEMS_MAX} properties")
    values = []
    for name in sorted(properties.values):
        value = properties.object(name)
        values += [NamedValue(name=name, value=value.scalar(key)) for key in _VALUE_KEYS if key in value.values]
    return tuple(values)


def _properties_to_send(fields: Fields) -> dict[str, Any]:
    # As they came, if we can be sure to write what we read: a number that is not exact would change on the way.
    properties = fields.object("customProperties")
    for name in properties.values:
        if not all(_can_be_sent(value) for value in properties.object(name).values.values()):
            raise RegistryAnswerError(f"{properties.where}: want values that can be sent back as they came")
    return dict(properties.values)


def _can_be_sent(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, str | bool) or (isinstance(value, int) and abs(value) <= SAFE_INTEGER_MAX)


def _read_model(fields: Fields) -> RegistryModel:
    properties = _read_properties(fields)
    return RegistryModel(
        name=fields.name("name"),
        description=fields.text("description"),
        tags=tuple(item for item in properties if not item.name.startswith(POINTER_PREFIX)),
        pointers=tuple(
            NamedValue(name=item.name.removeprefix(POINTER_PREFIX), value=item.value)
            for item in properties
            if item.name.startswith(POINTER_PREFIX) and item.value
        ),
    )


def _read_version(model: str, fields: Fields, *, source: str, run: str) -> RegistryVersion:
    return RegistryVersion(
        model=model,
        version=fields.name("name"),
        digest="",
        source=source,
        run=run,
        stage="",
        tags=_read_properties(fields),
        created=fields.time_ms("createTimeSinceEpoch"),
    )


def _read_run(run: str, fields: Fields, items: list[Fields]) -> Run:
    tags = _read_properties(fields)
    known = {tag.name: tag.value for tag in tags}
    by_type: dict[str, list[Fields]] = {}
    for item in items:
        by_type.setdefault(item.text("artifactType"), []).append(item)
    return Run(
        id=run,
        # The Hub has no names of its own for these; so the ones by which MLflow's client calls them.
        code_commit=known.get("mlflow.source.git.commit", ""),
        source_name=known.get("mlflow.source.name", ""),
        user=fields.text("owner"),
        params=_read_values(by_type.get("parameter", [])),
        metrics=_read_values(by_type.get("metric", [])),
        tags=tags,
        datasets=tuple(_read_dataset(item) for item in by_type.get("dataset-artifact", [])),
    )


def _read_values(items: list[Fields]) -> tuple[NamedValue, ...]:
    values = (NamedValue(name=item.name("name"), value=item.scalar("value")) for item in items)
    return tuple(sorted(values, key=lambda value: value.name))


def _read_dataset(fields: Fields) -> Dataset:
    properties = {item.name: item.value for item in _read_properties(fields)}
    return Dataset(
        name=fields.name("name"),
        digest=fields.text("digest"),
        source=fields.text("source") or fields.text("uri"),
        context=properties.get("mlflow.data.context", ""),
    )
