"""One id through answer, log line, record and spans; spans that name nobody; collectors that are down."""

import sys
import time
from dataclasses import replace

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from lockgate.errors import ConfigError
from lockgate.web.app import create_app
from lockgate.web.otlp import FLUSH_S_MAX, OpenTelemetry, open_otlp
from lockgate.web.tracing import NoTracing, check_tracing, open_tracing, parse_traceparent, trace_origin
from support.collectors import running_collector
from support.gates import GateUnderTest

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE_UUID = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"
SPAN = "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
REQUEST_ID = "6f1f1c0a-0000-4000-8000-000000000001"


# --- the id ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_id", "traceparent", "trace"),
    [
        ("", TRACEPARENT, TRACE_UUID),
        ("not a UUID", TRACEPARENT, TRACE_UUID),
        (REQUEST_ID, TRACEPARENT, REQUEST_ID),
        (REQUEST_ID, "", REQUEST_ID),
        ("", f"cc-{TRACE}-{SPAN}-01-what-comes-later", TRACE_UUID),
        ("00000000-0000-0000-0000-000000000000", TRACEPARENT, TRACE_UUID),
    ],
)
def test_a_caller_s_id_is_taken(request_id: str, traceparent: str, trace: str) -> None:
    """A UUID in X-Request-Id, else the trace id of traceparent, in the form of a UUID."""
    assert trace_origin(request_id=request_id, traceparent=traceparent).trace == trace


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f" {TRACEPARENT}",
        f"{TRACEPARENT}\n",
        f"{TRACEPARENT},{TRACEPARENT}",
    ],
)
def test_what_is_no_traceparent_is_left(traceparent: str) -> None:
    """An id is drawn then: one that cannot be told from another's would tie strangers together."""
    assert parse_traceparent(traceparent) is None
    assert trace_origin(request_id="", traceparent=traceparent).trace != TRACE_UUID


@given(request_id=st.text(max_size=60), traceparent=st.text(max_size=80))
@settings(deadline=None, max_examples=100)
def test_every_id_has_one_form(request_id: str, traceparent: str) -> None:
    """Whatever callers send, records and log lines carry a UUID in lower case."""
    trace = trace_origin(request_id=request_id, traceparent=traceparent).trace

    assert len(trace) == 36
    assert set(trace) <= set("0123456789abcdef-")


def test_the_trace_is_in_the_answer_the_log_and_the_record(gate: GateUnderTest) -> None:
    """Without any collector, and without the extra, the caller's trace id leads to all that came of it."""
    with structlog.testing.capture_logs() as lines:
        response = gate.call("POST", "/v1/promotions", "rita", gate.request_document(), traceparent=TRACEPARENT)
    problem = gate.call("GET", "/nowhere", "rita", traceparent=TRACEPARENT)

    assert response.headers["X-Request-Id"] == TRACE_UUID
    assert [line["trace"] for line in lines if line["event"] == "http_request"] == [TRACE_UUID]
    assert [record["trace"] for record in gate.records("gate.decision")] == [TRACE_UUID]
    assert problem.json["instance"] == f"urn:uuid:{TRACE_UUID}"


# --- spans -------------------------------------------------------------------------------------------------------


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """What gets the spans."""
    return InMemorySpanExporter()


@pytest.fixture
def traced(gate: GateUnderTest, exporter: InMemorySpanExporter) -> GateUnderTest:
    """A gate that is traced."""
    tracing = OpenTelemetry(SimpleSpanProcessor(exporter), "test")
    return replace(gate, client=create_app(gate.services, tracing=tracing).test_client())


def test_a_request_is_a_span_with_its_steps(traced: GateUnderTest, exporter: InMemorySpanExporter) -> None:
    """The request under its route, its steps below it, all in the trace that the record names."""
    traced.request()
    *steps, request = exporter.get_finished_spans()
    (record,) = traced.records("gate.decision")

    assert request.name == "POST /v1/promotions"
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/promotions",
        "http.response.status_code": 202,
        "lockgate.trace": record["trace"],
        "lockgate.verdict": "pending",
    }
    assert request.status.status_code is StatusCode.UNSET
    assert [step.name for step in steps if step.name != "policy.authorize"] == [
        "evidence.verify",
        "policy.evaluate",
        "audit.append",
    ]
    assert {step.parent.span_id for step in steps if step.parent} == {span_id(request)}
    assert {f"{trace_id(span):032x}" for span in (*steps, request)} == {record["trace"].replace("-", "")}
    assert request.resource.attributes["service.name"] == "lockgate"
    assert request.resource.attributes["service.instance.id"] == "test"


def span_id(span: ReadableSpan) -> int:
    """Return a span's id."""
    assert span.context is not None
    return int(span.context.span_id)


