"""Collecting lineage: what is kept and recorded, and what is not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lockgate.audit import Actor, Event
from lockgate.canonical_json import canonicalize
from lockgate.clock import NS_PER_S
from lockgate.digests import sha256_hex
from lockgate.errors import LockgateError
from lockgate.lineage.collecting import LineageCollector
from lockgate.lineage.job import BATCH_MAX, REST_S, LineageJob
from lockgate.lineage.recorded import LINEAGE
from lockgate.lineage.snapshots import lineage_bytes, parse_lineage, record_id
from lockgate.lineage.store import StoredSnapshot, insert_snapshot
from lockgate.policy.wasm import WasmEngine
from lockgate.schemas import check_schema
from lockgate.storage import write_transaction
from support.feast_server import FakeFeast, running_feast
from support.gate_server import Reply, json_reply
from support.gates import ARTIFACT, GateUnderTest, make_gate
from support.lineages import COMMIT, lineage_of
from support.models import register_model, register_version
from support.registry_answers import MLFLOW_ANSWERS, MODEL, canned_registry

ACTOR = Actor(type="user", id="otto", roles=("operator",))
RUN: dict[str, Any] = {
    "id": "run-1",
    "code_commit": COMMIT,
    "datasets": [{"name": "transactions", "digest": "5fa1c7d2", "source": "s3://data", "context": "training"}],
}
FEAST_TAGS = [{"name": "feast.feature_service", "value": "fraud_v7"}, {"name": "feast.project", "value": "fraud"}]


@pytest.fixture
def feast() -> Iterator[FakeFeast]:
    """A feature store with a service of two views."""
    with running_feast() as server:
        yield server


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine, feast: FakeFeast) -> GateUnderTest:
    """A gate with a feature store and one model in the built-in registry."""
    made = make_gate(tmp_path, engine, feature_stores=[feast.store()])
    register_model(made)
    return made


def collector_of(gate: GateUnderTest) -> LineageCollector:
    """Return the gate's own."""
    return gate.services.lineage


def code_of(gate: GateUnderTest, model: str = "fraud-detector", version: str = "1.4.0") -> str:
    """Return the code that collecting fails with."""
    with pytest.raises(LockgateError) as caught:
        collector_of(gate).collect(ACTOR, model, version, trace=None)
    return caught.value.code


def test_what_is_found_is_kept_with_its_record(gate: GateUnderTest) -> None:
    """A snapshot is stored and recorded in one go; the record holds its bytes, and its id is made of their digest."""
    register_version(gate, run=RUN, tags=FEAST_TAGS, source="s3://models/fraud/7")

    collected = collector_of(gate).collect(ACTOR, "fraud-detector", "1.4.0", trace=None)

    (record,) = gate.records("registry.lineage")
    body = gate.services.log.attachment(collected.sha256)
    assert collected.fresh
    assert parse_lineage(body) == collected.lineage
    assert (record["id"], record["actor"]["id"]) == (record_id(collected.sha256), "otto")
    assert record["body"]["snapshot"] == f"sha256:{collected.sha256}"
    check_schema("v1/api/lineage_change", record["body"])
    lineage = collected.lineage
    assert (lineage.registry, lineage.artifact, lineage.source) == ("builtin", str(ARTIFACT), "s3://models/fraud/7")
    assert (lineage.run.id, lineage.run.code_commit, lineage.score) == ("run-1", COMMIT, 100)
    assert lineage.feature_service.resolved_by == "version_tag"
    assert [view.name for view in lineage.feature_views] == ["card_activity", "merchant_risk"]


def test_what_did_not_change_is_not_kept_again(gate: GateUnderTest, feast: FakeFeast) -> None:
    """Collecting again writes nothing until something is another; then there is a second snapshot."""
    register_version(gate, run=RUN, tags=FEAST_TAGS)
    collector = collector_of(gate)
    first = collector.collect(ACTOR, "fraud-detector", "1.4.0", trace=None)
    gate.clock.advance(60 * NS_PER_S)
    again = collector.collect(ACTOR, "fraud-detector", "1.4.0", trace=None)
    feast.apply_view("card_activity", owner="")
    changed = collector.collect(ACTOR, "fraud-detector", "1.4.0", trace=None)

    assert again == replace(first, fresh=False)
    assert changed.fresh
    assert changed.sha256 != first.sha256
    assert len(gate.records("registry.lineage")) == 2
    assert collector.newest("fraud-detector", "1.4.0") == replace(changed, fresh=False)


