"""Writing to the audit log: events of other modules."""

from flask import Blueprint, Response, g, request

from lockgate.bootstrap import Services
from lockgate.identity import Permission
from lockgate.recording import EVENT_BYTES_MAX, Recorder
from lockgate.web.authentication import caller, needs
from lockgate.web.documents import receipt_document
from lockgate.web.parameters import allow_only, json_body
from lockgate.web.responses import json_response


def audit_records_blueprint(services: Services) -> Blueprint:
    """Make the view."""
    blueprint = Blueprint("audit_records", __name__)
    recorder = Recorder(services.log)

    @blueprint.post("/v1/audit/records")
    @needs(Permission.RECORD)
    def record() -> Response:
        allow_only()
        request.max_content_length = EVENT_BYTES_MAX
        recorded = recorder.record(caller(), json_body(), trace=g.trace)
        document = receipt_document(recorded.receipt)
        response = json_response("v1/api/receipt", document, status=200 if recorded.replayed else 201)
        response.headers["Location"] = f"/v1/audit/records/{recorded.receipt.seq}"
        return response

    return blueprint
