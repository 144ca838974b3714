"""A gate over a registry, and the jobs that watch it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lockgate.background.reconciling import reconciling_jobs
from lockgate.canonical_json import canonicalize
from lockgate.digests import Digest
from lockgate.evidence.model_manifests import root_digest
from lockgate.policy.wasm import WasmEngine
from lockgate.reconciling.hashing import HashingJob
from lockgate.reconciling.reconciler import ReconcileJob
from lockgate.reconciling.types import Finding, FindingFilter
from support.gates import GateUnderTest, make_gate
from support.mlflow_server import MLflowServer
from support.models import register_model, register_version
from support.rollouts import DEPLOYER, Deployer, digest_of

MODEL = "fraud-detector"


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedGate:
    """A gate, and what `lockgate deliver` runs for it."""

    gate: GateUnderTest
    looking: ReconcileJob
    hashing: HashingJob

    def findings(self, state: str = "open") -> tuple[Finding, ...]:
        """Return the findings, oldest first."""
        return self.gate.services.findings.list(FindingFilter(state=state, limit=100))[::-1]

    def kinds(self) -> list[str]:
        """Return the kinds of the open findings, sorted."""
        return sorted(finding.difference.kind.value for finding in self.findings())

    def close(self, who: str = "lena") -> None:
        """Close every open finding."""
        for finding in self.findings():
            document = {"schema_version": 1, "reason": "looked at"}
            response = self.gate.call("POST", f"/v1/findings/{finding.id}:close", who, document)
            assert response.status_code == 200, response.text

    def deploy(self, model: str, version: str, digest: Digest) -> str:
        """Let a version in and see it run, whatever its pointer; return the promotion's id."""
        bundle = self.gate.bundle(digest=digest)
        document = self.gate.request_document(bundle, model=model, version=version, digest=str(digest))
        answer = self.gate.call("POST", "/v1/promotions", "rita", document).json
        deployer = Deployer(gate=self.gate)
        deployer.approve(answer)
        promotion_id: str = answer["promotion"]["id"]
        deployer.execute(promotion_id)
        self.observe(model, digest)
        return promotion_id

    def observe(self, model: str, digest: Digest) -> None:
        """See a digest run in production."""
        body = canonicalize({"schema_version": 1, "digest": str(digest)})
        self.gate.services.lifecycle.observations.observe(DEPLOYER, model, "production", body, trace=None)


def watch(gate: GateUnderTest) -> WatchedGate:
    """Make the jobs of a gate."""
    services = gate.services
    looking, hashing = reconciling_jobs(
        registries=services.registries,
        registry_settings=services.registry_settings,
        findings=services.findings,
        database=gate.database,
        logs=services.logs,
        key=services.lifecycle.permit_key,
        clock=gate.clock,
    )
    return WatchedGate(gate=gate, looking=looking, hashing=hashing)


def watched_gate(  # noqa: PLR0913 - what tests may want otherwise
    folder: Path,
    engine: WasmEngine,
    url: str,
    *,
    database_url: str,
    alias: str = "champion",
    responses: Sequence[Mapping[str, Any]] = (),
    **more: Any,
) -> WatchedGate:
    """Make a gate over an MLflow at a URL; tests that share one have an alias each."""
    aliases = [{"environment": "production", "alias": alias}]
    table = {"name": "theirs", "type": "mlflow", "url": url, "aliases": aliases, "responses": list(responses), **more}
    return watch(make_gate(folder, engine, database_url=database_url, registries=[table]))


def watched_builtin(folder: Path, engine: WasmEngine, database_url: str, *responses: Mapping[str, Any]) -> WatchedGate:
    """Make a gate over the built-in registry, with three versions of a model there."""
    aliases = [{"environment": "production", "alias": "champion"}]
    table = {"name": "builtin", "type": "builtin", "aliases": aliases, "responses": list(responses)}
    watched = watch(make_gate(folder, engine, database_url=database_url, registries=[table]))
    register_model(watched.gate)
    for version in ("1", "2", "3"):
        register_version(watched.gate, version=version, digest=str(digest_of(version)))
    return watched


def move_pointer(watched: WatchedGate, version: str | None, expected: str | None) -> None:
    """Move the pointer of the built-in registry's model, past the gate."""
    registry = watched.gate.services.registries["builtin"]
    registry.move_pointer(MODEL, "champion", version, expected=expected, permit="")


def pointer_stands(watched: WatchedGate, name: str = MODEL) -> str | None:
    """Return where the pointer of the built-in registry's model stands."""
    model = watched.gate.services.registries["builtin"].find_model(name)
    return None if model is None else next((each.value for each in model.pointers if each.name == "champion"), None)


def bring_live(watched: WatchedGate) -> Deployer:
    """Bring the first version to production, with its pointer."""
    deployer = Deployer(gate=watched.gate)
    deployer.deploy("1")
    move_pointer(watched, "1", None)
    return deployer


@dataclass(frozen=True, slots=True, kw_only=True)
class RealModel:
    """A model in a running MLflow, with versions that have files; made past the gate, as anybody can."""

    server: MLflowServer
    name: str
    alias: str  # the gate's

    def call(self, method: str, route: str, **document: Any) -> Any:
        """Call MLflow about it."""
        return self.server.call(method, route, {"name": self.name, **document})

    def add_version(self, *files: tuple[str, bytes]) -> tuple[str, Digest]:
        """Add a version with files; return its number and its digest as model signatures have it."""
        logged = self.server.call("POST", "logged-models", {"experiment_id": "0", "name": "model"})["model"]["info"]
        folder = logged["artifact_uri"].removeprefix("mlflow-artifacts:/")
        for path, content in files:
            self.server.put_artifact(f"{folder}/{path}", content)
        source = {"source": f"models:/{logged['model_id']}", "model_id": logged["model_id"]}
        made = self.call("POST", "model-versions/create", **source)
        ordered = sorted(files, key=lambda file: file[0].split("/"))
        root = root_digest(hashlib.sha256(content).hexdigest() for _, content in ordered)
        return str(made["model_version"]["version"]), Digest(algorithm="sha256", hex=root)

    def overwrite(self, version: str, path: str, content: bytes) -> None:
        """Write over a file of a version."""
        uri = self.call("GET", "model-versions/get-download-uri", version=version)["artifact_uri"]
        self.server.put_artifact(f"{uri.removeprefix('mlflow-artifacts:/')}/{path}", content)

    def set_alias(self, version: str, alias: str | None = None) -> None:
        """Move an alias, the gate's or another."""
        self.call("POST", "registered-models/alias", alias=alias or self.alias, version=version)

    def delete_alias(self) -> None:
        """Take the gate's alias away."""
        self.call("DELETE", "registered-models/alias", alias=self.alias)

    def aliases(self) -> dict[str, str]:
        """Return where the aliases stand."""
        model = self.call("GET", "registered-models/get")["registered_model"]
        return {each["alias"]: each["version"] for each in model.get("aliases", ())}


def real_model(server: MLflowServer, name: str, alias: str) -> RealModel:
    """Make a model in a running MLflow."""
    model = RealModel(server=server, name=name, alias=alias)
    model.call("POST", "registered-models/create")
    return model


def register(watched: WatchedGate, model: RealModel, name: str = "fraud-detector") -> None:
    """Tell the gate of a model."""
    register_model(watched.gate, name, registry="theirs", registry_model=model.name)
