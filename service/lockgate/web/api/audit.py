"""The audit log, read-only: records, checkpoint, key, proofs."""

import re
from typing import Final

from flask import Blueprint, Response, request

from lockgate.bootstrap import Services
from lockgate.identity import Permission
from lockgate.web.authentication import needs
from lockgate.web.documents import receipt_document
from lockgate.web.parameters import allow_only, integer, page_limit, text
from lockgate.web.responses import json_response

_KIND: Final = re.compile(r"[a-z]+(\.[a-z_]+)+", re.ASCII)


def audit_blueprint(services: Services) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("audit", __name__)
    log = services.log

    @blueprint.get("/v1/audit/records")
    @needs(Permission.READ_AUDIT)
    def records() -> Response:
        allow_only("after", "limit", "kind")
        limit = page_limit()
        after = integer("after") if "after" in request.args else None
        page = log.records(after=after, limit=limit, kind=text("kind", _KIND) or None)
        document = {
            "items": [{"seq": record.seq, "record": record.body.decode()} for record in page],
            "next_cursor": str(page[-1].seq) if len(page) == limit else "",
        }
        return json_response("v1/api/audit_records", document)

    @blueprint.get("/v1/audit/records/<int(max=999999999999999999):seq>")
    @needs(Permission.READ_AUDIT)
    def record(seq: int) -> Response:
        allow_only()
        return json_response("v1/api/receipt", receipt_document(log.receipt(seq)))

    @blueprint.get("/v1/audit/checkpoint")
    @needs(Permission.READ_AUDIT)
    def checkpoint() -> Response:
        allow_only()
        return Response(log.checkpoint(), mimetype="text/plain")

    @blueprint.get("/v1/audit/key")
    @needs(Permission.READ_AUDIT)
    def key() -> Response:
        allow_only()
        return Response(f"{services.log_key}\n", mimetype="text/plain")

    @blueprint.get("/v1/audit/proofs/inclusion")
    @needs(Permission.READ_AUDIT)
    def inclusion() -> Response:
        allow_only("seq", "size")
        hashes = log.inclusion_proof(integer("seq"), integer("size"))
        return json_response("v1/api/audit_proof", {"hashes": [item.hex() for item in hashes]})

    @blueprint.get("/v1/audit/proofs/consistency")
    @needs(Permission.READ_AUDIT)
    def consistency() -> Response:
        allow_only("old", "new")
        hashes = log.consistency_proof(integer("old"), integer("new"))
        return json_response("v1/api/audit_proof", {"hashes": [item.hex() for item in hashes]})

    return blueprint