def test_what_is_missing_is_named(gate: GateUnderTest) -> None:
    """Nobody declared a run: nothing is known, and whether features are read cannot be told either."""
    register_version(gate)

    lineage = collector_of(gate).collect(ACTOR, "fraud-detector", "1.4.0", trace=None).lineage

    assert lineage.problems == ("run.unknown",)
    assert lineage.feature_service.status == "unresolved"
    assert lineage.score == 0


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda feast: feast.services.clear(), "feature_service.unknown"),
        (lambda feast: feast.services["fraud_v7"].update(spec=[]), "feature_store.answer"),
    ],
    ids=["gone", "nonsense"],
)
def test_features_that_cannot_be_had_are_unresolved(
    gate: GateUnderTest, feast: FakeFeast, spoil: Any, problem: str
) -> None:
    """A service that is not there, or is answered with nonsense, leaves the version's features unresolved, by code."""
    register_version(gate, run=RUN, tags=FEAST_TAGS)
    spoil(feast)

    lineage = collector_of(gate).collect(ACTOR, "fraud-detector", "1.4.0", trace=None).lineage

    assert (lineage.feature_service.status, lineage.problems) == ("unresolved", (problem,))
    assert lineage.score == 75


def test_a_feature_store_that_is_down_makes_no_snapshot(gate: GateUnderTest, feast: FakeFeast) -> None:
    """What would be there again in a minute must not take a good snapshot's place."""
    register_version(gate, run=RUN, tags=FEAST_TAGS)
    collector = collector_of(gate)
    good = collector.collect(ACTOR, "fraud-detector", "1.4.0", trace=None)
    down = LineageCollector(
        registries=gate.services.registries,
        feature_stores=[feast.store(url="http://127.0.0.1:9")],
        database=gate.database,
        log=gate.services.log,
        clock=gate.clock,
    )

    with pytest.raises(LockgateError) as caught:
        down.collect(ACTOR, "fraud-detector", "1.4.0", trace=None)

    assert caught.value.code == "registry.unavailable"
    assert collector.newest("fraud-detector", "1.4.0") == replace(good, fresh=False)


def test_what_is_not_there_has_a_code(gate: GateUnderTest) -> None:
    """An unknown model and an unknown version are told apart, and leave nothing behind."""
    assert code_of(gate, model="other") == "registry.model_unknown"
    assert code_of(gate, version="9") == "registry.version_unknown"
    assert gate.records("registry.lineage") == []


def test_a_snapshot_without_its_record_counts_for_nothing(gate: GateUnderTest) -> None:
    """Whoever can write the table cannot write the log: a row that no record names is no snapshot."""
    register_version(gate)
    body = lineage_bytes(lineage_of())
    forged = StoredSnapshot(sha256=sha256_hex(body), body=body)
    with write_transaction(gate.database) as connection:
        insert_snapshot(
            connection, model="fraud-detector", version="1.4.0", snapshot=forged, collected=gate.clock.now_ns()
        )

    assert collector_of(gate).newest("fraud-detector", "1.4.0") is None


def test_a_snapshot_of_a_later_version_of_lockgate_is_collected_anew(gate: GateUnderTest) -> None:
    """What was recorded and cannot be read is as good as none: it is not shown, and does not stop the next one."""
    register_version(gate)
    body = canonicalize({"schema_version": 99})
    change = {"model": "fraud-detector", "version": "1.4.0", "snapshot": f"sha256:{sha256_hex(body)}"}
    first = collector_of(gate).collect(ACTOR, "fraud-detector", "1.4.0", trace=None)
    recorded = gate.records("registry.lineage")[0]["body"]
    event = Event(id=record_id(sha256_hex(body)), kind=LINEAGE, actor=ACTOR, body={**recorded, **change})
    gate.services.log.append(event)
    with write_transaction(gate.database) as connection:
        later = StoredSnapshot(sha256=sha256_hex(body), body=body)
        insert_snapshot(connection, model="fraud-detector", version="1.4.0", snapshot=later, collected=gate.clock.now)
    shown = collector_of(gate).newest("fraud-detector", "1.4.0")
    gate.clock.advance(NS_PER_S)

    assert shown is None
    assert collector_of(gate).collect(ACTOR, "fraud-detector", "1.4.0", trace=None).sha256 != first.sha256


