"""The gate's API on models and versions, for the commands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote, urlencode

from lockgate.cli.gate_client import GateClient

MODELS_LISTED_MAX: Final = 10_000  # what a person or a script reads at once; filters ask for less
_PAGE: Final = 20  # models with every tag that they may have still fit an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelClient:
    """One gate's models; every call raises as `GateClient.request_promotion` does."""

    gate: GateClient

    def create_model(self, document: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Register a model; return a `model_answer`."""
        return self._post("/v1/models", document, key, {HTTPStatus.CREATED: "model_answer"})

    def read_model(self, name: str, *, pointers: bool = False) -> dict[str, Any]:
        """Return a `model`; with its pointers if its registry shall be asked."""
        query = "?pointers=true" if pointers else ""
        return self.gate.call("GET", _path(name) + query, None, answers={HTTPStatus.OK: "model"})

    def list_models(self, wanted: Mapping[str, str | None]) -> tuple[list[dict[str, Any]], bool]:
        """Return models that are wanted, and whether there are more than `MODELS_LISTED_MAX`."""
        return _all(lambda query: self._list("/v1/models", query, "model_list"), wanted)

    def update_model(self, name: str, document: Mapping[str, Any], row_version: int) -> dict[str, Any]:
        """Say something else of a model as it was looked at; return a `model_answer`."""
        headers = {"If-Match": f'"{row_version}"'}
        return self.gate.call("PUT", _path(name), document, answers={HTTPStatus.OK: "model_answer"}, headers=headers)

    def retire_model(self, name: str, document: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Retire a model; return a `model_answer`."""
        return self._post(f"{_path(name)}:retire", document, key, {HTTPStatus.OK: "model_answer"})

    def create_version(self, name: str, document: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Register a version; return a `model_version_answer`."""
        path = f"{_path(name)}/versions"
        return self._post(path, document, key, {HTTPStatus.CREATED: "model_version_answer"})

    def read_version(self, name: str, version: str) -> dict[str, Any]:
        """Return a `model_version_history`."""
        return self.gate.call("GET", _path(name, version), None, answers={HTTPStatus.OK: "model_version_history"})

    def list_versions(self, name: str) -> tuple[list[dict[str, Any]], bool]:
        """Return a model's versions, and whether there are more than `MODELS_LISTED_MAX`."""
        return _all(lambda query: self._list(f"{_path(name)}/versions", query, "model_version_list"), {})

    def retire_version(self, name: str, version: str, document: Mapping[str, Any], key: str) -> dict[str, Any]:
        """Retire a version; return a `model_version_answer`."""
        return self._post(f"{_path(name, version)}:retire", document, key, {HTTPStatus.OK: "model_version_answer"})

    def _post(self, path: str, document: Mapping[str, Any], key: str, answers: Mapping[int, str]) -> dict[str, Any]:
        return self.gate.call("POST", path, document, answers=answers, headers={"Idempotency-Key": key})

    def _list(self, path: str, query: Mapping[str, str], schema: str) -> dict[str, Any]:
        return self.gate.call("GET", f"{path}?{urlencode(query)}", None, answers={HTTPStatus.OK: schema})


def _path(name: str, version: str | None = None) -> str:
    path = f"/v1/models/{quote(name, safe='')}"
    return path if version is None else f"{path}/versions/{quote(version, safe='')}"


def _all(
    ask: Callable[[Mapping[str, str]], dict[str, Any]], wanted: Mapping[str, str | None]
) -> tuple[list[dict[str, Any]], bool]:
    query = {name: value for name, value in wanted.items() if value is not None} | {"limit": str(_PAGE)}
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = ask({**query, "cursor": cursor} if cursor else query)
        items += page["items"]
        if len(items) > MODELS_LISTED_MAX:
            return items[:MODELS_LISTED_MAX], True
        if not page["next_cursor"] or page["next_cursor"] == cursor:
            return items, False
        cursor = page["next_cursor"]
