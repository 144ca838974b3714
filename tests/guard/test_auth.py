"""The guard behind MLflow's own basic-auth: its administrator is refused like everybody, and named."""

import base64
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from support.guarded_mlflow import GuardedMLflow, LiveVersion, make_version, running_guarded_mlflow

# Of one promotion, whose permits count also within one second.
_PROMOTION = "0199c0de-0000-7000-8000-000000000001"
_PASSWORD = "a password of a test"
_TRY = """
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
try:
    MlflowClient().set_registered_model_alias("live", "champion", "1")
except MlflowException as exc:
    print(exc)
"""


@pytest.fixture(scope="module")
def mlflow(mlflow_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedMLflow]:  # noqa: ARG001 - it must be there
    """A guarded server with basic-auth, called as its administrator."""
    folder = tmp_path_factory.mktemp("auth")
    environ = {
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "secret of a test",
        "MLFLOW_AUTH_ADMIN_PASSWORD": _PASSWORD,
    }
    credentials = base64.b64encode(f"admin:{_PASSWORD}".encode()).decode()
    with running_guarded_mlflow(folder, app_name="lockgate-auth", environ=environ, credentials=credentials) as server:
        yield server


@pytest.fixture(scope="module")
def live(mlflow: GuardedMLflow) -> LiveVersion:
    """A version that holds the protected alias."""
    return make_version(mlflow, "live", live=True)


def _strangers(mlflow: GuardedMLflow, credentials: str) -> GuardedMLflow:
    return GuardedMLflow(
        server=mlflow.server,
        key=mlflow.key,
        keys_file=mlflow.keys_file,
        state_file=mlflow.state_file,
        credentials=credentials,
    )


def test_administrator(mlflow: GuardedMLflow, live: LiveVersion) -> None:
    """MLflow's administrator moves no protected alias and writes no file of its version; the log says who tried."""
    moved = mlflow.set_alias(live.model, "1")
    written = mlflow.send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{live.path}", body=b"x")

    assert (moved.status, written.status) == (HTTPStatus.FORBIDDEN, HTTPStatus.FORBIDDEN)
    assert [line["actor"] for line in mlflow.lines("guard_refused")[-2:]] == ["admin", "admin"]
    assert [line["act"] for line in mlflow.lines("guard_refused")[-2:]] == ["set_alias", "write_files"]


def test_administrators_client(mlflow: GuardedMLflow, live: LiveVersion) -> None:
    """The ordinary client shows the administrator why."""
    environ = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": _PASSWORD}
    told = mlflow.server.run_client(_TRY, environ=environ)

    assert f"Lockgate guards the alias 'champion' of '{live.model}'" in told


def test_permit(mlflow: GuardedMLflow, live: LiveVersion) -> None:
    """With a permit the alias moves, and the log says who brought it."""
    moved = mlflow.set_alias(live.model, "1", permit=mlflow.sign(live.model, "1", promotion=_PROMOTION))

    assert moved.status == HTTPStatus.OK
    assert mlflow.lines("guard_accepted")[-1]["actor"] == "admin"


def test_stranger_learns_nothing(mlflow: GuardedMLflow, live: LiveVersion) -> None:
    """Who is nobody to MLflow is told so, not what is protected; a permit that he shows is not used up."""
    stranger = _strangers(mlflow, "")
    permit = mlflow.sign(live.model, "1", promotion=_PROMOTION)
    refused = len(mlflow.lines("guard_refused"))
    moved = stranger.set_alias(live.model, "1", permit=permit)
    written = stranger.send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{live.path}", body=b"x")

    assert (moved.status, written.status) == (HTTPStatus.UNAUTHORIZED, HTTPStatus.UNAUTHORIZED)
    assert len(mlflow.lines("guard_refused")) == refused
    assert mlflow.set_alias(live.model, "1", permit=permit).status == HTTPStatus.OK


def test_permit_gives_no_rights(mlflow: GuardedMLflow, live: LiveVersion) -> None:
    """Who may only read a model in MLflow cannot move its alias with a permit, and does not use it up."""
    user = {"username": "reader", "password": _PASSWORD}
    assert mlflow.call("POST", "users/create", user).status == HTTPStatus.OK
    reader = _strangers(mlflow, base64.b64encode(f"reader:{_PASSWORD}".encode()).decode())
    permit = mlflow.sign(live.model, "1", promotion=_PROMOTION)
    moved = reader.set_alias(live.model, "1", permit=permit)

    assert (moved.status, "Lockgate" in moved.message) == (HTTPStatus.FORBIDDEN, False)
    assert mlflow.set_alias(live.model, "1", permit=permit).status == HTTPStatus.OK