def test_lineage_of_mlflow_is_collected(tmp_path: Path, engine: WasmEngine) -> None:
    """A version of an MLflow is followed to its run, its data, its code."""
    with canned_registry(MLFLOW_ANSWERS) as registry:
        gate = make_gate(tmp_path, engine, registries=[{"name": "mlflow", "type": "mlflow", "url": registry.url}])
        register_model(gate, registry="mlflow", registry_model=MODEL)
        lineage = collector_of(gate).collect(ACTOR, "fraud-detector", "2", trace=None).lineage

    assert (lineage.registry, lineage.registry_model, lineage.artifact) == ("mlflow", MODEL, "")
    assert lineage.run.code_commit == "0c1d2e3f"
    assert [(read.name, read.digest, read.context) for read in lineage.run.datasets] == [
        ("transactions", "d5d8d080", "training")
    ]
    assert lineage.feature_service.status == "none"
    assert (lineage.problems, lineage.score) == ((), 100)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (json_reply({"run": []}), "run.answer"),
        (json_reply({"error_code": "PERMISSION_DENIED", "message": "no"}, status=403), "run.refused"),
    ],
    ids=["nonsense", "refused"],
)
def test_a_run_that_cannot_be_read_is_a_problem_of_the_snapshot(
    tmp_path: Path, engine: WasmEngine, reply: Reply, problem: str
) -> None:
    """The version is there, its run is not understood or not ours to see: the snapshot says which."""
    with canned_registry(MLFLOW_ANSWERS) as registry:
        registry.replies["/api/2.0/mlflow/runs/get"] = reply
        gate = make_gate(tmp_path, engine, registries=[{"name": "mlflow", "type": "mlflow", "url": registry.url}])
        register_model(gate, registry="mlflow", registry_model=MODEL)
        lineage = collector_of(gate).collect(ACTOR, "fraud-detector", "2", trace=None).lineage

    assert (lineage.problems, lineage.feature_service.status) == ((problem,), "unresolved")


def test_a_registry_that_is_down_or_gone_has_a_code(tmp_path: Path, engine: WasmEngine) -> None:
    """A registry that does not answer is worth another try; one that the settings no longer name is not."""
    gate = make_gate(tmp_path, engine, registries=[{"name": "mlflow", "type": "mlflow", "url": "http://127.0.0.1:9"}])
    register_model(gate, registry="mlflow", registry_model=MODEL)
    without = LineageCollector(
        registries={}, feature_stores=(), database=gate.database, log=gate.services.log, clock=gate.clock
    )

    with pytest.raises(LockgateError) as caught:
        without.collect(ACTOR, "fraud-detector", "2", trace=None)

    assert code_of(gate, version="2") == "registry.unavailable"
    assert caught.value.code == "registry.unknown"


def test_the_job_collects_what_is_missing_once(gate: GateUnderTest) -> None:
    """In the background each registered version gets its first snapshot; what cannot be collected holds up no other."""
    register_version(gate, version="1.0.0", tags=FEAST_TAGS[:1])
    register_version(gate, version="1.1.0", run=RUN)
    register_model(gate, "retired")
    register_version(gate, "retired", "1")
    gate.call("POST", "/v1/models/retired/versions/1:retire", "otto", {"schema_version": 1})
    job = LineageJob(collector_of(gate))
    waits = [job.run(), job.run(), job.run()]

    collected = {(record["body"]["model"], record["body"]["version"]) for record in gate.records("registry.lineage")}
    assert collected == {("fraud-detector", "1.0.0"), ("fraud-detector", "1.1.0")}
    assert waits == [0.0, REST_S, REST_S]
    assert {record["actor"]["type"] for record in gate.records("registry.lineage")} == {"system"}
    assert (job.name, BATCH_MAX) == ("lineage", 20)


def test_the_job_passes_over_what_cannot_be_collected(tmp_path: Path, engine: WasmEngine) -> None:
    """Versions whose registry is down wait for the next round; the others do not wait for them."""
    gate = make_gate(tmp_path, engine, registries=[{"name": "mlflow", "type": "mlflow", "url": "http://127.0.0.1:9"}])
    register_model(gate, "theirs", registry="mlflow")
    register_model(gate, "ours")
    register_version(gate, "theirs", "1")
    register_version(gate, "ours", "1")
    collector = collector_of(gate)

    rounds = [collector.collect_missing(1, after) for after in (0, 1, 2)]

    assert rounds == [1, 2, 0]
    assert [record["body"]["model"] for record in gate.records("registry.lineage")] == ["ours"]
