"""The adapter against a running MLflow, used as people use it: through its ordinary client, and past us."""

import base64
import hashlib
from pathlib import Path
from typing import Final

import pytest

from lockgate.registry import RegistryRefusedError
from lockgate.registry.mlflow import MLflowRegistry
from support.mlflow_server import MLflowServer, TrainedVersion, running_mlflow
from support.registries import registry_settings

_ADMIN: Final = ("admin", "another-long-password")
_SOMEBODY: Final = ("somebody", "a-long-password")

_COPY: Final = """
import json, sys, mlflow
wanted = json.load(sys.stdin)
client = mlflow.MlflowClient()
copied = client.copy_model_version(f"models:/{wanted['model']}/1", wanted["to"])
client.set_registered_model_alias(wanted["to"], "champion", copied.version)
client.set_model_version_tag(wanted["to"], copied.version, "lockgate.decision", "allow")
"""


@pytest.fixture(scope="module")
def trained(mlflow_server: MLflowServer) -> TrainedVersion:
    """A model that the ordinary client trained, with a data set."""
    return mlflow_server.train("trained-by-client", tags={"mlflow.source.git.commit": "0c1d2e3f"})


@pytest.fixture
def registry(mlflow_server: MLflowServer) -> MLflowRegistry:
    """The adapter."""
    return MLflowRegistry(registry_settings(mlflow_server.url))


def test_a_trained_version_leads_to_its_run_and_data(registry: MLflowRegistry, trained: TrainedVersion) -> None:
    """What the client logged is found from the version alone."""
    version = registry.find_version(trained.model, trained.version)
    run = registry.find_run(trained.model, trained.version)

    assert version is not None
    assert (version.source, version.run) == (f"models:/{trained.logged_model}", trained.run)
    assert run is not None
    assert (run.id, run.code_commit) == (trained.run, "0c1d2e3f")
    assert [(item.name, item.value) for item in run.params] == [("solver", "lstsq")]
    assert [item.name for item in run.metrics] == ["mse", "r2"]
    (dataset,) = run.datasets
    assert (dataset.name, dataset.context) == ("transactions", "training")
    assert len(dataset.digest) == 8


def test_files_that_were_overwritten_are_read_as_they_are_now(
    registry: MLflowRegistry, trained: TrainedVersion, mlflow_server: MLflowServer
) -> None:
    """MLflow lets anybody overwrite a version's file, without a word; its bytes alone show it."""
    model, version = trained.model, trained.version

    def digests() -> dict[str, str]:
        files = registry.list_files(model, version)
        return {
            file.path: hashlib.sha256(b"".join(registry.read_file(model, version, file.path, timeout_s=10))).hexdigest()
            for file in files
        }

    before = digests()
    seen = registry.find_version(model, version)
    uri = mlflow_server.call("GET", "model-versions/get-download-uri", {"name": model, "version": version})
    root = uri["artifact_uri"].removeprefix("mlflow-artifacts:/")
    mlflow_server.put_artifact(f"{root}/linear_model.py", b"# something else\n")

    assert {"MLmodel", "linear_model.py"} <= set(before)
    assert registry.find_version(model, version) == seen
    after = digests()
    assert {path for path in before if before[path] != after[path]} == {"linear_model.py"}


def test_a_copied_version_leads_to_the_run_of_its_origin(
    registry: MLflowRegistry, trained: TrainedVersion, mlflow_server: MLflowServer
) -> None:
    """It is another model's, with an alias and tags that anybody may set, and with the same run."""
    mlflow_server.run_client(_COPY, {"model": trained.model, "to": "copied-by-client"})
    model = registry.find_model("copied-by-client")
    version = registry.find_version("copied-by-client", "1")
    run = registry.find_run("copied-by-client", "1")

    assert model is not None
    assert [(pointer.name, pointer.value) for pointer in model.pointers] == [("champion", "1")]
    assert version is not None
    assert [(tag.name, tag.value) for tag in version.tags] == [("lockgate.decision", "allow")]
    assert run is not None
    assert run.id == trained.run
    assert [file.path for file in registry.list_files("copied-by-client", "1")] == [
        file.path for file in registry.list_files(trained.model, trained.version)
    ]


