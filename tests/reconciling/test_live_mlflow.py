"""Changes made behind the gate's back in a running MLflow, each found, and closed by a person."""

from pathlib import Path

import pytest

from lockgate.digests import sha256_hex
from lockgate.policy.wasm import WasmEngine
from support.mlflow_server import MLflowServer
from support.reconcilers import RealModel, WatchedGate, real_model, register, watched_gate

FILES = (("MLmodel", b"flavors: {}\n"), ("data/model.bin", b"weights"))


def _live(watched: WatchedGate, model: RealModel) -> str:
    """Bring a first version to production, with its pointer."""
    register(watched, model)
    version, digest = model.add_version(*FILES)
    watched.deploy("fraud-detector", version, digest)
    model.set_alias(version)
    return version


@pytest.fixture
def alias(tmp_path: Path) -> str:
    """An alias of this test's own: all share one MLflow, in which the gate's alias means something everywhere."""
    return f"live-{sha256_hex(str(tmp_path).encode())[:12]}"


@pytest.fixture
def watched(
    tmp_path: Path, engine: WasmEngine, database_url: str, mlflow_server: MLflowServer, alias: str
) -> WatchedGate:
    """A gate over MLflow that only raises alarms."""
    return watched_gate(tmp_path, engine, mlflow_server.url, database_url=database_url, alias=alias)


def test_an_alias_that_was_moved_is_found_once_and_closed_by_a_person(
    watched: WatchedGate, mlflow_server: MLflowServer, alias: str
) -> None:
    """Moved behind our back: one finding and one record, until a person closes it; moved back, it stays closed."""
    model = real_model(mlflow_server, f"watched alias Ä 例 {alias}", alias)
    version = _live(watched, model)
    assert watched.looking.look("theirs")
    assert watched.kinds() == []
    other, _ = model.add_version(("MLmodel", b"other"))
    model.set_alias(other, alias.upper())

    assert watched.looking.look("theirs")
    assert watched.looking.look("theirs")
    (finding,) = watched.findings()
    assert finding.difference.kind == "alias_moved_out_of_band"
    assert (finding.difference.wanted_version, finding.difference.found_version) == (version, other)
    assert finding.response == "alert"
    assert finding.standing
    model.set_alias(version, alias.upper())
    model.set_alias(version)
    assert watched.looking.look("theirs")
    assert not watched.findings()[0].standing
    watched.close()
    assert watched.looking.look("theirs")
    assert watched.kinds() == []
    changes = [record["body"]["change"] for record in watched.gate.records("gate.finding")]
    assert changes == ["opened", "ended", "closed"]


def test_a_deleted_version_and_a_vanished_alias_are_two_kinds(
    watched: WatchedGate, mlflow_server: MLflowServer, alias: str
) -> None:
    """MLflow takes aliases away with their version: one finding. An alias that is taken away alone is another."""
    model = real_model(mlflow_server, f"watched version {alias}", alias)
    version = _live(watched, model)
    model.delete_alias()

    assert watched.looking.look("theirs")
    assert watched.kinds() == ["alias_vanished"]
    watched.close()
    model.call("DELETE", "model-versions/delete", version=version)
    assert watched.looking.look("theirs")
    assert watched.kinds() == ["version_deleted"]


def test_a_stage_is_found(watched: WatchedGate, mlflow_server: MLflowServer, alias: str) -> None:
    """Whoever loads a model by its stage goes around the gate; MLflow tells nobody of one."""
    model = real_model(mlflow_server, f"watched stage {alias}", alias)
    version = _live(watched, model)
    model.call("POST", "model-versions/transition-stage", version=version, stage="Production")

    assert watched.looking.look("theirs")
    (finding,) = watched.findings()
    difference = finding.difference
    assert (difference.kind, difference.stage, difference.environment) == ("stage_set", "Production", "production")
    assert difference.found_version == version


def test_an_unregistered_model_in_production_is_found(
    watched: WatchedGate, mlflow_server: MLflowServer, alias: str
) -> None:
    """The gate's alias on a model that the gate does not know is a finding, under a name made for it."""
    model = real_model(mlflow_server, f"nobody's model {alias}", alias)
    version, _ = model.add_version(("MLmodel", b"unknown"))
    model.set_alias(version)

    assert watched.looking.look("theirs")
    (finding,) = watched.findings()
    assert finding.difference.kind == "unknown_in_production"
    assert finding.difference.registry_model == f"nobody's model {alias}"
    assert finding.difference.model.startswith("unregistered.theirs.")


def test_overwritten_bytes_are_found(watched: WatchedGate, mlflow_server: MLflowServer, alias: str) -> None:
    """A file that was written over changes the digest, which nothing else shows; put back, it stands no more."""
    model = real_model(mlflow_server, f"watched bytes {alias}", alias)
    version = _live(watched, model)
    watched.hashing.run()
    assert watched.kinds() == []
    model.overwrite(version, "data/model.bin", b"poison!")

    assert watched.looking.look("theirs")
    assert watched.kinds() == []
    watched.hashing.run()
    (finding,) = watched.findings()
    assert finding.difference.kind == "artifact_drifted"
    assert finding.difference.found_digest != finding.difference.wanted_digest
    model.overwrite(version, "data/model.bin", b"weights")
    watched.hashing.run()
    assert not watched.findings()[0].standing


def test_a_pointer_is_moved_back_once(
    tmp_path: Path, engine: WasmEngine, database_url: str, mlflow_server: MLflowServer, alias: str
) -> None:
    """Answered with `restore`, the pointer stands right again, and the record says with which permit it was moved."""
    rule = {"tier": "high", "kinds": ["alias_moved_out_of_band"], "response": "restore"}
    watched = watched_gate(
        tmp_path, engine, mlflow_server.url, database_url=database_url, alias=alias, responses=[rule]
    )
    model = real_model(mlflow_server, f"watched restore {alias}", alias)
    version = _live(watched, model)
    other, _ = model.add_version(("MLmodel", b"other"))
    model.set_alias(other)

    assert watched.looking.look("theirs")
    assert model.aliases() == {alias: version}
    bodies = [record["body"] for record in watched.gate.records("gate.finding")]
    assert [(body["change"], body["outcome"]) for body in bodies] == [("opened", ""), ("answered", "restored")]
    assert bodies[0]["permit_id"] == bodies[1]["permit_id"] != ""
    assert watched.kinds() == ["alias_moved_out_of_band"]
    model.set_alias(other)
    assert watched.looking.look("theirs")
    assert model.aliases() == {alias: other}
