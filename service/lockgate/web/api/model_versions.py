"""Versions of models."""

import re
from typing import Final

from flask import Blueprint, Response

from lockgate.bootstrap import Services
from lockgate.promotion import PromotionFilter
from lockgate.registration import Registered
from lockgate.registry.metadata import Model, ModelVersion
from lockgate.web.authorization import operation
from lockgate.web.conditions import tagged
from lockgate.web.documents import receipt_document
from lockgate.web.model_documents import interval_document, stage_document, version_document
from lockgate.web.parameters import PAGE_ITEMS_MAX, allow_only, page_limit, text
from lockgate.web.registering import call_of_request
from lockgate.web.responses import json_response

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_VERSIONS: Final = "/v1/models/<name:name>/versions"
_VERSION: Final = f"{_VERSIONS}/<name:version>"


def model_versions_blueprint(services: Services) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("model_versions", __name__)
    registration, models = services.registration, services.models

    @blueprint.post(_VERSIONS)
    @operation("versions.create")
    def create_version(name: str) -> Response:
        allow_only()
        made = registration.create_version(call_of_request(), name)
        response = _version_answer(models.find(name), made, 201)
        response.headers["Location"] = f"/v1/models/{name}/versions/{made.value.version}"
        return response

    @blueprint.get(_VERSIONS)
    @operation("versions.list")
    def versions(name: str) -> Response:
        allow_only("limit", "cursor")
        limit, cursor = page_limit(), text("cursor", _NUMBER)
        model, page = models.list_versions(name, int(cursor) if cursor else None, limit)
        used = services.usage.last_used_versions(model.name, [version.version for _, version in page])
        document = {
            "items": [version_document(model, version, last_used=used.get(version.version)) for _, version in page],
            "next_cursor": str(page[-1][0]) if len(page) == limit else "",
        }
        return json_response("v1/api/model_version_list", document)

    @blueprint.get(_VERSION)
    @operation("versions.read")
    def show_version(name: str, version: str) -> Response:
        allow_only()
        model, found = models.find_version(name, version)
        history = services.register.list(PromotionFilter(model=name, version=version, limit=PAGE_ITEMS_MAX))
        used = services.usage.last_used_versions(model.name, [found.version]).get(found.version)
        live = services.lifecycle.live.of_version(name, version, limit=PAGE_ITEMS_MAX)
        document = {
            "version": version_document(model, found, last_used=used),
            "promotions": [stage_document(promotion) for _, promotion in history],
            "live": [interval_document(interval) for interval in live],
        }
        return tagged(json_response("v1/api/model_version_history", document), found.row_version)

    @blueprint.post(f"{_VERSION}:retire")
    @operation("versions.retire")
    def retire_version(name: str, version: str) -> Response:
        allow_only()
        retired = registration.retire_version(call_of_request(), name, version)
        return _version_answer(models.find(name), retired, 200)

    return blueprint


def _version_answer(model: Model, made: Registered[ModelVersion], status: int) -> Response:
    document = {"version": version_document(model, made.value), "receipt": receipt_document(made.receipt)}
    return tagged(json_response("v1/api/model_version_answer", document, status=status), made.value.row_version)
