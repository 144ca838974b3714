"""What is protected on a guarded server, and what would change it: by each endpoint that the guard judges."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from support.guarded_mlflow import CONTENT, GuardedMLflow, LiveVersion, make_version
from support.mlflow_routes import Route, RouteTable

_RUN_ALIAS: Final = "champion-eu"
_NATIVE_UPLOAD: Final = re.compile(r"/(ajax-)?api/2\.0/mlflow-artifacts/artifacts/\{artifact_path:path\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is protected: version 1 by `champion`, version 2 by `champion-eu`."""

    mlflow: GuardedMLflow
    live: LiveVersion
    run_path: str

    def look(self) -> dict[str, Any]:
        """Return everything that nobody may change without a permit."""
        name = self.live.model
        model = self.mlflow.read(f"registered-models/get?name={name}")["registered_model"]
        versions = [self.mlflow.read(f"model-versions/get?name={name}&version={version}") for version in "12"]
        files = [
            self.mlflow.send("GET", f"/api/2.0/mlflow-artifacts/artifacts/{path}").body
            for path in (self.live.path, self.run_path)
        ]
        return {
            "aliases": {
                alias["alias"]: alias["version"] for alias in model["aliases"] if "champion" in alias["alias"].lower()
            },
            "tags": model.get("tags", []),
            "versions": [
                {fact: version["model_version"].get(fact) for fact in ("current_stage", "tags", "source", "status")}
                for version in versions
            ],
            "files": files,
            "logged": self.mlflow.read(f"logged-models/{self.live.logged_model}")["model"]["info"]["artifact_uri"],
            "run": self.mlflow.read(f"runs/get?run_id={self.live.run}")["run"]["info"]["lifecycle_stage"],
            "experiment": self.mlflow.read(f"experiments/get?experiment_id={self.live.experiment}")["experiment"][
                "lifecycle_stage"
            ],
        }


def make_target(guarded: GuardedMLflow, model: str) -> Target:
    """Make a model with two protected versions, and a third that is not."""
    live = make_version(guarded, model, live=True)
    folder = f"{live.experiment}/{live.run}/artifacts/model"
    assert (
        guarded.send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{folder}/MLmodel", body=CONTENT).status
        == HTTPStatus.OK
    )
    version = {"name": live.model, "source": f"mlflow-artifacts:/{folder}", "run_id": live.run}
    assert guarded.call("POST", "model-versions/create", version).status == HTTPStatus.OK
    permit = guarded.sign(live.model, "2", alias=_RUN_ALIAS)
    assert guarded.set_alias(live.model, "2", permit=permit, alias=_RUN_ALIAS).status == HTTPStatus.OK
    # Versions that are not protected: what an attacker would let the aliases lead to.
    assert guarded.call("POST", "model-versions/create", version).status == HTTPStatus.OK
    return Target(mlflow=guarded, live=live, run_path=f"{folder}/MLmodel")


def is_upload(route: Route) -> bool:
    """Tell whether a native route writes files."""
    return not route.endpoint and _NATIVE_UPLOAD.fullmatch(route.path) is not None


def guarded_routes(table: RouteTable) -> list[Route]:
    """Return the routes that the guard judges, in every spelling that MLflow has of them."""
    return [route for route in table.routes if route.endpoint in table.judged or is_upload(route)]


def attacks(target: Target) -> dict[str, list[dict[str, Any]]]:
    """What would change the protected versions, for each endpoint that the guard judges."""
    live = target.live
    name = {"name": live.model}
    tag = {"key": "lockgate.decision", "value": "allow"}
    part = {"path": "MLmodel", "upload_id": "u", "parts": [{"part_number": 1, "etag": "e"}]}
    return {
        "_set_registered_model_alias": [
            name | {"alias": alias, "version": "3"} for alias in ("champion", "Champion", "CHAMPION", _RUN_ALIAS)
        ],
        "_delete_registered_model_alias": [name | {"alias": alias} for alias in ("champion", _RUN_ALIAS)],
        "_transition_stage": [
            name | {"version": version, "stage": "Production", "archive_existing_versions": True} for version in "13"
        ],
        "_delete_model_version": [name | {"version": version} for version in ("1", "01", " 1", "+1", "0_1", "١", "2")],
        "_delete_registered_model": [name],
        "_rename_registered_model": [name | {"new_name": "another"}],
        "_set_registered_model_tag": [name | tag, name | tag | {"key": "LockGate.x"}],
        "_delete_registered_model_tag": [name | tag],
        "_set_model_version_tag": [name | tag | {"version": "1"}],
        "_delete_model_version_tag": [name | tag | {"version": "1"}],
        "_create_registered_model": [{"name": "with tags", "tags": [{"key": "a", "value": "b"}, tag]}],
        "_create_model_version": [
            name | {"source": f"models:/{live.logged_model}", "model_id": live.logged_model, "tags": [tag]}
        ],
        "_upload_artifact": [{}],
        "_delete_artifact_mlflow_artifacts": [{}],
        "_create_multipart_upload_artifact": [part | {"num_parts": 1}],
        "_complete_multipart_upload_artifact": [part],
        "_abort_multipart_upload_artifact": [part],
        "serve_upload_artifact": [{}],
        "_create_presigned_upload_url": [
            {"run_id": live.run, "path": "model/MLmodel"},
            {"model_id": live.logged_model, "path": "MLmodel"},
        ],
        "_delete_logged_model": [{}],
        "_delete_run": [{"run_id": live.run}],
        "_delete_experiment": [{"experiment_id": live.experiment}],
    }


def spell_paths(route: Route, target: Target) -> Iterator[str]:
    """Spell a route's path for what is protected: each file, and the folders that they lie in."""
    if "artifact_path" in route.path:
        above = (target.live.path.rpartition("/")[0], target.run_path.split("/")[0])
        for file in (target.live.path, target.run_path, *above):
            yield re.sub(r"[<{][^>}]*[>}]", file, route.path)
    elif route.endpoint == "serve_upload_artifact":
        yield f"{route.path}?run_uuid={target.live.run}&path=model/MLmodel"
    else:
        yield re.sub(r"[<{][^>}]*[>}]", target.live.logged_model, route.path)
