"""The guarded server that these tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.guard_attacks import Target, make_target
from support.guarded_mlflow import GuardedMLflow, guard_environ, running_guarded_mlflow
from support.mlflow_routes import RouteTable, read_route_table


@pytest.fixture(scope="session")
def guarded(mlflow_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedMLflow]:  # noqa: ARG001 - it must be there
    """A guarded server without basic-auth; each test makes models of names of its own."""
    with running_guarded_mlflow(tmp_path_factory.mktemp("guarded")) as server:
        yield server


@pytest.fixture(scope="session")
def table(mlflow_programs: Path, guarded: GuardedMLflow, tmp_path_factory: pytest.TempPathFactory) -> RouteTable:
    """The routes of the pinned MLflow."""
    folder = tmp_path_factory.mktemp("routes")
    return read_route_table(mlflow_programs, folder, guard_environ(folder, guarded.key))


@pytest.fixture(scope="module")
def target(guarded: GuardedMLflow, request: pytest.FixtureRequest) -> Target:
    """A model with two protected versions, for the tests of one file."""
    return make_target(guarded, f"attacked-by-{request.module.__name__.rpartition('.')[2]}")
