"""One list over all registries: what somebody registered first, then what only the registry knows; and its failures."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lockgate.policy.wasm import WasmEngine
from lockgate.registry.errors import RegistryUnknownError
from lockgate.registry.reading import ModelReader
from lockgate.schemas import check_schema
from support.gate_server import Call, Reply, serve_gate
from support.gates import GateUnderTest, make_gate
from support.kubeflow_hub import FakeHub, running_hub, text_value
from support.misbehaving_server import answer, misbehaving_server
from support.models import MODELS, problem, register_model


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    """A hub with nothing in it."""
    with running_hub() as running:
        yield running


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine, hub: FakeHub) -> GateUnderTest:
    """A gate with that hub among its registries."""
    return gate_with(tmp_path, engine, hub.url)


def gate_with(folder: Path, engine: WasmEngine, url: str, *, timeout_s: int = 1) -> GateUnderTest:
    """Make a gate that asks a hub at a URL."""
    table = {"name": "hub", "type": "kubeflow-hub", "url": url, "timeout_s": timeout_s}
    return make_gate(folder, engine, registries=[table])


def read_all(gate: GateUnderTest, query: str) -> list[dict[str, Any]]:
    """Return every model of a list, page by page."""
    items: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = gate.call("GET", f"{MODELS}?{query}" + (f"&cursor={cursor}" if cursor else ""), "aude").json
        check_schema("v1/api/model_list", page)
        items += page["items"]
        cursor = page["next_cursor"]
        if not cursor:
            return items


def test_a_registry_shows_what_nobody_registered(gate: GateUnderTest, hub: FakeHub) -> None:
    """Behind what is registered, without doubles, each under the id that it has in both cases."""
    for name in ("churn model", "fraud", "scoring/v2", "zebra"):
        hub.add("models", name=name, description=f"About {name}.", customProperties={"team": text_value("crm")})
    register_model(gate, "our-churn", registry="hub", registry_model="churn model")
    register_model(gate, "elsewhere")
    items = read_all(gate, "registry=hub&limit=2")

    assert [(item["id"], item["registered"], item["name"]) for item in items] == [
        ("hub:churn model", True, "our-churn"),
        ("hub:fraud", False, ""),
        ("hub:scoring/v2", False, ""),
        ("hub:zebra", False, ""),
    ]
    assert (items[1]["purpose"], items[1]["tags"]) == ("About fraud.", [{"name": "team", "value": "crm"}])
    assert (items[1]["row_version"], items[1]["created_at"], items[1]["pointers"]) == (0, None, [])


@pytest.mark.parametrize("query", ["", "registry=hub&owner=payments-ml", "registry=hub&retired=false", "tier=high"])
def test_nobody_is_asked_without_need(gate: GateUnderTest, hub: FakeHub, query: str) -> None:
    """A list that names no registry, or filters by what only registered models have, asks none."""
    hub.add("models", name="fraud")
    register_model(gate, "our-churn", registry="hub", registry_model="churn")

    assert [item["name"] for item in read_all(gate, query)] == ["our-churn"]
    assert hub.calls == []


def test_pointers_of_a_model_that_its_registry_lost(gate: GateUnderTest) -> None:
    """Registered here and gone there: said by name, and the model is still shown without its pointers."""
    register_model(gate, "our-churn", registry="hub", registry_model="churn")

    assert problem(gate.call("GET", f"{MODELS}/our-churn?pointers=true", "aude")) == (502, "registry.answer")
    assert gate.call("GET", f"{MODELS}/our-churn", "aude").status_code == 200


def test_a_registry_that_the_settings_dropped(gate: GateUnderTest) -> None:
    """Its models stay, with its name; only asking it is refused, by name."""
    register_model(gate, "our-churn", registry="hub", registry_model="churn")
    models = ModelReader(gate.database, {})
    found = models.find("our-churn")
    with pytest.raises(RegistryUnknownError) as caught:
        models.pointers(found)

    assert found.registry == "hub"
    assert caught.value.code == "registry.unknown"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (500, b"", (503, "registry.unavailable")),
        (200, b"<html>", (502, "registry.answer")),
        (200, b'{"items": 7}', (502, "registry.answer")),
        (401, b"{}", (502, "registry.refused")),
    ],
    ids=["broken", "no JSON", "nonsense", "refused"],
)
def test_a_registry_in_trouble_is_named(
    tmp_path: Path, engine: WasmEngine, status: int, body: bytes, expected: tuple[int, str]
) -> None:
    """What is registered is still listed; only the page that asks the registry fails, by name."""
    with misbehaving_server(answer(status, body)) as server:
        gate = gate_with(tmp_path, engine, f"http://127.0.0.1:{server.address.port}")
        register_model(gate, "our-churn", registry="hub", registry_model="churn")
        first = gate.call("GET", f"{MODELS}?registry=hub", "aude")

        assert [item["name"] for item in first.json["items"]] == ["our-churn"]
        second = gate.call("GET", f"{MODELS}?registry=hub&cursor={first.json['next_cursor']}", "aude")
        assert problem(second) == expected


@pytest.mark.parametrize("cursor", ["r:nonsense", "r:%25", "r:1"])
def test_a_cursor_that_no_registry_gave(gate: GateUnderTest, cursor: str) -> None:
    """It is refused by name, not answered with a page."""
    response = gate.call("GET", f"{MODELS}?registry=hub&cursor={cursor}", "aude")

    assert problem(response) == (502, "registry.answer")


def test_a_slow_registry_takes_two_threads_and_no_more(tmp_path: Path, engine: WasmEngine) -> None:
    """Whichever way it is asked: the third is told at once, and whoever asks nothing of it is not concerned."""
    asked, go_on = threading.Semaphore(0), threading.Event()

    def wait(_call: Call) -> Reply:
        asked.release()
        go_on.wait(20)
        return Reply(status=500)

    with serve_gate(wait) as server:
        gate = gate_with(tmp_path, engine, server.url, timeout_s=20)
        register_model(gate, "our-churn", registry="hub", registry_model="churn")
        register_model(gate, "ours")
        ways = {
            "pointers": ("GET", f"{MODELS}/our-churn?pointers=true", "aude"),
            "list": ("GET", f"{MODELS}?registry=hub&cursor=r:", "adam"),
            "lineage": ("POST", f"{MODELS}/our-churn/versions/1/lineage", "rita"),
        }
        with ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(gate.call, *ways[way]) for way in ("pointers", "list")]
            try:
                assert all(asked.acquire(timeout=10) for _ in waiting)
                refused = [gate.call(*way) for way in ways.values()]
                others = [gate.call("GET", path, "aude") for path in (f"{MODELS}/ours?pointers=true", MODELS)]
            finally:
                go_on.set()
        ended = [problem(one.result()) for one in waiting]

    assert [problem(one) for one in refused] == [(503, "registry.busy")] * 3
    assert "Retry-After" in refused[0].headers
    assert [one.status_code for one in others] == [200, 200]
    assert ended == [(503, "registry.unavailable")] * 2
    assert problem(gate.call(*ways["lineage"])) == (503, "registry.unavailable")
