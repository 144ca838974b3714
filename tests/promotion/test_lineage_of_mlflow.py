"""The whole way with a real MLflow: what training logs is what the policy asks about."""

from pathlib import Path
from typing import Any

from lockgate.policy.wasm import WasmEngine
from support.feast_server import FakeFeast, running_feast
from support.gates import GateUnderTest, compile_config, make_gate, policy_config
from support.lineages import COMMIT
from support.mlflow_server import MLflowServer
from support.models import register_model
from support.promotions import verdict_of

MODEL = "lineage-of-mlflow"
TAGS = {"feast.feature_service": "fraud_v7", "feast.project": "fraud", "mlflow.source.git.commit": COMMIT}


def asking_gate(folder: Path, server: MLflowServer, feast: FakeFeast) -> GateUnderTest:
    """Make a gate before an MLflow and a feature store that asks for everything of lineage."""
    config = policy_config()
    config["matrix"]["roles"].append("privacy")
    wanted = {
        "id": "production",
        "kinds": ["promote"],
        "environments": ["production"],
        "tiers": ["high"],
        "checks": ["dataset_digests", "code_commit", "feature_views_approved"],
    }
    config["lineage"]["requirements"] = [wanted]
    engine = WasmEngine(compile_config(folder / "config", config))
    registries = [{"name": "mlflow", "type": "mlflow", "url": server.url}]
    gate = make_gate(folder, engine, registries=registries, feature_stores=[feast.store()])
    register_model(gate, registry="mlflow", registry_model=MODEL)
    return gate


def asked(gate: GateUnderTest, version: str) -> tuple[str, set[str]]:
    """Collect a version's lineage, ask for production; return the verdict and the codes."""
    collected = gate.call("POST", f"/v1/models/fraud-detector/versions/{version}/lineage", "ravi")
    assert collected.status_code == 200, collected.text
    answer: dict[str, Any] = gate.request(version=version)
    return verdict_of(answer), {violation["code"] for violation in answer["decision"]["violations"]}


def test_what_training_logs_decides(mlflow_server: MLflowServer, tmp_path: Path) -> None:
    """Without a dataset it is denied, with one it waits for people; personal data waits for privacy as well."""
    without = mlflow_server.train(MODEL, tags=TAGS, dataset="")
    whole = mlflow_server.train(MODEL, tags=TAGS, dataset="transactions")
    with running_feast() as feast:
        gate = asking_gate(tmp_path, mlflow_server, feast)
        first = asked(gate, without.version)
        second = asked(gate, whole.version)
        feast.apply_view("card_activity", tags={"pii": "true"})
        third = asked(gate, whole.version)
        feast.apply_view("card_activity", owner="")
        fourth = asked(gate, whole.version)
        answer = gate.call("GET", f"/v1/models/fraud-detector/versions/{whole.version}/lineage", "aude").json

    assert first == ("deny", {"lineage.dataset_digests", "approvals.missing"})
    assert second == ("pending", {"approvals.missing"})
    assert third == ("pending", {"approvals.missing", "lineage.pii_approved"})
    assert fourth == ("deny", {"approvals.missing", "lineage.feature_views_approved"})
    kinds = {node["kind"] for node in answer["graph"]["nodes"]}
    assert kinds == {"version", "run", "code", "dataset", "feature_service", "feature_view", "decision"}
    (dataset,) = [node for node in answer["graph"]["nodes"] if node["kind"] == "dataset"]
    assert dataset["label"] == "transactions"
    assert {"name": "context", "value": "training"} in dataset["facts"]
    assert any(fact["name"] == "digest" for fact in dataset["facts"])
