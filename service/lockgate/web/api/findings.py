"""What changed out of band: findings, and the webhooks that make the next look come now."""

import re
from typing import Final

from flask import Blueprint, Response, g, request

from lockgate.bootstrap import Services
from lockgate.gate_logs import actor_of
from lockgate.names import NAME
from lockgate.reconciling.types import FindingFilter, FindingKind
from lockgate.web.authentication import caller, open_to_all
from lockgate.web.authorization import operation
from lockgate.web.documents import receipt_document
from lockgate.web.finding_documents import finding_document
from lockgate.web.parameters import allow_only, json_body, page_limit, text
from lockgate.web.responses import json_response

_STATE: Final = re.compile("open|closed", re.ASCII)
_KIND: Final = re.compile("|".join(FindingKind), re.ASCII)
_CURSOR: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def findings_blueprint(services: Services) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("findings", __name__)

    @blueprint.get("/v1/findings")
    @operation("findings.list")
    def findings() -> Response:
        allow_only("state", "kind", "model", "limit", "cursor")
        limit, cursor = page_limit(), text("cursor", _CURSOR)
        wanted = FindingFilter(
            state=text("state", _STATE),
            kind=text("kind", _KIND),
            model=text("model", NAME),
            before_number=int(cursor) if cursor else None,
            limit=limit,
        )
        page = services.findings.list(wanted)
        document = {
            "items": [finding_document(one) for one in page],
            "next_cursor": str(page[-1].number) if len(page) == limit else "",
        }
        return json_response("v1/api/finding_list", document)

    @blueprint.post("/v1/findings/<uuid:finding_id>:close")
    @operation("findings.close")
    def close(finding_id: object) -> Response:
        allow_only()
        finding, receipt = services.findings.close(actor_of(caller()), str(finding_id), json_body(), trace=g.trace)
        document = {"finding": finding_document(finding), "receipt": receipt_document(receipt)}
        return json_response("v1/api/finding_answer", document)

    @blueprint.post("/v1/hooks/mlflow/<registry>")
    @open_to_all  # who may come in shows a signature with the registry's own secret, and no principal of ours
    def hint(registry: str) -> Response:
        allow_only()
        services.hints.take(
            registry,
            request.get_data(),
            delivery_id=request.headers.get("X-MLflow-Delivery-Id", ""),
            timestamp=request.headers.get("X-MLflow-Timestamp", ""),
            signature=request.headers.get("X-MLflow-Signature", ""),
        )
        return Response(status=204)

    return blueprint
