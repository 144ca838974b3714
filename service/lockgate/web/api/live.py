"""What is and was live, and observations of it."""

import re
from typing import Final

from flask import Blueprint, Response, g

from lockgate.audit import RecordPrunedError
from lockgate.bootstrap import Services
from lockgate.clock import EpochNs
from lockgate.gate_logs import actor_of
from lockgate.lifecycle.types import LiveAnswer
from lockgate.permits import PermitKeyMissingError
from lockgate.web.authentication import caller
from lockgate.web.authorization import operation
from lockgate.web.metrics import Metrics
from lockgate.web.parameters import allow_only, instant, json_body, page_limit, text
from lockgate.web.problems import ParameterError
from lockgate.web.responses import json_response
from lockgate.web.rollout_documents import interval_document, live_document, observation_document

_LIVE: Final = "/v1/live/<name:name>/<environment:environment>"
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{8,128}", re.ASCII)
_CURSOR: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def live_blueprint(services: Services, metrics: Metrics) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("live", __name__)
    lifecycle = services.lifecycle

    @blueprint.get(_LIVE)
    @operation("live.read")
    def live(name: str, environment: str) -> Response:
        allow_only("at", "nonce")
        when, nonce = instant("at"), text("nonce", _NONCE)
        now = lifecycle.live.now(name, environment)
        if when is not None and when > now.at:
            raise ParameterError("want at as an instant that is past: nobody knows what will be live")
        answer = now if when is None else lifecycle.live.at(name, environment, when)
        document = live_document(name, environment, answer)
        signed = _sign(answer, document, nonce, now.at) if nonce else ""
        return json_response("v1/api/live", {**document, "signed": signed})

    def _sign(answer: LiveAnswer, document: dict[str, object], nonce: str, now: EpochNs) -> str:
        if lifecycle.permit_key is None:
            raise PermitKeyMissingError("want a permit key to sign with: 'lockgate init' makes it (permit_key_file)")
        if not answer.is_proven:
            raise RecordPrunedError(
                "want each part of the answer in the log, to sign it; records were pruned or lie too far back, so ask "
                "without a nonce. The next confirmation is in the log again"
            )
        return lifecycle.permit_key.sign_live(document, issuer=services.log.origin, nonce=nonce, issued=now)

    @blueprint.get(f"{_LIVE}/history")
    @operation("live.read")
    def history(name: str, environment: str) -> Response:
        allow_only("limit", "cursor")
        limit, cursor = page_limit(), text("cursor", _CURSOR)
        before = int(cursor) if cursor else None
        page = lifecycle.live.history(name, environment, before=before, limit=limit)
        document = {
            "items": [interval_document(interval) for _, interval in page],
            "next_cursor": str(page[-1][0]) if len(page) == limit else "",
        }
        return json_response("v1/api/live_history", document)

    @blueprint.post(f"{_LIVE}/observations")
    @operation("live.observe")
    def observe(name: str, environment: str) -> Response:
        allow_only()
        answer = lifecycle.observations.observe(actor_of(caller()), name, environment, json_body(), trace=g.trace)
        metrics.count_observation(answer, services.policy.engine.catalogue())
        status = 200 if answer.receipt is None else 201
        return json_response("v1/api/observation_answer", observation_document(answer), status=status)

    return blueprint
