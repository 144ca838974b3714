"""How much live versions are used."""

import re
from typing import Any, Final

from flask import Blueprint, Response

from lockgate.bootstrap import Services
from lockgate.clock import EpochNs, format_timestamp
from lockgate.names import ENVIRONMENT, ENVIRONMENT_PATTERN, NAME, NAME_PATTERN
from lockgate.usage import IdleVersion, UsageFilter, UsageKey, UsageRow
from lockgate.usage.reports import DAYS_BACK_MAX
from lockgate.usage.types import read_day, write_day
from lockgate.web.authorization import operation
from lockgate.web.limits import Limiter
from lockgate.web.parameters import allow_only, integer, json_body, page_limit, text
from lockgate.web.problems import ParameterError
from lockgate.web.responses import json_response

IDLE_DAYS: Final = 30  # if not said: what runs once a month is used
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
# The last key of a page; no part of it holds a tilde.
_KEY: Final = re.compile(
    rf"{NAME_PATTERN}~{NAME_PATTERN}~{ENVIRONMENT_PATTERN}~{_DAY.pattern}~[a-z0-9][a-z0-9:._-]{{0,63}}", re.ASCII
)


def usage_blueprint(services: Services, limiter: Limiter) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("usage", __name__)
    counts = services.usage

    @blueprint.post("/v1/usage")
    @operation("usage.record")
    def record() -> Response:
        allow_only()
        rows = counts.read_report(json_body())
        limiter.admit_usage(len(rows))
        counts.take(rows)
        return json_response("v1/api/usage_answer", {"schema_version": 1, "rows": len(rows)})

    @blueprint.get("/v1/usage")
    @operation("usage.read")
    def index() -> Response:
        allow_only("model", "environment", "since", "limit", "cursor")
        wanted = UsageFilter(
            model=text("model", NAME),
            environment=text("environment", ENVIRONMENT),
            since_day=_day("since", text("since", _DAY)),
            after=_key(text("cursor", _KEY)),
            limit=page_limit(),
        )
        page = counts.list(wanted)
        document = {
            "items": [_row_document(row) for row in page],
            "next_cursor": _cursor(page[-1].key) if len(page) == wanted.limit else "",
        }
        return json_response("v1/api/usage_list", document)

    @blueprint.get("/v1/usage/idle")
    @operation("usage.read")
    def idle() -> Response:
        allow_only("days", "limit", "cursor")
        days = integer("days", IDLE_DAYS, at_most=DAYS_BACK_MAX)
        if days == 0:
            raise ParameterError(f"want days from 1 to {DAYS_BACK_MAX}")
        limit, cursor = page_limit(), text("cursor", _NUMBER)
        page = counts.idle(days=days, after=int(cursor) if cursor else 0, limit=limit)
        document = {
            "days": days,
            "items": [_idle_document(version) for version in page],
            "next_cursor": str(page[-1].number) if len(page) == limit else "",
        }
        return json_response("v1/api/idle_list", document)

    return blueprint


def _row_document(row: UsageRow) -> dict[str, Any]:
    return {
        **row.key._asdict(),
        "day": write_day(row.key.day),
        "loads": row.loads,
        "predictions": row.predictions,
        "last_used_at": _time(row.last),
    }


def _idle_document(version: IdleVersion) -> dict[str, Any]:
    return {
        "model": version.model,
        "version": version.version,
        "environment": version.environment,
        "live_since": format_timestamp(version.live_since),
        "last_used_at": _time(version.last_used),
        "reason": version.reason,
    }


def _time(when: EpochNs | None) -> str | None:
    return None if when is None else format_timestamp(when)


def _cursor(key: UsageKey) -> str:
    return "~".join((key.model, key.version, key.environment, write_day(key.day), key.source))


def _key(cursor: str) -> UsageKey | None:
    if not cursor:
        return None
    model, version, environment, day, source = cursor.split("~")
    return UsageKey(model=model, version=version, environment=environment, day=_day("cursor", day), source=source)


def _day(parameter: str, day: str) -> int:
    try:
        return read_day(day) if day else 0
    except ValueError as exc:
        raise ParameterError(f"want {parameter} with a real day as YYYY-MM-DD") from exc
