"""The API's description, OpenAPI 3.1, made of the schemas themselves and one table of operations."""

import copy
import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from lockgate.promotion import PromotionState
from lockgate.schemas import load_schema, schema_names
from lockgate.web.api.operation import Operation
from lockgate.web.api.operations_alerts import ALERT_OPERATIONS
from lockgate.web.api.operations_events import EVENT_OPERATIONS
from lockgate.web.api.operations_lineage import LINEAGE_OPERATIONS
from lockgate.web.api.operations_models import MODEL_OPERATIONS
from lockgate.web.api.operations_rollouts import ROLLOUT_OPERATIONS
from lockgate.web.api.operations_usage import USAGE_OPERATIONS

API_VERSION: Final = "1.0.0"
_PREFIX: Final = "v1/api/"
_DROPPED: Final = ("$schema", "$id")
_UUID: Final = {"type": "string", "format": "uuid"}
_NAME: Final = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"}
_PATH_PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "promotion_id": _UUID,
    "delivery_id": _UUID,
    "seq": {"type": "integer", "minimum": 0},
    "name": _NAME,
    "source": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,39}$"},
    "version": _NAME,
    "digest": {"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"},
    "environment": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,63}$"},
    "tile": {"type": "string", "examples": ["0/x001/x234/067", "0/000.p/5", "entries/000"]},
}


