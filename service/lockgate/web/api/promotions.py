"""Promotions, their approvals, and forecasts."""

import re
from typing import Final

from flask import Blueprint, Response, g, request

from lockgate.bootstrap import Services
from lockgate.names import NAME
from lockgate.promotion import PromotionAnswer, PromotionFilter, PromotionState, Verdict, parse_approval_request
from lockgate.web.authentication import caller
from lockgate.web.authorization import authorize, operation
from lockgate.web.documents import (
    approval_answer_document,
    promotion_answer_document,
    promotion_document,
    withdrawal_answer_document,
)
from lockgate.web.metrics import Metrics
from lockgate.web.parameters import allow_only, json_body, page_limit, text
from lockgate.web.problems import ParameterError
from lockgate.web.responses import json_response

_STATE: Final = re.compile("|".join(PromotionState), re.ASCII)
# What was decided stands no more: an allow that ran out must not read as an allow. The command line has the same four.
_OVER: Final = frozenset(
    {PromotionState.WITHDRAWN, PromotionState.EXPIRED, PromotionState.FAILED, PromotionState.SUPERSEDED}
)
_CURSOR: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_ID: Final = "/v1/promotions/<uuid:promotion_id>"


def promotions_blueprint(services: Services, metrics: Metrics) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("promotions", __name__)
    gate, register = services.gate, services.register

    def answered(answer: PromotionAnswer, schema: str, document: dict[str, object], status: int) -> Response:
        response = json_response(schema, document, status=status)
        if answer.promotion.state not in _OVER:
            response.headers["Lockgate-Verdict"] = answer.decision.verdict.value
        return response

    @blueprint.post("/v1/promotions")
    @operation("promotions.create")
    def create() -> Response:
        allow_only()
        answer = gate.request(
            caller(), json_body(), idempotency_key=request.headers.get("Idempotency-Key"), trace=g.trace
        )
        metrics.count_request(answer, services.policy.engine.catalogue())
        pending = answer.decision.verdict is Verdict.PENDING
        document = promotion_answer_document(answer, services.policy.revision())
        response = answered(answer, "v1/api/promotion_answer", document, 202 if pending else 201)
        response.headers["Location"] = f"/v1/promotions/{answer.promotion.id}"
        return response

    @blueprint.get("/v1/promotions")
    @operation("promotions.list")
    def index() -> Response:
        allow_only("state", "model", "limit", "cursor")
        limit, cursor = page_limit(), text("cursor", _CURSOR)
        wanted = PromotionFilter(
            state=text("state", _STATE),
            model=text("model", NAME),
            before_number=int(cursor) if cursor else None,
            limit=limit,
        )
        page = register.list(wanted)
        revision = services.policy.revision()
        document = {
            "items": [promotion_document(promotion, revision) for _, promotion in page],
            "next_cursor": str(page[-1][0]) if len(page) == limit else "",
        }
        return json_response("v1/api/promotion_list", document)

    @blueprint.get(_ID)
    @operation("promotions.read")
    def show(promotion_id: object) -> Response:
        allow_only()
        answer = gate.show(str(promotion_id), trace=g.trace)
        metrics.count_decision(answer, services.policy.engine.catalogue())
        document = promotion_answer_document(answer, services.policy.revision())
        return answered(answer, "v1/api/promotion_answer", document, 200)

    @blueprint.post(f"{_ID}/approvals")
    @operation("promotions.approve", by_object=True)
    def approve(promotion_id: object) -> Response:
        allow_only()
        asked = parse_approval_request(json_body())
        authorize(role=asked.role)
        answer = gate.approve(caller(), str(promotion_id), asked, trace=g.trace)
        metrics.count_approval(answer, services.policy.engine.catalogue())
        document = approval_answer_document(answer, services.policy.revision())
        return answered(answer.outcome, "v1/api/approval_answer", document, 201)

    @blueprint.post(f"{_ID}/withdraw")
    @operation("promotions.withdraw", by_object=True)
    def withdraw(promotion_id: object) -> Response:
        allow_only()
        authorize(requester=register.requester_of(str(promotion_id)))
        answer = register.withdraw(caller(), str(promotion_id), json_body(), trace=g.trace)
        document = withdrawal_answer_document(answer, services.policy.revision())
        return answered(answer.outcome, "v1/api/withdrawal_answer", document, 200)

    @blueprint.post("/v1/decisions:dry-run")
    @operation("decisions.dry_run")
    def dry_run() -> Response:
        allow_only()
        if "Idempotency-Key" in request.headers:
            raise ParameterError("want no Idempotency-Key: a dry run changes nothing")
        decision = gate.dry_run(caller(), json_body())
        metrics.count_forecast(decision, services.policy.engine.catalogue())
        response = json_response("v1/api/dry_run_answer", {"decision": decision.document})
        response.headers["Lockgate-Verdict"] = decision.verdict.value
        return response

    return blueprint
