"""Reading what `/metrics` says, with the metrics library's own parser."""

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from support.gates import GateUnderTest


def samples(text: str) -> Iterator[Sample]:
    """Return every sample."""
    for family in text_string_to_metric_families(text):
        yield from family.samples


def value(text: str, name: str, **labels: str) -> float | None:
    """Return one sample's value; None if there is no such one."""
    found = [sample.value for sample in samples(text) if sample.name == name and sample.labels == labels]
    return found[0] if found else None


def labels_by_name(text: str) -> Mapping[str, set[str]]:
    """Return the label names that each metric is seen with."""
    names: dict[str, set[str]] = {}
    for sample in samples(text):
        names.setdefault(sample.name, set()).update(sample.labels)
    return names


def scrape(gate: GateUnderTest) -> Any:
    """Ask for the metrics as somebody who may."""
    return gate.call("GET", "/metrics", "otto")


def seed(gate: GateUnderTest) -> None:
    """Let everything happen once that is counted."""
    answer = gate.request()
    gate.clock.advance(600_000_000_000)
    assert gate.approve("leo", "ml-lead", answer).status_code == 201
    assert gate.approve("maya", "risk", answer).status_code == 201
    gate.request(to="nowhere")
    gate.request()
    dry = gate.call("POST", "/v1/decisions:dry-run", "rita", gate.request_document(evidence=[{"bundle": "e30="}]))
    assert dry.status_code == 200
    gate.call("GET", "/v1/promotions", None)
