"""Spans by OpenTelemetry's SDK, exported over OTLP/HTTP. Needs the extra; only `lockgate.web.tracing` imports this."""

import atexit
import contextlib
import threading
import uuid
from collections.abc import Iterator
from contextvars import ContextVar
from importlib.metadata import version
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from lockgate.web.tracing import Attributes, Origin

FLUSH_S_MAX: Final = 2.0  # for the spans that are left when a process ends; a worker's grace is ten seconds


class OpenTelemetry:
    """Tells OpenTelemetry of requests and their steps."""

    def __init__(self, processor: SpanProcessor, instance: str) -> None:
        """Take what gets the finished spans.

        Args:
            processor: It must not hold up whoever ends a span.
            instance: This process's name.
        """
        about = {"service.name": "lockgate", "service.version": version("lockgate"), "service.instance.id": instance}
        # OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
        resource = Resource.create(about).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, id_generator=_TraceIDs(), shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("lockgate")

    @contextlib.contextmanager
    def request(self, origin: Origin) -> Iterator["RequestSpan"]:
        """Go around a request: the caller's span is the parent, or a trace of the request's own id begins."""
        parent = origin.parent
        context = Context()
        if parent is not None:
            # The caller's `tracestate` is left out: it may hold anything.
            span_context = SpanContext(
                trace_id=int(parent.trace, 16),
                span_id=int(parent.span, 16),
                is_remote=True,
                trace_flags=TraceFlags(int(parent.sampled)),
            )
            context = set_span_in_context(NonRecordingSpan(span_context), context)
        _begun.set(uuid.UUID(origin.trace).int)
        with self._tracer.start_as_current_span(
            "request",
            context,
            kind=SpanKind.SERVER,
            attributes={"lockgate.trace": origin.trace},
            record_exception=False,  # an error's message may hold anything
            set_status_on_exception=False,
        ) as span:
            yield RequestSpan(span)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Go around a step; it failed if an error leaves it."""
        with self._tracer.start_as_current_span(name, record_exception=False, set_status_on_exception=False) as span:
            try:
                yield
            except Exception as exc:
                span.set_attribute("error.type", getattr(exc, "code", type(exc).__name__))
                span.set_status(StatusCode.ERROR)
                raise

    def close(self) -> None:
        """Export what is left, if somebody takes it soon."""
        # The SDK would wait for half a minute for a collector that is down.
        thread = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
        thread.start()
        thread.join(FLUSH_S_MAX)


class RequestSpan:
    """The span of one request."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def name(self, name: str, attributes: Attributes, *, failed: bool) -> None:
        """Say what is known only in the end."""
        self._span.update_name(name)
        self._span.set_attributes(attributes)
        if failed:
            self._span.set_status(StatusCode.ERROR)


def open_otlp(instance: str) -> OpenTelemetry:
    """Begin to export, as OpenTelemetry's own variables say, from a thread with a bounded queue."""
    tracing = OpenTelemetry(BatchSpanProcessor(OTLPSpanExporter()), instance)
    atexit.register(tracing.close)
    return tracing


_begun: ContextVar[int] = ContextVar("lockgate_trace")


class _TraceIDs(RandomIdGenerator):
    """Begins a trace with the id that the request's records carry."""

    def generate_trace_id(self) -> int:
        """Return the request's id; spans begin nowhere else."""
        return _begun.get()

    def is_trace_id_random(self) -> bool:
        """Return no: the caller may have named it."""
        return False
