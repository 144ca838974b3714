"""A Kubeflow Hub on loopback, as far as we use one: made from its published OpenAPI document, not from the Hub itself.

It holds callers to the document (patterns of queries, required fields, forms of values), so that a request that the
document does not know fails here.

Source: kubeflow/model-registry, api/openapi/model-registry.yaml, version v1alpha3.
"""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from support.gate_server import Call, Reply, json_reply, serve_gate

_API: Final = "/api/model_registry/v1alpha3"
_QUERY: Final = {
    "name": re.compile(r"[\x20-\x7E]+", re.ASCII),
    "parentResourceId": re.compile(r"[1-9][0-9]{0,8}", re.ASCII),
    "pageSize": re.compile(r"[1-9][0-9]{0,8}", re.ASCII),
    "orderBy": re.compile(r"CREATE_TIME|LAST_UPDATE_TIME|ID"),
    "sortOrder": re.compile(r"ASC|DESC"),
    "nextPageToken": re.compile(r".+"),
    "artifactType": re.compile(r"model-artifact|doc-artifact|dataset-artifact|metric|parameter"),
}
_VALUES: Final = {
    "MetadataStringValue": ("string_value", str),
    "MetadataIntValue": ("int_value", str),
    "MetadataDoubleValue": ("double_value", float),
    "MetadataBoolValue": ("bool_value", bool),
}
_CREATED_MS: Final = 1_760_000_000_000


class _RefusedError(Exception):
    """The document does not know such a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class FakeHub:
    """What the Hub holds: each resource is a JSON object with its `id`, by kind."""

    url: str = ""
    models: list[dict[str, Any]] = field(default_factory=list)
    versions: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)  # each with `_parent`, a path
    calls: list[Call] = field(default_factory=list)
    _ids: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Make a resource; kind is `models`, `versions`, `runs` or `artifacts`."""
        self._ids += 1
        made = {
            "id": str(self._ids),
            "createTimeSinceEpoch": str(_CREATED_MS + self._ids),
            "lastUpdateTimeSinceEpoch": str(_CREATED_MS + self._ids),
            **fields,
        }
        getattr(self, kind).append(made)
        return made

    def answer(self, call: Call) -> Reply:
        """Answer one request."""
        with self._lock:
            try:
                return json_reply(self._answer(call))
            except _RefusedError as exc:
                return json_reply({"code": str(exc.status), "message": str(exc)}, status=exc.status)

    def _answer(self, call: Call) -> Mapping[str, Any]:
        parts = urlsplit(call.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()}
        for name, value in query.items():
            if name not in _QUERY or not _QUERY[name].fullmatch(value):
                raise _RefusedError(400, f"bad query parameter {name}")
        if not parts.path.startswith(_API + "/"):
            raise _RefusedError(404, "no such path")
        path = parts.path.removeprefix(_API + "/")
        if call.method == "PATCH" and (found := re.fullmatch(r"registered_models/([0-9]+)", path)):
            return self._patch(_by_id(self.models, found[1]), call.body)
        if call.method != "GET":
            raise _RefusedError(405, "no such method")
        for pattern, get in _ROUTES.items():
            if found := re.fullmatch(pattern, path):
                return get(self, query, *found.groups())
        raise _RefusedError(404, "no such path")

    def _versions(self, query: Mapping[str, str], number: str) -> Mapping[str, Any]:
        parent = _by_id(self.models, number)["id"]
        return _page([item for item in self.versions if item["registeredModelId"] == parent], query)

    def _artifacts(self, query: Mapping[str, str], parent: Mapping[str, Any]) -> Mapping[str, Any]:
        kind = query.get("artifactType")
        items = [item for item in self.artifacts if item["_parent"] == parent["id"]]
        return _page([item for item in items if kind in {None, item["artifactType"]}], query)

    def _patch(self, model: dict[str, Any], body: Any) -> Mapping[str, Any]:
        if not isinstance(body, dict) or set(body) - {"customProperties", "description", "state", "owner"}:
            raise _RefusedError(400, "bad body")
        for value in body.get("customProperties", {}).values():
            key, kind = _VALUES[value["metadataType"]]
            if set(value) != {"metadataType", key} or not isinstance(value[key], kind):
                raise _RefusedError(400, "bad property")
        model.update(body)  # all properties are replaced: whoever sends one alone loses the others
        return model


@contextlib.contextmanager
def running_hub() -> Iterator[FakeHub]:
    """Run a Hub on a free port until the block ends."""
    hub = FakeHub()
    with serve_gate(hub.answer) as server:
        hub.url = server.url
        hub.calls = server.calls
        yield hub


def text_value(value: str) -> dict[str, str]:
    """Return a text as a custom property."""
    return {"metadataType": "MetadataStringValue", "string_value": value}


def _by_id(items: list[dict[str, Any]], number: str) -> dict[str, Any]:
    return _by(items, id=number)


def _by(items: list[dict[str, Any]], **wanted: str | None) -> dict[str, Any]:
    if None in wanted.values():
        raise _RefusedError(400, "too few search parameters")
    for item in items:
        if all(item.get(key) == value for key, value in wanted.items()):
            return item
    raise _RefusedError(404, "no such resource")


def _page(items: list[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    size = int(query.get("pageSize", "100"))
    ordered = sorted(items, key=lambda item: int(item["id"]), reverse=query.get("sortOrder") == "DESC")
    token = query.get("nextPageToken", "after-0")
    if not re.fullmatch(r"after-[0-9]+", token):
        raise _RefusedError(400, "bad page token")
    start = int(token.removeprefix("after-"))
    shown = ordered[start : start + size]
    following = f"after-{start + size}" if start + size < len(ordered) else ""
    return {"items": shown, "nextPageToken": following, "pageSize": size, "size": len(shown)}


_ROUTES: Final[Mapping[str, Callable[..., Mapping[str, Any]]]] = {
    r"registered_models": lambda hub, query: _page(hub.models, query),
    r"registered_model": lambda hub, query: _by(hub.models, name=query.get("name")),
    r"registered_models/([0-9]+)/versions": FakeHub._versions,
    r"model_version": lambda hub, query: _by(
        hub.versions, name=query.get("name"), registeredModelId=query.get("parentResourceId")
    ),
    r"model_versions/([0-9]+)/artifacts": lambda hub, query, number: hub._artifacts(
        query, _by_id(hub.versions, number)
    ),
    r"experiment_runs/([0-9]+)": lambda hub, _query, number: _by_id(hub.runs, number),
    r"experiment_runs/([0-9]+)/artifacts": lambda hub, query, number: hub._artifacts(query, _by_id(hub.runs, number)),
}
