"""Carrying promotions out: permits, reports, rollbacks, holds."""

from typing import Final

from flask import Blueprint, Response, g, request

from lockgate.bootstrap import Services
from lockgate.canonical_json import parse_canonical
from lockgate.gate_logs import actor_of
from lockgate.permits import PermitKeyMissingError
from lockgate.promotion import Verdict
from lockgate.web.authentication import caller, open_to_all
from lockgate.web.authorization import authorize, operation
from lockgate.web.documents import promotion_answer_document
from lockgate.web.metrics import Metrics
from lockgate.web.parameters import allow_only, json_body
from lockgate.web.responses import json_response
from lockgate.web.rollout_documents import hold_document, lifted_document, rollout_document

_ID: Final = "/v1/promotions/<uuid:promotion_id>"
_HOLD: Final = "/v1/holds/<name:name>/<environment:environment>"


def rollouts_blueprint(services: Services, metrics: Metrics) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("rollouts", __name__)
    lifecycle = services.lifecycle

    @blueprint.post(f"{_ID}/permit")
    @operation("rollouts.permit")
    def permit(promotion_id: object) -> Response:
        allow_only()
        answer = lifecycle.rollouts.permit(actor_of(caller()), str(promotion_id), trace=g.trace)
        metrics.count_rollout(answer, services.policy.engine.catalogue())
        document = rollout_document(answer, services.policy.revision())
        response = json_response("v1/api/rollout_answer", document, status=201)
        response.headers["Lockgate-Verdict"] = answer.outcome.decision.verdict.value
        return response

    @blueprint.post(f"{_ID}/reports")
    @operation("rollouts.report")
    def report(promotion_id: object) -> Response:
        allow_only()
        answer = lifecycle.rollouts.report(actor_of(caller()), str(promotion_id), json_body(), trace=g.trace)
        metrics.count_rollout(answer, services.policy.engine.catalogue())
        document = rollout_document(answer, services.policy.revision())
        response = json_response("v1/api/rollout_answer", document, status=201)
        response.headers["Lockgate-Verdict"] = answer.outcome.decision.verdict.value
        return response

    @blueprint.post("/v1/rollbacks")
    @operation("rollbacks.create")
    def roll_back() -> Response:
        allow_only()
        answer = lifecycle.rollbacks.request(
            caller(), json_body(), idempotency_key=request.headers.get("Idempotency-Key"), trace=g.trace
        )
        metrics.count_request(answer, services.policy.engine.catalogue())
        pending = answer.decision.verdict is Verdict.PENDING
        document = promotion_answer_document(answer, services.policy.revision())
        response = json_response("v1/api/promotion_answer", document, status=202 if pending else 201)
        response.headers["Lockgate-Verdict"] = answer.decision.verdict.value
        response.headers["Location"] = f"/v1/promotions/{answer.promotion.id}"
        return response

    @blueprint.get("/v1/holds")
    @operation("holds.list")
    def holds() -> Response:
        allow_only()
        return json_response("v1/api/hold_list", {"items": [hold_document(hold) for hold in lifecycle.holds.list()]})

    @blueprint.post(f"{_HOLD}:lift")
    @operation("holds.lift", by_object=True)
    def lift(name: str, environment: str) -> Response:
        allow_only()
        own = lifecycle.holds.asked_by(caller(), name, environment)
        authorize(environment=environment, model=name, own="yes" if own else "no")
        receipt = lifecycle.holds.lift(actor_of(caller()), name, environment, json_body(), trace=g.trace)
        body = parse_canonical(receipt.record)["body"]
        return json_response("v1/api/hold_answer", lifted_document(body, receipt))

    @blueprint.get("/v1/keys")
    @open_to_all
    def keys() -> Response:
        allow_only()
        if lifecycle.permit_key is None:
            raise PermitKeyMissingError("want a permit key: 'lockgate init' makes it (permit_key_file)")
        return json_response("v1/api/keys", lifecycle.permit_key.jwks())

    return blueprint
