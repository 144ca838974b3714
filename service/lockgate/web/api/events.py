"""Events by cursor, and deliveries of them to subscribers.

Whoever reads events is not recorded: a machine asks again and again, and what it is told is what webhooks are told.
"""

import re
from typing import Any, Final, cast, get_args

from flask import Blueprint, Response, g, request

from lockgate.audit import Actor, RecordUnknownError
from lockgate.bootstrap import Services
from lockgate.clock import format_timestamp
from lockgate.config import MAIN_LOG
from lockgate.delivery.types import Delivery, DeliveryFilter, DeliveryState
from lockgate.delivery.webhooks import Format
from lockgate.gate_logs import LogNotConfiguredError
from lockgate.names import ENVIRONMENT
from lockgate.web.authentication import caller
from lockgate.web.authorization import operation
from lockgate.web.parameters import allow_only, integer, page_limit, text
from lockgate.web.responses import json_response

_FORMAT: Final = re.compile("|".join(get_args(Format)), re.ASCII)
_STATE: Final = re.compile("|".join(DeliveryState), re.ASCII)
_SUBSCRIBER: Final = re.compile(r"[a-z][a-z0-9-]{0,39}", re.ASCII)
_CURSOR: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


def events_blueprint(services: Services) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("events", __name__)

    @blueprint.get("/v1/events")
    @operation("events.read")
    def events() -> Response:
        allow_only("log", "after", "limit", "format")
        log = text("log", ENVIRONMENT) or MAIN_LOG
        after = integer("after") if "after" in request.args else None
        format_ = cast("Format", text("format", _FORMAT) or "cloudevents")
        try:
            page = services.events.page(log, after=after, limit=page_limit(), format_=format_)
        except LogNotConfiguredError as exc:
            raise RecordUnknownError(str(exc)) from exc
        document = {
            "items": [event.document for event in page.events],
            "next_cursor": str(page.last),
            "at_end": page.at_end,
        }
        return json_response("v1/api/event_page", document)

    @blueprint.get("/v1/deliveries")
    @operation("deliveries.list")
    def deliveries() -> Response:
        allow_only("state", "subscriber", "limit", "cursor")
        limit, cursor = page_limit(), text("cursor", _CURSOR)
        wanted = DeliveryFilter(
            state=text("state", _STATE),
            subscriber=text("subscriber", _SUBSCRIBER),
            before_number=int(cursor) if cursor else None,
            limit=limit,
        )
        page = services.deliveries.list(wanted)
        document = {
            "items": [_delivery_document(one) for one in page],
            "next_cursor": str(page[-1].number) if len(page) == limit else "",
        }
        return json_response("v1/api/delivery_list", document)

    @blueprint.post("/v1/deliveries/<uuid:delivery_id>:redeliver")
    @operation("deliveries.redeliver")
    def redeliver(delivery_id: object) -> Response:
        allow_only()
        principal = caller()
        actor = Actor(type=principal.type, id=principal.subject, roles=principal.roles)
        delivery = services.deliveries.redeliver(actor, str(delivery_id), trace=g.trace)
        return json_response("v1/api/delivery", _delivery_document(delivery), status=202)

    return blueprint


def _delivery_document(delivery: Delivery) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "id": delivery.id,
        "subscriber": delivery.subscriber,
        "log": delivery.log,
        "seq": delivery.seq,
        "event_type": delivery.event_type,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "created_at": format_timestamp(delivery.created),
        "due_at": format_timestamp(delivery.due),
        "tried_at": None if delivery.tried is None else format_timestamp(delivery.tried),
        "status": delivery.status,
        "code": delivery.code,
    }
