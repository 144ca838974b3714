"""Alerts that ask for rollbacks: the webhook of an Alertmanager."""

import re
from typing import Any, Final

from flask import Blueprint, Response, g, request

from lockgate.alerts import AlertResult
from lockgate.bootstrap import Services
from lockgate.web.authentication import open_to_all
from lockgate.web.metrics import Metrics
from lockgate.web.parameters import allow_only, json_body
from lockgate.web.responses import json_response

_BEARER: Final = re.compile(r"Bearer ([!-~]{1,8000})", re.ASCII)  # whatever an Alertmanager is given as credentials


def alerts_blueprint(services: Services, metrics: Metrics) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("alerts", __name__)

    @blueprint.post("/v1/hooks/alertmanager/<source>")
    @open_to_all  # who may come in shows a token of the source's own, and no principal of ours
    def receive(source: str) -> Response:
        allow_only()
        match = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        proven = services.alerts.authenticate(source, match[1] if match else "")
        answer = services.alerts.receive(proven, json_body(), trace=g.trace)
        for result in answer.results:
            if result.answer is not None:
                metrics.count_request(result.answer, services.policy.engine.catalogue())
        document = {
            "schema_version": 1,
            "collapsed": answer.collapsed,
            "results": [_result_document(result) for result in answer.results],
            "ignored": answer.ignored,
        }
        return json_response("v1/api/alert_answer", document, status=202)

    return blueprint


def _result_document(result: AlertResult) -> dict[str, Any]:
    return {
        "model": result.model,
        "environment": result.environment,
        "outcome": result.outcome,
        "promotion_id": result.promotion_id,
        "verdict": "" if result.answer is None else result.answer.decision.verdict.value,
        "code": result.code,
    }
