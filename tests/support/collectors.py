"""An OpenTelemetry collector on loopback, for spans over OTLP/HTTP."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(slots=True)
class Collector:
    """A running collector and what it was sent."""

    url: str = ""
    received: list[bytes] = field(default_factory=list)

    def span_names(self) -> list[str]:
        """Return the names of all spans."""
        return [
            span.name
            for body in self.received
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in of_resource.scope_spans
            for span in scope.spans
        ]

    def resource(self) -> dict[str, str]:
        """Return what the newest message says of its sender."""
        message = ExportTraceServiceRequest.FromString(self.received[-1])
        return {each.key: each.value.string_value for each in message.resource_spans[0].resource.attributes}


@contextlib.contextmanager
def running_collector() -> Iterator[Collector]:
    """Run one on a free port until the block ends."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
