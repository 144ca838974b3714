"""Each adapter does what the port promises: the built-in registry, a running MLflow, and a fake of Kubeflow Hub."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from sqlalchemy import Engine

from lockgate.clock import EpochNs
from lockgate.digests import parse_digest
from lockgate.registry import BUILTIN, NamedValue, RegistryPort, Run, store
from lockgate.registry.builtin import BuiltinRegistry
from lockgate.registry.kubeflow_hub import KubeflowHubRegistry
from lockgate.registry.metadata import Metadata, Model, ModelVersion
from lockgate.registry.mlflow import MLflowRegistry
from lockgate.storage import open_engine, upgrade_schema, write_transaction
from registry.contract import (
    CODE_COMMIT,
    DATASETS,
    METRICS,
    PARAMS,
    RegistryContract,
    RemoteRegistryContract,
)
from support.databases import PostgreSQLServer
from support.kubeflow_hub import FakeHub, running_hub, text_value
from support.mlflow_server import MLflowServer
from support.registries import registry_settings


def _named(values: Mapping[str, str]) -> tuple[NamedValue, ...]:
    return tuple(NamedValue(name=name, value=value) for name, value in sorted(values.items()))


class BuiltinSubject:
    """The built-in registry over a database."""

    keeps_files = False
    states_digests = True

    def __init__(self, database: Engine) -> None:
        self.registry: RegistryPort = BuiltinRegistry(database)
        self._database = database
        self._numbers = itertools.count(1)

    def add_model(self, name: str, *, description: str = "", tags: Mapping[str, str] = {}) -> None:
        """Register a model."""
        now = EpochNs(1_760_000_000_000_000_000)
        metadata = Metadata(owner="risk", tier="high", purpose=description, tags=_named(tags), card=None, bom=None)
        model = Model(
            name=f"model-{next(self._numbers)}",
            registry=BUILTIN,
            registry_model=name,
            metadata=metadata,
            row_version=1,
            created=now,
            changed=now,
            retired=None,
        )
        with write_transaction(self._database) as connection:
            if store.read_model_of(connection, BUILTIN, name) is None:
                store.insert_model(connection, model)

    def add_version(self, model: str, *, run: bool = False, tags: Mapping[str, str] = {}) -> str:
        """Register a version."""
        number = next(self._numbers)
        made = Run(
            id="run-1",
            code_commit=CODE_COMMIT,
            source_name="train.py",
            user="ada",
            params=PARAMS,
            metrics=METRICS,
            tags=(),
            datasets=DATASETS,
        )
        with write_transaction(self._database) as connection:
            found = store.read_model_of(connection, BUILTIN, model)
            assert found is not None
            version = ModelVersion(
                model=found.name,
                version=str(number),
                digest=parse_digest("sha256:" + "a" * 64),
                source="",
                run=made if run else None,
                tags=_named(tags),
                row_version=1,
                created=EpochNs(1_760_000_000_000_000_000 + number),
                retired=None,
            )
            store.insert_version(connection, version)
        return version.version

    def add_file(self, model: str, version: str, path: str, content: bytes) -> None:
        """Put a file among a version's."""
        raise NotImplementedError


class MLflowSubject:
    """The MLflow that the tests share."""

    keeps_files = True
    states_digests = False

    def __init__(self, server: MLflowServer) -> None:
        self.url = server.url
        self.registry: RegistryPort = self.through(server.url)
        self._server = server

    def through(self, url: str) -> RegistryPort:
        """Return an adapter behind another URL."""
        return MLflowRegistry(registry_settings(url))

    def add_model(self, name: str, *, description: str = "", tags: Mapping[str, str] = {}) -> None:
        """Register a model."""
        document = {"name": name, "description": description, "tags": _pairs(tags)}
        answer = self._server.try_call("POST", "registered-models/create", document)
        assert answer.status == 200 or b"RESOURCE_ALREADY_EXISTS" in answer.body

    def add_version(self, model: str, *, run: bool = False, tags: Mapping[str, str] = {}) -> str:
        """Register a version."""
        logged: dict[str, Any] = {"experiment_id": "0", "name": "model"}
        if run:
            logged["source_run_id"] = self._add_run()
        made = self._server.call("POST", "logged-models", logged)["model"]["info"]["model_id"]
        document = {"name": model, "source": f"models:/{made}", "model_id": made, "tags": _pairs(tags)}
        if run:
            document["run_id"] = logged["source_run_id"]
        return str(self._server.call("POST", "model-versions/create", document)["model_version"]["version"])

    def add_file(self, model: str, version: str, path: str, content: bytes) -> None:
        """Put a file among a version's."""
        query = {"name": model, "version": version}
        uri = self._server.call("GET", "model-versions/get-download-uri", query)["artifact_uri"]
        self._server.put_artifact(f"{uri.removeprefix('mlflow-artifacts:/')}/{path}", content)

    def _add_run(self) -> str:
        tags = {"mlflow.source.git.commit": CODE_COMMIT, "mlflow.source.name": "train.py", "mlflow.user": "ada"}
        made = self._server.call("POST", "runs/create", {"experiment_id": "0", "start_time": 1, "tags": _pairs(tags)})
        run = str(made["run"]["info"]["run_id"])
        params = [{"key": item.name, "value": item.value} for item in PARAMS]
        metrics = [{"key": item.name, "value": float(item.value), "timestamp": 1, "step": 0} for item in METRICS]
        self._server.call("POST", "runs/log-batch", {"run_id": run, "params": params, "metrics": metrics})
        datasets = [
            {
                "dataset": {"name": item.name, "digest": item.digest, "source_type": "s3", "source": item.source},
                "tags": _pairs({"mlflow.data.context": item.context}),
            }
            for item in DATASETS
        ]
        self._server.call("POST", "runs/log-inputs", {"run_id": run, "datasets": datasets})
        return run


