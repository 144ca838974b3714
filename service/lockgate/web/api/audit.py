"""The audit log, read-only: records, checkpoint, key, proofs, and the log in tiles (C2SP tlog-tiles).

Whoever reads records is recorded before the answer leaves. Tiles, checkpoints, keys and proofs are what a machine that
verifies asks for again and again; they are not recorded.
"""

import re
from typing import Final

from flask import Blueprint, Response, g, request

from lockgate.audit import Actor, AuditLog, RecordUnknownError
from lockgate.audit.formats.tiles import parse_tile_path
from lockgate.audit.keeping.recorded_reading import RecordedReader
from lockgate.audit.reading.reader import RECORDS_PAGE_MAX
from lockgate.audit.types import RecordFilter
from lockgate.bootstrap import Services
from lockgate.config import MAIN_LOG
from lockgate.gate_logs import LogNotConfiguredError, Logs
from lockgate.names import ENVIRONMENT
from lockgate.web.authentication import caller
from lockgate.web.authorization import operation
from lockgate.web.documents import receipt_document
from lockgate.web.parameters import allow_only, instant, integer, page_limit, text
from lockgate.web.problems import ParameterError
from lockgate.web.responses import json_response

_KIND: Final = re.compile(r"(?=.{3,64}\Z)[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", re.ASCII)
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{1,255}")
_YES: Final = re.compile(r"yes", re.ASCII)
_ORDER: Final = re.compile(r"asc|desc", re.ASCII)
# A tile's bytes never change, so a cache may keep them for the longest time it knows; but only the caller's own cache:
# they were given to a caller who may read the log.
_FOR_EVER: Final = "private, max-age=31536000, immutable"


def audit_blueprint(services: Services) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("audit", __name__)

    def log() -> AuditLog:
        return _named(services.logs, _condition("log", ENVIRONMENT) or MAIN_LOG)

    def reader() -> RecordedReader:
        principal = caller()
        return RecordedReader(log(), Actor(type=principal.type, id=principal.subject, roles=principal.roles), g.trace)

    @blueprint.get("/v1/audit/records")
    @operation("audit.search")
    def records() -> Response:
        allow_only("log", "after", "limit", "order", "kind", "actor", "subject", "since", "until")
        limit = page_limit(at_most=RECORDS_PAGE_MAX)
        after = integer("after") if "after" in request.args else None
        newest_first = text("order", _ORDER) == "desc"
        page = reader().find(_wanted(), after=after, limit=limit, newest_first=newest_first)
        document = {
            "items": [{"seq": record.seq, "record": record.body.decode()} for record in page],
            "next_cursor": str(page[-1].seq) if len(page) == limit else "",
        }
        return json_response("v1/api/audit_records", document)

    @blueprint.get("/v1/audit/records/<int(max=999999999999999999):seq>")
    @operation("audit.read")
    def record(seq: int) -> Response:
        allow_only("log", "witnessed")
        witnessed = _condition("witnessed", _YES) == "yes"
        return json_response("v1/api/receipt", receipt_document(reader().receipt(seq, witnessed=witnessed)))

    @blueprint.get("/v1/audit/checkpoint")
    @operation("audit.checkpoint")
    def checkpoint() -> Response:
        allow_only("log")
        return Response(log().checkpoint(), mimetype="text/plain")

    @blueprint.get("/v1/audit/key")
    @operation("audit.key")
    def key() -> Response:
        allow_only("log")
        return Response(f"{log().key}\n", mimetype="text/plain")

    @blueprint.get("/v1/audit/proofs/inclusion")
    @operation("audit.prove")
    def inclusion() -> Response:
        allow_only("log", "seq", "size")
        hashes = log().inclusion_proof(integer("seq"), integer("size"))
        return json_response("v1/api/audit_proof", {"hashes": [item.hex() for item in hashes]})

    @blueprint.get("/v1/audit/proofs/consistency")
    @operation("audit.prove")
    def consistency() -> Response:
        allow_only("log", "old", "new")
        hashes = log().consistency_proof(integer("old"), integer("new"))
        return json_response("v1/api/audit_proof", {"hashes": [item.hex() for item in hashes]})

    # A prefix of its own for each log (C2SP tlog-tiles). An environment may be named 'tile': hence 'logs' between.
    @blueprint.get("/audit/checkpoint", defaults={"environment": MAIN_LOG})
    @blueprint.get("/audit/logs/<environment>/checkpoint")
    @operation("audit.checkpoint")
    def published_checkpoint(environment: str) -> Response:
        allow_only()
        return Response(_named(services.logs, environment).published_checkpoint(), mimetype="text/plain")

    @blueprint.get("/audit/tile/<path:tile>", merge_slashes=False, defaults={"environment": MAIN_LOG})
    @blueprint.get("/audit/logs/<environment>/tile/<path:tile>", merge_slashes=False)
    @operation("audit.tile")
    def tile(tile: str, environment: str) -> Response:
        allow_only()
        wanted = parse_tile_path(tile)
        if wanted is None:
            raise RecordUnknownError("want <level>/<N> or entries/<N>, with .p/<W> for a tile that is not whole")
        data = _named(services.logs, environment).tile(wanted)
        response = Response(data, mimetype="application/octet-stream")
        response.headers["Cache-Control"] = _FOR_EVER
        return response

    return blueprint


def _named(logs: Logs, name: str) -> AuditLog:
    try:
        return logs.named(name)
    except LogNotConfiguredError as exc:
        raise RecordUnknownError(str(exc)) from exc


def _wanted() -> RecordFilter:
    return RecordFilter(
        kind=_condition("kind", _KIND),
        actor=_condition("actor", _NAME),
        subject=_condition("subject", _NAME),
        since=instant("since"),
        until=instant("until"),
    )


def _condition(name: str, form: re.Pattern[str]) -> str | None:
    if request.args.get(name) == "":  # it would match everything
        raise ParameterError(f"want {name} not to be empty")
    return text(name, form) or None
