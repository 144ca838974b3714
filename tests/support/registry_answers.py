"""Registries that answer as a test says: from a table of documents, by path, each of which may be bent."""

import contextlib
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from lockgate.errors import LockgateError
from lockgate.registry import RegistryPort
from support.gate_server import Call, GateServer, Reply, json_reply, serve_gate

MODEL: Final = "fraud"
VERSION: Final = "2"
_MODEL_ID: Final = "m-7b22a65c60d54be4baf44330beb2dee6"
_RUN_ID: Final = "438d7c0e27d14553a09faa56532cebf0"
_MLFLOW_MODEL: Final = {
    "name": MODEL,
    "creation_timestamp": 1_760_000_000_000,
    "description": "Finds fraud",
    "tags": [{"key": "team", "value": "risk"}],
    "aliases": [{"alias": "champion", "version": "2"}],
}
_MLFLOW_VERSION: Final = {
    "name": MODEL,
    "version": VERSION,
    "creation_timestamp": 1_760_000_000_000,
    "current_stage": "None",
    "source": f"models:/{_MODEL_ID}",
    "tags": [{"key": "a", "value": "1"}],
}
_MLFLOW_RUN: Final = {
    "info": {"run_id": _RUN_ID, "user_id": "ada"},
    "data": {
        "metrics": [{"key": "mse", "value": 0.25, "timestamp": 1}, {"key": "loss", "value": "NaN", "timestamp": 1}],
        "params": [{"key": "depth", "value": "3"}],
        "tags": [{"key": "mlflow.source.git.commit", "value": "0c1d2e3f"}],
    },
    "inputs": {
        "dataset_inputs": [
            {
                "tags": [{"key": "mlflow.data.context", "value": "training"}],
                "dataset": {"name": "transactions", "digest": "d5d8d080", "source_type": "s3", "source": "s3://data"},
            }
        ]
    },
}
_M: Final = "/api/2.0/mlflow/"
MLFLOW_ANSWERS: Final[dict[str, Any]] = {
    f"{_M}registered-models/search": {"registered_models": [_MLFLOW_MODEL], "next_page_token": "eyJvZmZzZXQiOiAyfQ=="},
    f"{_M}registered-models/get": {"registered_model": _MLFLOW_MODEL},
    f"{_M}registered-models/alias": {},
    f"{_M}model-versions/search": {"model_versions": [_MLFLOW_VERSION]},
    f"{_M}model-versions/get": {"model_version": _MLFLOW_VERSION},
    f"{_M}model-versions/get-download-uri": {"artifact_uri": "mlflow-artifacts:/1/models/m/artifacts"},
    f"{_M}logged-models/{_MODEL_ID}": {"model": {"info": {"model_id": _MODEL_ID, "source_run_id": _RUN_ID}}},
    f"{_M}runs/get": {"run": _MLFLOW_RUN},
    "/api/2.0/mlflow-artifacts/artifacts": {"files": [{"path": "MLmodel", "is_dir": False, "file_size": 622}]},
}
_HUB_PROPERTIES: Final = {
    "team": {"metadataType": "MetadataStringValue", "string_value": "risk"},
    "rank": {"metadataType": "MetadataIntValue", "int_value": "3"},
    "lockgate.alias.champion": {"metadataType": "MetadataStringValue", "string_value": "2"},
}
_HUB_MODEL: Final = {"id": "1", "name": MODEL, "description": "Finds fraud", "customProperties": _HUB_PROPERTIES}
_HUB_VERSION: Final = {
    "id": "2",
    "name": VERSION,
    "registeredModelId": "1",
    "createTimeSinceEpoch": "1760000000000",
    "customProperties": {"a": {"metadataType": "MetadataDoubleValue", "double_value": 1.5}},
}
_HUB_PAGE: Final = {"nextPageToken": "", "pageSize": 100, "size": 1}
_H: Final = "/api/model_registry/v1alpha3/"
HUB_ANSWERS: Final[dict[str, Any]] = {
    f"{_H}registered_models": _HUB_PAGE | {"items": [_HUB_MODEL], "nextPageToken": "CAE"},
    f"{_H}registered_model": _HUB_MODEL,
    f"{_H}registered_models/1": _HUB_MODEL,
    f"{_H}registered_models/1/versions": _HUB_PAGE | {"items": [_HUB_VERSION]},
    f"{_H}model_version": _HUB_VERSION,
    f"{_H}model_versions/2/artifacts": _HUB_PAGE
    | {"items": [{"artifactType": "model-artifact", "uri": "s3://models/1", "experimentRunId": "7"}]},
    f"{_H}experiment_runs/7": {"id": "7", "owner": "ada", "customProperties": {}},
    f"{_H}experiment_runs/7/artifacts": _HUB_PAGE
    | {
        "items": [
            {"artifactType": "parameter", "name": "depth", "value": "3"},
            {"artifactType": "metric", "name": "mse", "value": 0.25},
            {"artifactType": "dataset-artifact", "name": "transactions", "digest": "d5d8d080", "uri": "s3://data"},
        ]
    },
}


@dataclass(slots=True)
class CannedRegistry:
    """A running server with a table of its own."""

    server: GateServer
    documents: dict[str, Any]
    replies: dict[str, Reply] = field(default_factory=dict)  # by path, instead of the document

    @property
    def url(self) -> str:
        """Where it answers."""
        return self.server.url

    def answer(self, call: Call) -> Reply:
        """Answer by the path alone."""
        path = urlsplit(call.path).path
        if path in self.replies:
            return self.replies[path]
        return json_reply(self.documents[path])


@contextlib.contextmanager
def canned_registry(documents: dict[str, Any]) -> Iterator[CannedRegistry]:
    """Run a server that answers with these documents, in copies that may be changed."""
    with serve_gate(lambda _call: Reply()) as server:
        canned = CannedRegistry(server, copy.deepcopy(documents))
        server.answer = canned.answer
        yield canned


def every_call(registry: RegistryPort) -> tuple[Callable[[], object], ...]:
    """Return each call of the port."""
    return (
        registry.list_models,
        lambda: registry.find_model(MODEL),
        lambda: registry.list_versions(MODEL),
        lambda: registry.find_version(MODEL, VERSION),
        lambda: registry.find_run(MODEL, VERSION),
        lambda: registry.move_pointer(MODEL, "champion", VERSION, expected=VERSION, permit=""),
        lambda: registry.list_files(MODEL, VERSION),
        lambda: b"".join(registry.read_file(MODEL, VERSION, "MLmodel", timeout_s=10)),
    )


def codes_of(registry: RegistryPort) -> set[str]:
    """Make each call of the port; return the codes of what goes wrong. What has no code is raised."""
    codes = set()
    for call in every_call(registry):
        try:
            call()
        except LockgateError as exc:
            codes.add(exc.code)
    return codes


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to each value within a document."""
    yield path
    children = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, child in children:
        yield from places(child, (*path, key))


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of a document with another value in one place."""
    if not path:
        return value
    changed = copy.copy(document)
    changed[path[0]] = put(document[path[0]], path[1:], value)
    return changed
