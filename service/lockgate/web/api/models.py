"""Models."""

import re
from contextlib import nullcontext
from typing import Final

from flask import Blueprint, Response

from lockgate.bootstrap import Services
from lockgate.digests import DigestError, parse_digest
from lockgate.registration import Registered
from lockgate.registry.errors import DocumentUnknownError
from lockgate.registry.metadata import Model
from lockgate.registry.parsing import parse_model_request
from lockgate.registry.reading import OTHERS
from lockgate.registry.store import ModelFilter
from lockgate.registry.types import BUILTIN
from lockgate.web.authorization import authorize, operation
from lockgate.web.conditions import matched_row_version, tagged
from lockgate.web.documents import receipt_document
from lockgate.web.limits import Limiter
from lockgate.web.model_documents import foreign_model_document, model_document
from lockgate.web.parameters import allow_only, page_limit, text
from lockgate.web.registering import call_of_request
from lockgate.web.responses import json_response

_OWNER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._@/-]{0,127}", re.ASCII)
_TIER: Final = re.compile(r"[a-z][a-z0-9-]{0,63}", re.ASCII)
_REGISTRY: Final = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_TRUTH: Final = re.compile(r"true|false", re.ASCII)
_CURSOR: Final = re.compile(r"m:[A-Za-z0-9._-]{1,128}|r:[!-~]{0,2046}", re.ASCII)
_MODEL: Final = "/v1/models/<name:name>"
# Named by its digest, a document never changes; but only the caller's own cache may keep it.
_FOR_EVER: Final = "private, max-age=31536000, immutable"


def models_blueprint(services: Services, limiter: Limiter) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("models", __name__)
    registration, models = services.registration, services.models

    @blueprint.post("/v1/models")
    @operation("models.create", by_object=True)
    def create() -> Response:
        allow_only()
        call = call_of_request()
        asked = parse_model_request(call.body)
        authorize(mapping="own_name" if asked.registry_model == asked.name else "other_name")
        made = registration.create_model(call)
        response = _model_answer(made, 201)
        response.headers["Location"] = f"/v1/models/{made.value.name}"
        return response

    @blueprint.get("/v1/models")
    @operation("models.list")
    def index() -> Response:
        allow_only("owner", "tier", "registry", "retired", "limit", "cursor")
        retired = text("retired", _TRUTH)
        wanted = ModelFilter(
            owner=text("owner", _OWNER),
            tier=text("tier", _TIER),
            registry=text("registry", _REGISTRY),
            retired=retired == "true" if retired else None,
            limit=page_limit(),
        )
        cursor = text("cursor", _CURSOR)
        # Registered ones are ours; only the pages behind them, whose cursor begins so, are asked of their registry.
        with limiter.asking_registries() if cursor.startswith(OTHERS) else nullcontext():
            page = models.list(wanted, cursor)
        used = services.usage.last_used([model.name for model in page.registered])
        document = {
            "items": [
                *(model_document(model, last_used=used.get(model.name)) for model in page.registered),
                *(foreign_model_document(wanted.registry, model) for model in page.others),
            ],
            "next_cursor": page.next_cursor,
        }
        return json_response("v1/api/model_list", document)

    @blueprint.get(_MODEL)
    @operation("models.read")
    def show(name: str) -> Response:
        allow_only("pointers")
        model = models.find(name)
        pointers = None
        if text("pointers", _TRUTH) == "true":
            with nullcontext() if model.registry == BUILTIN else limiter.asking_registries():
                pointers = models.pointers(model)
        used = services.usage.last_used([model.name]).get(model.name)
        document = model_document(model, pointers, last_used=used)
        return tagged(json_response("v1/api/model", document), model.row_version)

    @blueprint.put(_MODEL)
    @operation("models.update")
    def update(name: str) -> Response:
        allow_only()
        return _model_answer(registration.update_model(call_of_request(), name, matched_row_version()), 200)

    @blueprint.post(f"{_MODEL}:retire")
    @operation("models.retire")
    def retire(name: str) -> Response:
        allow_only()
        return _model_answer(registration.retire_model(call_of_request(), name), 200)

    @blueprint.get(f"{_MODEL}/documents/<digest>")
    @operation("models.read")
    def document(name: str, digest: str) -> Response:
        allow_only()
        model = models.find(name)
        # Only what the model names itself: the log's other attachments are not the registry's to show.
        try:
            wanted = parse_digest(digest)
        except DigestError as exc:
            raise DocumentUnknownError("want the digest of a document that the model has now") from exc
        if wanted not in {model.metadata.card, model.metadata.bom}:
            raise DocumentUnknownError("want the digest of a document that the model has now")
        response = Response(services.log.attachment(wanted.hex), mimetype="application/json")
        response.headers["Cache-Control"] = _FOR_EVER
        return response

    return blueprint


def _model_answer(made: Registered[Model], status: int) -> Response:
    document = {"model": model_document(made.value), "receipt": receipt_document(made.receipt)}
    return tagged(json_response("v1/api/model_answer", document, status=status), made.value.row_version)
