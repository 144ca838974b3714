"""Lineage over HTTP: collected, shown as a graph, told as OpenLineage events."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from lockgate.lineage.openlineage import FACET_SCHEMA
from lockgate.policy.wasm import WasmEngine
from lockgate.schemas import check_schema
from lockgate.storage.tables import lineage as lineage_table
from lockgate.storage.tables import model as model_table
from support.gates import GateUnderTest, make_gate
from support.lineages import COMMIT
from support.models import problem, register_model, register_version

PATH = "/v1/models/fraud-detector/versions/1.4.0/lineage"
RUN = {
    "id": "run-1",
    "code_commit": COMMIT,
    "datasets": [{"name": "transactions", "digest": "5fa1c7d2", "source": "s3://data", "context": "training"}],
}


@pytest.fixture(params=["sqlite", "postgresql"])
def gate(tmp_path: Path, engine: WasmEngine, request: pytest.FixtureRequest) -> GateUnderTest:
    """A gate with a registered version, on each database."""
    url = request.getfixturevalue("postgresql_url") if request.param == "postgresql" else None
    made = make_gate(tmp_path, engine, database_url=url)
    register_model(made)
    register_version(made, run=RUN)
    return made


def collected(gate: GateUnderTest) -> dict[str, Any]:
    """Collect the version's lineage and return the answer."""
    response = gate.call("POST", PATH, "ravi")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json
    return answer


def test_collected_lineage_is_shown(gate: GateUnderTest) -> None:
    """What collecting answers is what is shown from then on, to anybody who may read."""
    asked = gate.call("GET", PATH, "aude")
    answer = collected(gate)
    shown = gate.call("GET", PATH, "aude").json

    assert problem(asked) == (404, "registry.lineage_unknown")
    assert shown == answer
    assert (answer["score"], answer["problems"]) == (100, [])
    assert {node["kind"] for node in answer["graph"]["nodes"]} == {"version", "run", "code", "dataset"}
    assert gate.records("registry.lineage")[0]["actor"]["id"] == "ravi"


def test_versions_without_lineage_are_found(gate: GateUnderTest) -> None:
    """What the background job collects is what nobody collected yet."""
    register_version(gate, version="2.0.0")
    collected(gate)
    rounds = [gate.services.lineage.collect_missing(10), gate.services.lineage.collect_missing(10)]

    assert rounds == [2, 0]
    assert gate.call("GET", "/v1/models/fraud-detector/versions/2.0.0/lineage", "aude").json["score"] == 0


def test_the_lineage_of_another_version_is_not_shown(gate: GateUnderTest) -> None:
    """A recorded snapshot whose row was copied is none of the version that the copy names."""
    register_version(gate, version="2.0.0")
    collected(gate)
    with gate.database.begin() as connection:
        row = dict(connection.execute(select(lineage_table)).mappings().one())
        del row["number"]
        connection.execute(insert(lineage_table).values({**row, "version": "2.0.0"}))

    assert problem(gate.call("GET", PATH.replace("1.4.0", "2.0.0"), "aude")) == (404, "registry.lineage_unknown")
    assert gate.services.lineage.newest("fraud-detector", "2.0.0") is None


def test_what_a_model_is_registered_as_is_not_taken_from_its_row(gate: GateUnderTest) -> None:
    """Whoever changes the row gets no snapshot of another model recorded as this one's."""
    with gate.database.begin() as connection:
        connection.execute(update(model_table).values(registry_model="another"))

    assert problem(gate.call("POST", PATH, "ravi")) == (503, "audit.log_inconsistent")
    assert gate.services.lineage.collect_missing(10) == 1
    assert gate.records("registry.lineage") == []


def test_promotions_are_part_of_the_graph(gate: GateUnderTest) -> None:
    """Each promotion of the version is a node behind it, with its state and its record."""
    collected(gate)
    asked = gate.request()
    graph = gate.call("GET", PATH, "aude").json["graph"]
    (node,) = [node for node in graph["nodes"] if node["kind"] == "decision"]

    assert node["id"] == f"decision:{asked['promotion']['id']}"
    assert {"name": "state", "value": "pending"} in node["facts"]
    assert {"name": "record", "value": asked["decision"]["id"]} in node["facts"]
    assert [edge["kind"] for edge in graph["edges"] if edge["to"] == node["id"]] == ["decided"]


def test_promotions_are_told_as_events(gate: GateUnderTest) -> None:
    """One that goes on has begun; one that was denied has failed; one that was withdrawn was aborted."""
    collected(gate)
    pending = gate.request()
    denied = gate.request(**{"from": "staging", "to": "dev"})
    gate.clock.advance(10**9)
    gate.call("POST", f"/v1/promotions/{pending['promotion']['id']}/withdraw", "rita", {"schema_version": 1})
    going_on = gate.request()
    events = gate.call("GET", f"{PATH}?format=openlineage", "aude").json["events"]

    told = [(event["run"]["runId"], event["eventType"]) for event in events]
    assert sorted(told) == sorted(
        [
            (pending["promotion"]["id"], "START"),
            (pending["promotion"]["id"], "ABORT"),
            (denied["promotion"]["id"], "START"),
            (denied["promotion"]["id"], "FAIL"),
            (going_on["promotion"]["id"], "START"),
        ]
    )
    for event in events:
        facet = event["run"]["facets"]["lockgate_promotion"]
        check_schema("v1/openlineage/lockgate_promotion", facet)
        assert facet["_schemaURL"] == FACET_SCHEMA
        assert [dataset["name"] for dataset in event["inputs"]] == ["fraud-detector/1.4.0", "transactions"]
        assert event["job"]["facets"]["ownership"]["owners"] == [{"name": "team:payments-ml"}]
    times = {event["eventType"]: event["eventTime"] for event in events}
    assert times["ABORT"] > times["START"]


@pytest.mark.parametrize(
    ("method", "path", "want"),
    [
        ("GET", "/v1/models/other/versions/1/lineage", (404, "registry.model_unknown")),
        ("POST", "/v1/models/other/versions/1/lineage", (404, "registry.model_unknown")),
        ("POST", "/v1/models/fraud-detector/versions/9/lineage", (404, "registry.version_unknown")),
        ("GET", f"{PATH}?format=dot", (400, "http.parameter")),
        ("GET", f"{PATH}?formats=graph", (400, "http.parameter")),
        ("POST", f"{PATH}?format=graph", (400, "http.parameter")),
    ],
)
def test_what_cannot_be_answered_has_a_code(gate: GateUnderTest, method: str, path: str, want: tuple[int, str]) -> None:
    """What is not there, and what is not understood, is told by name."""
    assert problem(gate.call(method, path, "ravi")) == want


def test_a_registry_that_is_down_is_said_to_be(tmp_path: Path, engine: WasmEngine) -> None:
    """Collecting asks the registry now, and says that it does not answer."""
    gate = make_gate(tmp_path, engine, registries=[{"name": "mlflow", "type": "mlflow", "url": "http://127.0.0.1:9"}])
    register_model(gate, registry="mlflow")

    assert problem(gate.call("POST", "/v1/models/fraud-detector/versions/2/lineage", "ravi")) == (
        503,
        "registry.unavailable",
    )
    assert gate.records("registry.lineage") == []
