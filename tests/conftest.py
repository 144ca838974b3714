"""What tests of every room share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from lockgate.policy.opa_binary import OPA_VERSION, find_opa
from lockgate.policy.wasm import WasmEngine
from support.gates import GateUnderTest, compile_config, make_gate, policy_config

pytest_plugins = ["support.databases", "support.mlflow_server"]


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """A command that runs in this process sets logging up for a process of its own."""
    yield
    if structlog.is_configured():
        structlog.reset_defaults()


@pytest.fixture(scope="session")
def opa_binary() -> Path:
    """The pinned OPA; without it the test is skipped, or fails where CI must have it."""
    opa = find_opa()
    if opa is not None:
        return opa
    reason = f"OPA {OPA_VERSION} is neither in .tools/bin nor on PATH; run `make tools`"
    if os.environ.get("CI") == "true":  # noqa: TID251 - a test run's own surroundings, not a setting of the service
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def strace() -> str:
    """The tracer that makes system calls fail; without it the test is skipped, or fails where CI must have it."""
    found = shutil.which("strace")
    if found is not None:
        return found
    reason = "strace is not on PATH; run `make tools`"
    if os.environ.get("CI") == "true":  # noqa: TID251 - a test run's own surroundings, not a setting of the service
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> WasmEngine:
    """The policy, compiled, with the small data of `support.gates`."""
    return WasmEngine(compile_config(tmp_path_factory.mktemp("policy-config"), policy_config()))


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine) -> GateUnderTest:
    """A fresh gate; time stands still."""
    return make_gate(tmp_path, engine)