class HubSubject:
    """The fake Hub."""

    keeps_files = False
    states_digests = False

    def __init__(self, hub: FakeHub) -> None:
        self.url = hub.url
        self.registry: RegistryPort = self.through(hub.url)
        self._hub = hub

    def through(self, url: str) -> RegistryPort:
        """Return an adapter behind another URL."""
        return KubeflowHubRegistry(registry_settings(url))

    def add_model(self, name: str, *, description: str = "", tags: Mapping[str, str] = {}) -> None:
        """Register a model."""
        self._hub.add("models", name=name, description=description, customProperties=_properties(tags), state="LIVE")

    def add_version(self, model: str, *, run: bool = False, tags: Mapping[str, str] = {}) -> str:
        """Register a version."""
        parent = next(item["id"] for item in self._hub.models if item["name"] == model)
        name = str(len(self._hub.versions) + 1)
        made = self._hub.add("versions", name=name, registeredModelId=parent, customProperties=_properties(tags))
        artifact = {"artifactType": "model-artifact", "uri": "s3://models/1", "_parent": made["id"]}
        if run:
            artifact["experimentRunId"] = self._add_run()
        self._hub.add("artifacts", name="model", **artifact)
        return name

    def add_file(self, model: str, version: str, path: str, content: bytes) -> None:
        """Put a file among a version's."""
        raise NotImplementedError

    def _add_run(self) -> str:
        tags = {"mlflow.source.git.commit": CODE_COMMIT, "mlflow.source.name": "train.py"}
        run = self._hub.add("runs", owner="ada", experimentId="1", customProperties=_properties(tags))
        for item in PARAMS:
            self._hub.add("artifacts", artifactType="parameter", name=item.name, value=item.value, _parent=run["id"])
        for item in METRICS:
            value = float(item.value)
            self._hub.add("artifacts", artifactType="metric", name=item.name, value=value, _parent=run["id"])
        for dataset in DATASETS:
            self._hub.add(
                "artifacts",
                artifactType="dataset-artifact",
                name=dataset.name,
                digest=dataset.digest,
                source=dataset.source,
                customProperties=_properties({"mlflow.data.context": dataset.context}),
                _parent=run["id"],
            )
        return str(run["id"])


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _properties(tags: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {key: text_value(value) for key, value in tags.items()}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def builtin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuiltinSubject]:
    """The built-in registry in one database for all tests, as others' registries are shared by them."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('builtin') / 'lockgate.db'}"
    else:
        server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
        url = server.new_database()
    database = open_engine(url)
    upgrade_schema(database)
    yield BuiltinSubject(database)
    database.dispose()


class TestBuiltin(RegistryContract):
    """Our own database, on SQLite and PostgreSQL."""

    @pytest.fixture
    def subject(self, builtin: BuiltinSubject) -> BuiltinSubject:
        """The registry."""
        return builtin


class TestMLflow(RemoteRegistryContract):
    """A running MLflow of the pinned version."""

    @pytest.fixture
    def subject(self, mlflow_server: MLflowServer) -> MLflowSubject:
        """The registry."""
        return MLflowSubject(mlflow_server)


class TestKubeflowHub(RemoteRegistryContract):
    """A fake, made from the published document."""

    @pytest.fixture
    def subject(self) -> Iterator[HubSubject]:
        """The registry."""
        with running_hub() as hub:
            yield HubSubject(hub)