def trace_id(span: ReadableSpan) -> int:
    """Return a span's trace."""
    assert span.context is not None
    return int(span.context.trace_id)


def test_a_trace_of_the_caller_s_goes_on(traced: GateUnderTest, exporter: InMemorySpanExporter) -> None:
    """The caller's span is the parent; what else they say of it is left unread."""
    headers = {"traceparent": TRACEPARENT, "tracestate": "vendor=canary", "baggage": "user=canary"}
    traced.call("GET", "/v1/policy", "rita", **headers)
    request = exporter.get_finished_spans()[-1]

    assert f"{trace_id(request):032x}" == TRACE
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == SPAN
    assert "canary" not in request.to_json()


def test_with_both_ids_the_span_names_the_record_s(traced: GateUnderTest, exporter: InMemorySpanExporter) -> None:
    """The trace is the collector's business, the record's id the caller's; the span has both."""
    traced.call("GET", "/v1/policy", "rita", traceparent=TRACEPARENT, X_Request_Id=REQUEST_ID)
    request = exporter.get_finished_spans()[-1]

    assert f"{trace_id(request):032x}" == TRACE
    assert (request.attributes or {})["lockgate.trace"] == REQUEST_ID


def test_a_caller_that_samples_nothing_is_not_traced(traced: GateUnderTest, exporter: InMemorySpanExporter) -> None:
    """Its answer carries its id all the same."""
    response = traced.call("GET", "/v1/policy", "rita", traceparent=f"00-{TRACE}-{SPAN}-00")

    assert response.headers["X-Request-Id"] == TRACE_UUID
    assert exporter.get_finished_spans() == ()


def test_a_failure_is_a_failed_span_without_its_text(
    traced: GateUnderTest, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A span says which code ended it; an exception's text stays out."""
    monkeypatch.setattr(traced.services.gate._decider._evaluator, "_timeout_s", 0.0)
    traced.call("POST", "/v1/promotions", "rita", traced.request_document())
    spans = {span.name: span for span in exporter.get_finished_spans()}
    step, request = spans["policy.evaluate"], spans["POST /v1/promotions"]

    assert step.status.status_code is request.status.status_code is StatusCode.ERROR
    assert (step.attributes or {})["error.type"] == (request.attributes or {})["error.type"] == "policy.unavailable"
    assert not step.events
    assert not request.events


def test_what_ends_a_request_leaves_no_text(exporter: InMemorySpanExporter) -> None:
    """Also where an error runs through a request's span, its text stays out."""
    tracing = OpenTelemetry(SimpleSpanProcessor(exporter), "test")
    with pytest.raises(RuntimeError), tracing.request(trace_origin(request_id="", traceparent="")):
        raise RuntimeError("canary")
    (span,) = exporter.get_finished_spans()

    assert "canary" not in span.to_json()


def test_a_refused_request_is_no_failed_span(traced: GateUnderTest, exporter: InMemorySpanExporter) -> None:
    """A problem of the caller's is an answer; the span says which, and nothing that they wrote."""
    traced.call("GET", "/canary", None)
    request = exporter.get_finished_spans()[-1]

    assert request.name == "other unmatched"
    assert request.status.status_code is StatusCode.UNSET
    assert "canary" not in request.to_json()


# --- the collector -----------------------------------------------------------------------------------------------


def test_spans_reach_a_collector(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over OTLP/HTTP, where OpenTelemetry's own variables say; what is left when a process ends goes too."""
    with running_collector() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "gate-of-the-tests")
        tracing = open_otlp("test")
        traced = replace(gate, client=create_app(gate.services, tracing=tracing).test_client())
        traced.request()
        tracing.close()

    assert "POST /v1/promotions" in collector.span_names()
    assert collector.resource()["service.name"] == "gate-of-the-tests"
    assert collector.resource()["service.instance.id"] == "test"


def test_a_collector_that_is_down_slows_nothing(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are answered as ever, and the process ends in time."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    tracing = open_otlp("test")
    traced = replace(gate, client=create_app(gate.services, tracing=tracing).test_client())
    traced.call("GET", "/v1/policy", "rita")
    started = time.monotonic()
    statuses = {traced.call("GET", "/v1/policy", "rita").status_code for _ in range(50)}
    took_s = time.monotonic() - started
    tracing.close()

    assert statuses == {200}
    assert took_s < 5
    assert time.monotonic() - started - took_s < FLUSH_S_MAX + 1


def test_tracing_needs_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for and not installed: the start is refused by name. Not asked for: nothing is needed."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "opentelemetry"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(ConfigError, match=r"LOCKGATE_TRACES: .*pip install 'lockgate\[otel\]'"):
        check_tracing("otlp")
    assert isinstance(open_tracing("off", "test"), NoTracing)
