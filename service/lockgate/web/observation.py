"""What is seen of each request: one log line, a few counters, a span, an id that ties them to records."""

import contextlib
import time
from collections.abc import Iterator
from typing import Final

import structlog
from flask import Flask, Response, g, request

from lockgate.identity import Principal
from lockgate.observing import Step, observed_by
from lockgate.web.metrics import Metrics
from lockgate.web.tracing import Tracing, trace_origin

SERVER_ERROR: Final = 500


def register_observation(app: Flask, metrics: Metrics, tracing: Tracing) -> None:
    """Give every request an id, a log line, its counters and its span."""
    observer = _Observer(metrics, tracing)

    def begin() -> None:
        origin = trace_origin(
            request_id=request.headers.get("X-Request-Id", ""), traceparent=request.headers.get("traceparent", "")
        )
        g.trace = origin.trace
        g.started = time.perf_counter()
        g.observation = contextlib.ExitStack()
        g.observation.enter_context(metrics.http_in_flight.track_inprogress())
        g.observation.enter_context(observed_by(observer))
        g.span = g.observation.enter_context(tracing.request(origin))

    def end(response: Response) -> Response:
        seconds = time.perf_counter() - g.started
        # A route as it is written here, not the path that was asked for, which may hold anything.
        route = request.url_rule.rule if request.url_rule else "unmatched"
        method = request.method if request.url_rule else "other"
        metrics.http_requests.labels(method, route, str(response.status_code)).inc()
        metrics.http_seconds.labels(route).observe(seconds)
        problem: str | None = g.get("problem_code")
        verdict = response.headers.get("Lockgate-Verdict")
        if problem is not None:
            metrics.problems.labels(problem).inc()
        response.headers["X-Request-Id"] = g.trace
        attributes = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": response.status_code,
            **({"lockgate.verdict": verdict} if verdict else {}),
            **({"error.type": problem} if problem else {}),
        }
        g.span.name(f"{method} {route}", attributes, failed=response.status_code >= SERVER_ERROR)
        structlog.get_logger().info(
            "http_request",
            trace=g.trace,
            method=method,
            route=route,
            status=response.status_code,
            duration_ms=round(seconds * 1000, 1),
            principal=_pseudonym(g.get("principal")),
            verdict=verdict,
            problem=problem,
        )
        return response

    def leave(_error: BaseException | None) -> None:
        if "observation" in g:
            g.observation.close()

    app.before_request(begin)
    app.after_request(end)
    app.teardown_request(leave)


class _Observer:
    """Hears what the rooms say while a request is served."""

    def __init__(self, metrics: Metrics, tracing: Tracing) -> None:
        self._metrics = metrics
        self._tracing = tracing

    @contextlib.contextmanager
    def step(self, name: Step) -> Iterator[None]:
        """Go around one step."""
        started = time.perf_counter()
        try:
            with self._tracing.step(name):
                yield
        finally:
            self._metrics.count_step(name, time.perf_counter() - started)

    def authentication(self, outcome: str) -> None:
        """Hear how a caller's proof of identity ended."""
        self._metrics.authentications.labels(outcome).inc()


def _pseudonym(principal: Principal | None) -> str | None:
    # A user's name is personal data: the audit log says who, to those who may read it, under the same trace.
    if principal is None:
        return None
    return "user" if principal.type == "user" else f"machine:{principal.subject}"