_ID: Final = "/v1/promotions/{promotion_id}"
_LOG: Final = {"log": "The environment whose own log it is about; without it the main log"}
OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        method="post",
        path="/v1/promotions",
        operation="promotions.create",
        summary="Ask whether an exact artifact may move",
        body="promotion_request",
        answers={201: "promotion_answer", 202: "promotion_answer"},
        problems=(400, 410, 411, 413, 415, 422, 500, 503),
        idempotent=True,
    ),
    Operation(
        method="get",
        path="/v1/promotions",
        operation="promotions.list",
        summary="List promotions, newest first",
        answers={200: "promotion_list"},
        problems=(400, 503),
        query={
            "state": f"One of {', '.join(PromotionState)}",
            "model": "A model's exact name",
            "limit": "Items on a page, 1 to 100",
            "cursor": "next_cursor of the page before",
        },
    ),
    Operation(
        method="get",
        path=_ID,
        operation="promotions.read",
        summary="Where a promotion stands, with its newest decision and receipt",
        answers={200: "promotion_answer"},
        problems=(400, 404, 410, 503),
    ),
    Operation(
        method="post",
        path=f"{_ID}/approvals",
        operation="promotions.approve",
        summary="Approve or reject exactly what the promotion holds, and decide anew",
        body="approval_request",
        answers={201: "approval_answer"},
        problems=(400, 404, 409, 411, 413, 415, 422, 500, 503),
    ),
    Operation(
        method="post",
        path=f"{_ID}/withdraw",
        operation="promotions.withdraw",
        summary="Take a pending promotion back",
        body="withdrawal_request",
        answers={200: "withdrawal_answer"},
        problems=(400, 404, 409, 411, 413, 415, 422, 503),
    ),
    Operation(
        method="post",
        path="/v1/decisions:dry-run",
        operation="decisions.dry_run",
        summary="Forecast a decision; nothing is recorded and nothing is permitted",
        body="promotion_request",
        answers={200: "dry_run_answer"},
        problems=(400, 411, 413, 415, 422, 500, 503),
    ),
    Operation(
        method="post",
        path="/v1/audit/records",
        operation="audit.record",
        summary="Record an event of a registered kind; 200 when it was recorded before under the same id",
        body="audit_event",
        answers={200: "receipt", 201: "receipt"},
        problems=(400, 409, 411, 413, 415, 422, 503),
    ),
    Operation(
        method="get",
        path="/v1/audit/records",
        operation="audit.search",
        summary="Records of the audit log; the query is recorded before it is answered",
        answers={200: "audit_records"},
        problems=(400, 404, 503),
        query={
            **_LOG,
            "after": "next_cursor of the page before: the last seq already seen, in this order",
            "limit": "Items on a page, 1 to 1000",
            "order": "asc, oldest first, or desc, newest first",
            "kind": "One kind only",
            "actor": "Only by the actor with this id",
            "subject": "Only about this subject",
            "since": "Written at this time or later, for example 2026-11-23T09:00:00Z",
            "until": "Written before this time",
        },
    ),
    Operation(
        method="get",
        path="/v1/audit/records/{seq}",
        operation="audit.read",
        summary="One record with its receipt; the read is recorded before it is answered",
        answers={200: "receipt"},
        problems=(400, 404, 410, 503),
        query=_LOG,
    ),
    Operation(
        method="get",
        path="/v1/audit/checkpoint",
        operation="audit.checkpoint",
        summary="The newest signed checkpoint (C2SP tlog-checkpoint)",
        answers={200: "text/plain"},
        problems=(400, 404, 503),
        query=_LOG,
    ),
    Operation(
        method="get",
        path="/v1/audit/key",
        operation="audit.key",
        summary="The log's public key (C2SP verifier key); compare it with one from elsewhere",
        answers={200: "text/plain"},
        problems=(400, 404),
        query=_LOG,
    ),
    Operation(
        method="get",
        path="/v1/audit/proofs/inclusion",
        operation="audit.prove",
        summary="Proof that a record is in a tree of a given size",
        answers={200: "audit_proof"},
        problems=(400, 404, 410, 503),
        query={**_LOG, "seq": "The record's seq", "size": "The tree's size"},
        required_query=("seq", "size"),
    ),
    Operation(
        method="get",
        path="/v1/audit/proofs/consistency",
        operation="audit.prove",
        summary="Proof that one tree is a prefix of another",
        answers={200: "audit_proof"},
        problems=(400, 404, 410, 503),
        query={**_LOG, "old": "The smaller tree's size", "new": "The larger tree's size"},
        required_query=("old", "new"),
    ),
    Operation(
        method="get",
        path="/audit/checkpoint",
        operation="audit.checkpoint",
        summary="The newest signed checkpoint, with the lines of witnesses where they signed it (C2SP tlog-tiles)",
        answers={200: "text/plain"},
        problems=(400, 503),
    ),
    Operation(
        method="get",
        path="/audit/tile/{tile}",
        operation="audit.tile",
        summary="A piece of the tree or of the records that never changes (C2SP tlog-tiles)",
        answers={200: "application/octet-stream"},
        problems=(400, 404, 410, 503),
    ),
    Operation(
        method="get",
        path="/audit/logs/{environment}/checkpoint",
        operation="audit.checkpoint",
        summary="The same of an environment's own log",
        answers={200: "text/plain"},
        problems=(400, 404, 503),
    ),
    Operation(
        method="get",
        path="/audit/logs/{environment}/tile/{tile}",
        operation="audit.tile",
        summary="The same of an environment's own log",
        answers={200: "application/octet-stream"},
        problems=(400, 404, 410, 503),
    ),
    Operation(
        method="get",
        path="/v1/policy",
        operation="policy.read",
        summary="The policy revision in force",
        answers={200: "policy"},
        problems=(400, 503),
    ),
    Operation(
        method="post",
        path="/v1/policy:reload",
        operation="policy.reload",
        summary="Put the policy and the issuers in force as their files are now, or change nothing",
        answers={200: "policy"},
        problems=(400, 409, 503),
    ),
    Operation(
        method="get",
        path="/v1/policy/rules",
        operation="policy.read",
        summary="The rules in force",
        answers={200: "rule_catalogue"},
        problems=(400, 503),
    ),
    Operation(method="get", path="/livez", summary="Is the process alive", answers={200: "text/plain"}, open=True),
    Operation(
        method="get",
        path="/readyz",
        summary="Can this instance decide",
        answers={200: "readiness", 503: "readiness"},
        open=True,
    ),
    Operation(
        method="get",
        path="/metrics",
        operation="metrics.read",
        summary="Counters (Prometheus)",
        answers={200: "text/plain"},
    ),
    Operation(
        method="get",
        path="/openapi.json",
        operation="openapi.read",
        summary="This document",
        answers={200: "application/json"},
    ),
    Operation(
        method="get",
        path="/v1/me",
        operation="me.read",
        summary="Who the caller is, with the roles that this token carries, and until when",
        answers={200: "me"},
        problems=(400,),
    ),
    Operation(
        method="get",
        path="/v1/login",
        summary="Whom people log in with, for a program that logs somebody in",
        answers={200: "login"},
        problems=(400, 404),
        open=True,
    ),
    Operation(
        method="get",
        path="/",
        operation="me.read",
        summary="Who the caller is and which promotions wait for them, as a page",
        answers={200: "text/html"},
        problems=(400, 410),
        page=True,
    ),
    Operation(
        method="get",
        path="/style.css",
        summary="How pages look",
        answers={200: "text/css"},
        problems=(400,),
        open=True,
        page=True,
    ),
    Operation(
        method="get",
        path="/login",
        summary="Go to the provider to log in",
        answers={303: "text/html"},
        problems=(400, 404, 429),
        open=True,
        page=True,
    ),
    Operation(
        method="get",
        path="/login/callback",
        summary="Come back from the provider; makes a session in a cookie",
        answers={200: "text/html"},
        problems=(400, 401, 404, 429),
        query={
            "code": "What the provider gives a token for",
            "state": "What this gate gave the browser to take along",
            "iss": "The provider's name (RFC 9207)",
            "error": "Why there is no code",
        },
        open=True,
        page=True,
    ),
    Operation(
        method="post",
        path="/logout",
        summary="End the session of the cookie",
        answers={303: "text/html"},
        problems=(400, 403, 404, 429),
        open=True,
        page=True,
    ),
    *EVENT_OPERATIONS,
    *ROLLOUT_OPERATIONS,
    *MODEL_OPERATIONS,
    *LINEAGE_OPERATIONS,
    *USAGE_OPERATIONS,
    *ALERT_OPERATIONS,
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
    if schema is not None:
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
