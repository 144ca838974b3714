"""Traces: one id that ties a request's log line, records and spans together, and spans for whoever collects them.

The id comes from the caller's `traceparent` (W3C Trace Context) or is drawn. Spans need the extra `lockgate[otel]`;
OpenTelemetry's own variables (`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, ...) say where they go. They hold
routes, statuses, verdicts and codes: nothing that a caller wrote, and no person.
"""

import contextlib
import re
import uuid
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final, Literal, Protocol, TypeAlias

from lockgate.errors import ConfigError

_TRACE: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
# Version ff is forbidden; one above 00 may have more fields behind these four.
_TRACEPARENT: Final = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?",
    re.ASCII,
)
_ZERO_TRACE: Final = "0" * 32
_ZERO_SPAN: Final = "0" * 16

Attributes: TypeAlias = Mapping[str, str | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The caller's span."""

    trace: str  # 32 hex digits
    span: str  # 16 hex digits
    sampled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a request belongs to."""

    trace: str  # a UUID: in records, in log lines, in X-Request-Id of the answer
    parent: Parent | None


def parse_traceparent(text: str) -> Parent | None:
    """Read a `traceparent` header; None if it is not one.

    Source: W3C Trace Context, section 3.2.
    """
    match = _TRACEPARENT.fullmatch(text)
    if match is None or (match["version"] == "00" and match["more"]):
        return None
    if match["trace"] == _ZERO_TRACE or match["span"] == _ZERO_SPAN:
        return None
    return Parent(trace=match["trace"], span=match["span"], sampled=bool(int(match["flags"], 16) & 1))


def trace_origin(*, request_id: str, traceparent: str) -> Origin:
    """Tell what a request belongs to, from its headers.

    A caller's id is taken only in one form, so that no log line or record carries text of theirs: a UUID in
    `X-Request-Id`, else the trace id of `traceparent`, its 32 digits written as a UUID; else one is drawn.
    """
    parent = parse_traceparent(traceparent)
    if _TRACE.fullmatch(request_id) and request_id.replace("-", "") != _ZERO_TRACE:
        return Origin(trace=request_id, parent=parent)
    return Origin(trace=str(uuid.UUID(hex=parent.trace) if parent else uuid.uuid4()), parent=parent)


class OpenSpan(Protocol):
    """The span of one request, while that is served."""

    def name(self, name: str, attributes: Attributes, *, failed: bool) -> None:
        """Say what is known only in the end."""
        ...


class Tracing(Protocol):
    """Who is told of spans."""

    def request(self, origin: Origin) -> AbstractContextManager[OpenSpan]:
        """Return what goes around one request."""
        ...

    def step(self, name: str) -> AbstractContextManager[None]:
        """Return what goes around one step of the request that is being served in this thread."""
        ...


class NoTracing:
    """Nobody collects spans."""

    def request(self, origin: Origin) -> AbstractContextManager["NoTracing"]:  # noqa: ARG002 - the port's
        """Go around a request without a trace of it."""
        return contextlib.nullcontext(self)

    def step(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 - the port's
        """Go around a step."""
        return contextlib.nullcontext()

    def name(self, name: str, attributes: Attributes, *, failed: bool) -> None:
        """Say nothing."""


def open_tracing(traces: Literal["off", "otlp"], instance: str) -> Tracing:
    """Begin to trace as the setting says, in the process that serves: a thread that exports does not cross a fork.

    Raises:
        ConfigError: The setting is `otlp`, and the extra is not installed.
    """
    check_tracing(traces)
    if traces == "off":
        return NoTracing()
    from lockgate.web.otlp import open_otlp  # noqa: PLC0415 - it imports the extra's packages

    return open_otlp(instance)


def check_tracing(traces: Literal["off", "otlp"]) -> None:
    """Make sure that what the setting asks for can be had; for the start, before any process is made.

    Raises:
        ConfigError: The setting is `otlp`, and the extra is not installed.
    """
    if traces == "otlp" and not _otlp_installed():
        raise ConfigError("LOCKGATE_TRACES: 'otlp' needs the extra 'otel': pip install 'lockgate[otel]'")


def _otlp_installed() -> bool:
    try:
        return all(find_spec(name) for name in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"))
    except ModuleNotFoundError:  # not even the package above it
        return False
