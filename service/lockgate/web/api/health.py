"""Is it alive, can it decide, what has it counted, what does it speak."""

import orjson
from flask import Blueprint, Response, request

from lockgate.bootstrap import Services
from lockgate.readiness import SharedReadiness
from lockgate.storage import StorageError
from lockgate.web.api.openapi import openapi_document
from lockgate.web.authentication import open_to_all, presented_bearer
from lockgate.web.authorization import operation
from lockgate.web.metrics import Metrics
from lockgate.web.problems import lockgate_problem
from lockgate.web.responses import json_response
from lockgate.web.scrapers import Scrapers


def health_blueprint(services: Services, metrics: Metrics) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("health", __name__)
    scrapers = Scrapers()
    readiness = SharedReadiness(services.readiness)

    @blueprint.get("/livez")
    @open_to_all
    def alive() -> Response:
        return Response("alive\n", mimetype="text/plain")

    @blueprint.get("/readyz")
    @open_to_all
    def ready() -> Response:
        checks = readiness.check()
        fine = all(check.ok for check in checks)
        document = {
            "ready": fine,
            "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in checks],
        }
        return json_response("v1/api/readiness", document, status=200 if fine else 503)

    @blueprint.get("/metrics")
    @operation("metrics.read")
    def counters() -> Response:
        scrapers.remember(presented_bearer())
        return metrics.exposition()

    @blueprint.errorhandler(StorageError)
    def counters_without_database(error: StorageError) -> Response:
        # Nobody's token can be looked up now; but just now the figures are wanted most.
        if request.endpoint == "health.counters" and scrapers.knows(presented_bearer()):
            return metrics.exposition(database=False)
        return lockgate_problem(error)

    @blueprint.get("/openapi.json")
    @operation("openapi.read")
    def openapi() -> Response:
        return Response(orjson.dumps(openapi_document()), mimetype="application/json")

    return blueprint
