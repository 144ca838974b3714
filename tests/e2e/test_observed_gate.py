"""A served gate from outside: what its workers count together, what it writes, and what it sends to a collector."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import pytest
import requests

from support.collectors import Collector, running_collector
from support.expositions import value
from support.served_gates import ServedGate, make_served_gate

MALFORMED: Final = (
    b"GET /canary HTTP/1.1\r\nHost: canary\r\nAuthorization: Bearer lgt_canary\x01\r\n\r\n",
    b"GET /canary HTTP/1.1\r\nCanary header: canary\r\n\r\n",
    b"canary\r\n\r\n",
    b"GET /" + b"canary" * 2000 + b" HTTP/1.1\r\n\r\n",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What was seen of a gate from its start to its end."""

    counts: list[float | None]  # how often a worker says that the policy was asked for, scrape by scrape
    while_served: list[Path]  # folders of counters
    afterwards: list[Path]
    written: str
    collector: Collector


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Service:
    """Serve with two workers: twenty questions, six scrapes, four requests that are none."""
    with running_collector() as collector:
        gate = make_served_gate(
            tmp_path_factory.mktemp("gate"),
            LOCKGATE_TRACES="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY="60000",  # nothing is sent before the end
        )
        data = Path(gate.stage.environment["LOCKGATE_DATA_DIR"])
        with gate.serving(workers=2):
            for _ in range(20):
                requests.get(f"{gate.url}/v1/policy", headers=gate.headers("rita"), timeout=10).raise_for_status()
            counts = [count_policy_requests(gate) for _ in range(6)]
            for request in MALFORMED:
                with socket.create_connection(("127.0.0.1", gate.port), timeout=10) as connection:
                    connection.sendall(request)
                    assert connection.recv(4096).startswith(b"HTTP/1.1 4")
            requests.get(f"{gate.url}/canary?canary=canary", headers=gate.headers("rita"), timeout=10)
            while_served = list(data.glob("metrics-*"))
        return Service(
            counts=counts,
            while_served=while_served,
            afterwards=list(data.glob("metrics-*")),
            written=(gate.stage.folder / "gate.log").read_text(),
            collector=collector,
        )


def count_policy_requests(gate: ServedGate) -> float | None:
    """Ask a worker how often the policy was asked for."""
    response = requests.get(f"{gate.url}/metrics", headers=gate.headers("otto"), timeout=10)
    name = "lockgate_http_requests_total"
    return value(response.text, name, method="GET", route="/v1/policy", status="200")


def test_workers_count_together(service: Service) -> None:
    """Whichever worker is asked tells of all."""
    assert service.counts == [20.0] * 6


def test_counters_go_with_their_instance(service: Service) -> None:
    """One folder while it serves, none afterwards."""
    assert len(service.while_served) == 1
    assert service.afterwards == []


def test_the_last_spans_are_sent(service: Service) -> None:
    """A worker that ends gives its collector what is left."""
    assert service.collector.span_names().count("GET /v1/policy") == 20
    assert service.collector.resource()["service.name"] == "lockgate"


def test_every_line_of_a_server_is_ours(service: Service) -> None:
    """Also what is said of requests that are none is one JSON object a line, and repeats nothing of them."""
    lines = [orjson.loads(line) for line in service.written.splitlines()]

    assert {"serving", "http_request"} <= {line["event"] for line in lines}
    assert "canary" not in service.written.lower()
    assert "rita" not in service.written
    assert "127.0.0.1" not in "".join(line for line in service.written.splitlines() if '"serving"' not in line)
