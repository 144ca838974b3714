"""A stand-in for Prometheus: answers instant queries over HTTP as a test says. It knows no PromQL.

The form of its answers is that of the Prometheus HTTP API ("Instant queries"); no Prometheus takes part.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import orjson

Query = Mapping[str, str]


@dataclass(slots=True)
class FakePrometheus:
    """The running server.

    Attributes:
        answer: Given a query's parameters, says status and body.
        queries: What was asked.
        authorizations: The header of this name of each request.
    """

    url: str
    answer: Callable[[Query], tuple[int, bytes]]
    queries: list[dict[str, str]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)


def sample(value: object, **labels: Any) -> dict[str, Any]:
    """Write a sample; by default of one model's version in production."""
    of = {"model": "fraud-detector", "version": "1.4.0", "environment": "production"}
    return {"metric": {**of, **labels}, "value": [1_795_000_000.123, value]}


def vector(*samples: object) -> tuple[int, bytes]:
    """Answer a query with an instant vector."""
    return 200, orjson.dumps({"status": "success", "data": {"resultType": "vector", "result": list(samples)}})


@contextlib.contextmanager
def fake_prometheus(*samples: object) -> Iterator[FakePrometheus]:
    """Run one on a free loopback port; unless told otherwise it answers every query with these samples."""
    fake = FakePrometheus("", lambda _query: vector(*samples))

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            pass

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode(), strict_parsing=True)
            query = {name: values[0] for name, values in form.items()}
            fake.queries.append(query)
            fake.authorizations.append(self.headers.get("Authorization"))
            status, body = fake.answer(query) if self.path == "/api/v1/query" else (404, b"404 page not found")
            with contextlib.suppress(ConnectionError):  # of a client that had enough
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
