"""What versions were made of, and what became of them."""

import re
from typing import Any, Final

from flask import Blueprint, Response, g

from lockgate.bootstrap import Services
from lockgate.clock import format_timestamp
from lockgate.gate_logs import actor_of
from lockgate.lineage.collecting import Collected
from lockgate.lineage.graph import build_graph
from lockgate.lineage.openlineage import run_events
from lockgate.lineage.snapshots import parse_snapshot
from lockgate.registry.errors import LineageUnknownError
from lockgate.registry.metadata import named_list
from lockgate.web.authentication import caller
from lockgate.web.authorization import operation
from lockgate.web.limits import Limiter
from lockgate.web.parameters import allow_only, text
from lockgate.web.responses import json_response

_LINEAGE: Final = "/v1/models/<name:name>/versions/<name:version>/lineage"
_FORMAT: Final = re.compile(r"graph|openlineage")


def lineage_blueprint(services: Services, limiter: Limiter) -> Blueprint:
    """Make the views."""
    blueprint = Blueprint("lineage", __name__)
    collector, reader = services.lineage, services.lineage_reader

    def answer(model: str, version: str, found: Collected) -> Response:
        return json_response("v1/api/lineage", _document(services, model, version, found))

    @blueprint.get(_LINEAGE)
    @operation("lineage.read")
    def show(name: str, version: str) -> Response:
        allow_only("format")
        model = services.models.find(name)
        if text("format", _FORMAT) == "openlineage":
            runs = reader.runs(name, version, model.metadata.owner)
            events = [event for run, snapshot in runs for event in run_events(run, parse_snapshot(snapshot))]
            return json_response("v1/api/lineage", {"model": name, "version": version, "events": events})
        found = collector.newest(name, version)
        if found is None:
            raise LineageUnknownError("want a version whose lineage was collected; POST here collects it")
        return answer(name, version, found)

    @blueprint.post(_LINEAGE)
    @operation("lineage.collect")
    def collect(name: str, version: str) -> Response:
        allow_only()
        actor = actor_of(caller())
        with limiter.asking_registries():
            collected = collector.collect(actor, name, version, trace=g.trace)
        return answer(name, version, collected)

    return blueprint


def _document(services: Services, model: str, version: str, found: Collected) -> dict[str, Any]:
    lineage = found.lineage
    graph = build_graph(
        lineage,
        services.lineage.find_upstream,
        services.lineage_reader.promotions(model, version),
        services.lineage_reader.deployments(model, version),
    )
    return {
        "model": model,
        "version": version,
        "digest": f"sha256:{found.sha256}",
        "collected_at": format_timestamp(lineage.collected),
        "score": lineage.score,
        "problems": list(lineage.problems),
        "truncated": list(lineage.truncated),
        "params": named_list(lineage.run.params),
        "metrics": named_list(lineage.run.metrics),
        "graph": graph.document(),
    }
