"""What is seen of each request: one log line, a few counters, an id that ties them to records."""

import re
import time
import uuid
from typing import Final

import structlog
from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

_TRACE: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)


class Metrics:
    """The counters of one process; labels are bounded, and name neither a model nor a person."""

    def __init__(self, *, several_processes: bool) -> None:
        self._several_processes = several_processes
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "lockgate_http_requests", "HTTP requests", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "lockgate_http_request_seconds", "Time to answer an HTTP request", ("route",), registry=self.registry
        )
        self.decisions = Counter(
            "lockgate_decisions", "Decisions by kind of transition", ("kind", "verdict"), registry=self.registry
        )
        self.refusals = Counter("lockgate_evidence_refusals", "Evidence refused", ("code",), registry=self.registry)
        self.problems = Counter(
            "lockgate_problems", "Requests answered with a problem", ("code",), registry=self.registry
        )

    def exposition(self) -> Response:
        """Return the counters of all processes of this instance in Prometheus' text form."""
        registry = self.registry
        if self._several_processes:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def register_observation(app: Flask, metrics: Metrics) -> None:
    """Give every request an id, a log line and its counters."""

    def begin() -> None:
        given = request.headers.get("X-Request-Id", "")
        # A caller's id is taken only in one form, so that no log line or record carries text of theirs.
        g.trace = given if _TRACE.fullmatch(given) else str(uuid.uuid4())
        g.started = time.perf_counter()

    def end(response: Response) -> Response:
        seconds = time.perf_counter() - g.started
        route = request.url_rule.rule if request.url_rule else "unmatched"
        metrics.requests.labels(request.method if request.url_rule else "other", route, str(response.status_code)).inc()
        metrics.seconds.labels(route).observe(seconds)
        if "problem_code" in g:
            metrics.problems.labels(g.problem_code).inc()
        response.headers["X-Request-Id"] = g.trace
        response.headers.setdefault("Cache-Control", "no-store")  # a view may say that its answer never changes
        response.headers["X-Content-Type-Options"] = "nosniff"
        principal = g.get("principal")
        structlog.get_logger().info(
            "http_request",
            trace=g.trace,
            method=request.method,
            route=route,
            status=response.status_code,
            duration_ms=round(seconds * 1000, 1),
            principal=principal.subject if principal else None,
            verdict=response.headers.get("Lockgate-Verdict"),
            problem=g.get("problem_code"),
        )
        return response

    app.before_request(begin)
    app.after_request(end)