def test_a_stage_is_seen_and_a_deleted_version_is_gone(registry: MLflowRegistry, mlflow_server: MLflowServer) -> None:
    """Also the aliases that MLflow takes away with it, silently."""
    mlflow_server.call("POST", "registered-models/create", {"name": "staged"})
    mlflow_server.call("POST", "model-versions/create", {"name": "staged", "source": "s3://bucket/1"})
    registry.move_pointer("staged", "champion", "1", expected=None, permit="")
    stage = {"name": "staged", "version": "1", "stage": "Production", "archive_existing_versions": False}
    mlflow_server.call("POST", "model-versions/transition-stage", stage)
    staged = registry.find_version("staged", "1")
    mlflow_server.call("DELETE", "model-versions/delete", {"name": "staged", "version": "1"})
    model = registry.find_model("staged")

    assert staged is not None
    assert staged.stage == "Production"
    assert model is not None
    assert model.pointers == ()
    assert registry.find_version("staged", "1") is None
    assert registry.list_versions("staged").items == ()


def test_metrics_that_are_no_numbers_are_read(registry: MLflowRegistry, mlflow_server: MLflowServer) -> None:
    """MLflow takes NaN and infinity; they are text to us."""
    run = mlflow_server.call("POST", "runs/create", {"experiment_id": "0", "start_time": 1})["run"]["info"]["run_id"]
    for key, value in (("nan", "NaN"), ("infinite", "Infinity")):
        metric = {"run_id": run, "key": key, "value": value, "timestamp": 1}
        mlflow_server.call("POST", "runs/log-metric", metric)
    mlflow_server.call("POST", "registered-models/create", {"name": "odd-metrics"})
    version = {"name": "odd-metrics", "source": "s3://bucket/1", "run_id": run}
    mlflow_server.call("POST", "model-versions/create", version)
    found = registry.find_run("odd-metrics", "1")

    assert found is not None
    assert [(item.name, item.value) for item in found.metrics] == [
        ("infinite", "1.7976931348623157e+308"),
        ("nan", "NaN"),
    ]


@pytest.mark.slow
def test_a_user_without_rights_is_refused(mlflow_programs: Path, tmp_path: Path) -> None:  # noqa: ARG001 - it must be there
    """With MLflow's own basic-auth: nobody without a password, nobody without a right, and the owner may."""
    environ = {"MLFLOW_FLASK_SERVER_SECRET_KEY": "for-a-test", "MLFLOW_AUTH_ADMIN_PASSWORD": _ADMIN[1]}
    with running_mlflow(tmp_path, app_name="basic-auth", environ=environ) as server:
        registries = {}
        for user, password in (_ADMIN, _SOMEBODY):
            secret = tmp_path / f"{user}.password"
            secret.write_text(password)
            secret.chmod(0o600)
            registries[user] = MLflowRegistry(registry_settings(server.url, user=user, token_file=secret))
        admin = {"Authorization": f"Basic {base64.b64encode(':'.join(_ADMIN).encode()).decode()}"}
        name, password = _SOMEBODY
        server.call("POST", "users/create", {"username": name, "password": password}, headers=admin)
        server.call("POST", "registered-models/create", {"name": "guarded"}, headers=admin)
        version = {"name": "guarded", "source": "s3://bucket/1"}
        server.call("POST", "model-versions/create", version, headers=admin)

        registries["admin"].move_pointer("guarded", "champion", "1", expected=None, permit="")
        assert registries["somebody"].find_version("guarded", "1") is not None
        with pytest.raises(RegistryRefusedError, match="the status 403"):
            registries["somebody"].move_pointer("guarded", "champion", None, expected="1", permit="")
        with pytest.raises(RegistryRefusedError):
            MLflowRegistry(registry_settings(server.url)).find_model("guarded")
        model = registries["admin"].find_model("guarded")
        assert model is not None
        assert [(pointer.name, pointer.value) for pointer in model.pointers] == [("champion", "1")]
