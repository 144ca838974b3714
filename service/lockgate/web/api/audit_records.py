"""Writing to the audit log: events of other modules."""

from flask import Blueprint, Response, g, request

from lockgate.bootstrap import Services
from lockgate.recording import EVENT_BYTES_MAX, Recorder, parse_event
from lockgate.web.authentication import caller
from lockgate.web.authorization import authorize, operation
from lockgate.web.documents import receipt_document
from lockgate.web.parameters import allow_only, json_body
from lockgate.web.responses import json_response


def audit_records_blueprint(services: Services) -> Blueprint:
    """Make the view."""
    blueprint = Blueprint("audit_records", __name__)
    recorder = Recorder(services.log)

    @blueprint.post("/v1/audit/records")
    @operation("audit.record", by_object=True)
    def record() -> Response:
        allow_only()
        request.max_content_length = EVENT_BYTES_MAX
        document = parse_event(json_body())
        authorize(kind=document["kind"])
        recorded = recorder.record(caller(), document, trace=g.trace)
        receipt = receipt_document(recorded.receipt)
        response = json_response("v1/api/receipt", receipt, status=200 if recorded.replayed else 201)
        response.headers["Location"] = f"/v1/audit/records/{recorded.receipt.seq}"
        return response

    return blueprint
