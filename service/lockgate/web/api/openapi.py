"""The API's description, OpenAPI 3.1, made of the schemas themselves and the tables of operations beside it."""

import copy
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lockgate.names import ENVIRONMENT_PATTERN, NAME_PATTERN
from lockgate.schemas import load_schema, schema_names
from lockgate.web.api.operation import Operation
from lockgate.web.api.operations_alerts import ALERT_OPERATIONS
from lockgate.web.api.operations_audit import AUDIT_OPERATIONS
from lockgate.web.api.operations_events import EVENT_OPERATIONS
from lockgate.web.api.operations_findings import FINDING_OPERATIONS
from lockgate.web.api.operations_lineage import LINEAGE_OPERATIONS
from lockgate.web.api.operations_models import MODEL_OPERATIONS
from lockgate.web.api.operations_people import PEOPLE_OPERATIONS
from lockgate.web.api.operations_promotions import PROMOTION_OPERATIONS
from lockgate.web.api.operations_rollouts import ROLLOUT_OPERATIONS
from lockgate.web.api.operations_service import SERVICE_OPERATIONS
from lockgate.web.api.operations_usage import USAGE_OPERATIONS

API_VERSION: Final = "1.0.0"
_PREFIX: Final = "v1/api/"
_DROPPED: Final = ("$schema", "$id")
_UUID: Final = {"type": "string", "format": "uuid"}
_NAME: Final = {"type": "string", "pattern": f"^{NAME_PATTERN}$"}
_PATH_PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "promotion_id": _UUID,
    "delivery_id": _UUID,
    "finding_id": _UUID,
    "registry": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,39}$"},
    "seq": {"type": "integer", "minimum": 0},
    "name": _NAME,
    "source": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,39}$"},
    "version": _NAME,
    "digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
    "environment": {"type": "string", "pattern": f"^{ENVIRONMENT_PATTERN}$"},
    "tile": {"type": "string", "examples": ["0/x001/x234/067", "0/000.p/5", "entries/000"]},
}


OPERATIONS: Final[tuple[Operation, ...]] = (
    *PROMOTION_OPERATIONS,
    *AUDIT_OPERATIONS,
    *SERVICE_OPERATIONS,
    *PEOPLE_OPERATIONS,
    *EVENT_OPERATIONS,
    *ROLLOUT_OPERATIONS,
    *MODEL_OPERATIONS,
    *LINEAGE_OPERATIONS,
    *USAGE_OPERATIONS,
    *ALERT_OPERATIONS,
    *FINDING_OPERATIONS,
)


@functools.cache
def openapi_document() -> dict[str, Any]:
    """Return the description."""
    names = [name.removeprefix(_PREFIX) for name in schema_names() if name.startswith(_PREFIX)]
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lockgate",
            "version": API_VERSION,
            "summary": "A policy-as-code gatekeeper for model promotion",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}, {"session": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-lockgate",
                    "description": "Of people who logged in; what changes something must come from this origin",
                },
            },
            "schemas": {name: _component(name) for name in names},
        },
    }


def _component(name: str) -> dict[str, Any]:
    schema = copy.deepcopy(load_schema(_PREFIX + name))
    for key in _DROPPED:
        del schema[key]
    for node in _objects(schema):
        if "$ref" in node:
            node["$ref"] = _reference(node["$ref"].rpartition("/")[2].removesuffix(".json"))["$ref"]
    return schema


def _objects(node: object) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from _objects(child)
    elif isinstance(node, list):
        for child in node:
            yield from _objects(child)


def _operation(operation: Operation) -> dict[str, Any]:
    # Whoever calls is looked up, and the policy asked, before anything else: either can fail. Everybody may ask too
    # often, also for health otherwise than probes do; and whatever is asked, too many may wait.
    problems = {429, 503, *operation.problems, *(() if operation.open else (401, 403, 500))}
    result: dict[str, Any] = {
        "summary": operation.summary,
        "operationId": _operation_id(operation),
        "responses": {
            str(status): _response(operation.answers.get(status), problem=status in problems, page=operation.page)
            for status in sorted({*operation.answers, *problems})
        },
        "parameters": _parameters(operation),
    }
    if operation.body:
        content = {"application/json": {"schema": _reference(operation.body)}}
        result["requestBody"] = {"required": True, "content": content}
    if operation.open:
        result["security"] = []
    return result


def _operation_id(operation: Operation) -> str:
    words = operation.path.translate(str.maketrans("/:.{}-", "      ")).split()
    return "_".join((operation.method, *words))


def _response(schema: str | None, *, problem: bool, page: bool) -> dict[str, Any]:
    content: dict[str, dict[str, Any]] = {}
    if schema:  # 204 has none
        media = {schema: {}} if "/" in schema else {"application/json": {"schema": _reference(schema)}}
        content.update(media)
    if problem:
        content["application/problem+json"] = {"schema": _reference("problem")}
        if page:
            content["text/html"] = {}
    return {"description": "No decision, and why (RFC 9457)" if schema is None else "The answer", "content": content}


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": dict(_PATH_PARAMETERS[name])}
        for name in re.findall(r"{([a-z_]+)}", operation.path)
    ]
    parameters.extend(
        {
            "name": name,
            "in": "query",
            "required": name in operation.required_query,
            "description": description,
            "schema": {"type": "string"},
        }
        for name, description in operation.query.items()
    )
    if operation.conditional:
        tag = {"type": "string", "pattern": '^"[1-9][0-9]{0,8}"$'}
        why = "The ETag of the answer that was looked at; 428 without"  # which no validator of parameters expects
        parameters.append({"name": "If-Match", "in": "header", "required": False, "description": why, "schema": tag})
    if operation.idempotent:
        key = {"type": "string", "minLength": 1, "maxLength": 255}
        parameters.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": key})
    return parameters


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
