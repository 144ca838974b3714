"""A real MLflow server on a free loopback port, and the ordinary client beside it. A pytest plugin.

Both are programs of the virtual environment that `scripts/fetch-mlflow` makes; nothing here imports them.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pytest

from lockgate.canonical_json import parse_json
from lockgate.outbound import Answer, OutboundError, OutboundRequest, exchange

MLFLOW_VERSION: Final = "3.17.2"
_ROOT: Final = Path(__file__).parents[2]
_PROGRAMS: Final = _ROOT / ".tools" / "mlflow" / "bin"
_READY_S_MAX: Final = 60.0  # four seconds on a quiet machine: it makes its tables first
_CLIENT_S_MAX: Final = 120.0  # the client alone takes three seconds to be imported
_POLL_S: Final = 0.1
_ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024
_QUIET: Final = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # else it starts further processes for jobs that nobody gives it
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}

# What the ordinary client does for whoever trains: a NumPy model, its data set as an input of the run, a version.
_TRAIN: Final = """
import json, pathlib, sys, tempfile
import mlflow, numpy as np
wanted = json.load(sys.stdin)
source = pathlib.Path(tempfile.mkdtemp()) / "linear_model.py"
source.write_text(
    "import mlflow\\n"
    "class LinearModel(mlflow.pyfunc.PythonModel):\\n"
    "    def predict(self, context, model_input, params=None):\\n"
    "        return model_input\\n"
    "mlflow.models.set_model(LinearModel())\\n"
)
rng = np.random.default_rng(wanted["seed"])
features = rng.normal(size=(64, 3))
targets = features @ np.array([1.0, -2.0, 0.5])
weights, *_ = np.linalg.lstsq(features, targets, rcond=None)
mlflow.set_experiment("training")
with mlflow.start_run(tags=wanted["tags"]) as run:
    mlflow.log_params(wanted["params"])
    if wanted["dataset"]:
        data = mlflow.data.from_numpy(features, targets=targets, name=wanted["dataset"])
        mlflow.log_input(data, context="training")
    info = mlflow.pyfunc.log_model(
        name="model", python_model=str(source), pip_requirements=[], registered_model_name=wanted["model"]
    )
    error = float(np.mean((features @ weights - targets) ** 2))
    mlflow.log_metrics({"mse": error, "r2": 0.5}, model_id=info.model_id)
made = {"version": str(info.registered_model_version), "run": run.info.run_id, "logged_model": info.model_id}
print(json.dumps(made))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedVersion:
    """A version that the ordinary client made."""

    model: str
    version: str
    run: str
    logged_model: str  # MLflow's id, `m-…`


@dataclass(frozen=True, slots=True, kw_only=True)
class MLflowServer:
    """A running server.

    Attributes:
        folder: Its files: `mlflow.db`, `artifacts/`, `server.log`.
    """

    url: str
    folder: Path

    def call(
        self, method: str, route: str, document: Mapping[str, Any] | None = None, *, headers: Mapping[str, str] = {}
    ) -> Any:
        """Call a REST route below `/api/2.0/mlflow/`; it must succeed.

        Args:
            method: GET and its kin send the document as a query, the others as JSON.
            route: For example `registered-models/create`.
            document: What is asked.
            headers: Further ones.
        """
        answer = self.try_call(method, route, document, headers=headers)
        assert answer.status == HTTPStatus.OK, answer.body.decode()
        return parse_json(answer.body, bytes_max=_ANSWER_BYTES_MAX)

    def try_call(
        self, method: str, route: str, document: Mapping[str, Any] | None = None, *, headers: Mapping[str, str] = {}
    ) -> Answer:
        """Call a REST route, whatever the answer."""
        url = f"{self.url}/api/2.0/mlflow/{route}"
        body = None
        if method == "GET":
            url += "?" + urllib.parse.urlencode(document or {})
        else:
            body = json.dumps(document or {}).encode()
        return exchange(
            OutboundRequest(
                url=url,
                method=method,
                body=body,
                content_type="application/json" if body is not None else None,
                headers=headers,
                timeout_s=30,
                answer_bytes_max=_ANSWER_BYTES_MAX,
            )
        )

    def put_artifact(self, path: str, content: bytes) -> None:
        """Write a file below the server's artifacts, as the client does and as anybody else can."""
        answer = exchange(
            OutboundRequest(
                url=f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{urllib.parse.quote(path)}",
                method="PUT",
                body=content,
                timeout_s=30,
                answer_bytes_max=_ANSWER_BYTES_MAX,
            )
        )
        assert answer.status == HTTPStatus.OK, answer.body.decode()

    def run_client(self, program: str, document: object = None, *, environ: Mapping[str, str] = {}) -> str:
        """Run a Python program where `mlflow` can be imported, against this server; return what it prints.

        Args:
            program: The text of the program.
            document: What it reads as JSON from its standard input.
            environ: Further environment variables.
        """
        done = subprocess.run(
            [_PROGRAMS / "python", "-W", "ignore", "-c", program],
            check=False,
            capture_output=True,
            input=json.dumps(document).encode(),
            cwd=self.folder,
            env=_environ(self.folder) | {"MLFLOW_TRACKING_URI": self.url} | dict(environ),
            timeout=_CLIENT_S_MAX,
        )
        assert done.returncode == 0, done.stderr.decode()[-4000:]
        return done.stdout.decode()

    def train(
        self,
        model: str,
        *,
        dataset: str = "transactions",
        params: Mapping[str, str] = {"solver": "lstsq"},
        tags: Mapping[str, str] = {},
        seed: int = 0,
    ) -> TrainedVersion:
        """Train and register a small model with the ordinary client, which takes some seconds.

        Args:
            model: The registered model; made where it is missing.
            dataset: Name of the data set that the run reads; "" logs none.
            params: Of the run.
            tags: Of the run.
            seed: Of the random numbers in the data set.
        """
        wanted = {"model": model, "dataset": dataset, "params": dict(params), "tags": dict(tags), "seed": seed}
        made = json.loads(self.run_client(_TRAIN, wanted).splitlines()[-1])  # noqa: TID251 - what our own script prints
        return TrainedVersion(model=model, version=made["version"], run=made["run"], logged_model=made["logged_model"])


@contextlib.contextmanager
def running_mlflow(
    folder: Path, *, app_name: str | None = None, environ: Mapping[str, str] = {}, port: int = 0
) -> Iterator[MLflowServer]:
    """Start MLflow, wait until it answers, and stop it in the end.

    Args:
        folder: Where it keeps its files; what is there already stays.
        app_name: An entry point of `mlflow.app`, for example `lockgate`, the guard's.
        environ: Further environment variables.
        port: Where it listens on loopback; 0 = wherever is free.
    """
    server = MLflowServer(url=f"http://127.0.0.1:{port or _free_port()}", folder=folder)
    command = [str(_PROGRAMS / "mlflow"), "server", "--host", "127.0.0.1", "--port", server.url.rpartition(":")[2]]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(folder / "artifacts")]
    command += ["--app-name", app_name] if app_name is not None else []
    with (
        (folder / "server.log").open("ab") as log,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env=_environ(folder) | dict(environ),
            start_new_session=True,  # it starts workers, which must end with it
        ) as process,
    ):
        try:
            _wait_until_ready(process, server)
            yield server
        finally:
            _stop(process)


@pytest.fixture(scope="session")
def mlflow_programs() -> Path:
    """The pinned MLflow; without it the test is skipped, or fails where CI must have it."""
    if (_PROGRAMS / "mlflow").exists():
        return _PROGRAMS
    reason = f"MLflow {MLFLOW_VERSION} is not in .tools/mlflow; run `make tools`"
    if os.environ.get("CI") == "true":  # noqa: TID251 - a test run's own surroundings, not a setting of the service
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def mlflow_server(mlflow_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MLflowServer]:  # noqa: ARG001 - it must be there
    """A server that all tests of this process share: each makes models of names of its own."""
    with running_mlflow(tmp_path_factory.mktemp("mlflow")) as server:
        yield server


def _environ(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "PATH": f"{_PROGRAMS}:/usr/bin:/bin", **_QUIET}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], server: MLflowServer) -> None:
    deadline = time.monotonic() + _READY_S_MAX
    request = OutboundRequest(url=f"{server.url}/health", timeout_s=1.0, answer_bytes_max=1024)
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OutboundError):
            if exchange(request).status == HTTPStatus.OK:
                return
        time.sleep(_POLL_S)
    raise AssertionError("mlflow did not become ready:\n" + (server.folder / "server.log").read_text()[-4000:])


def _stop(process: subprocess.Popen[bytes]) -> None:
    # At once and with its workers: asked to end, it takes up to twenty seconds, and nothing of it is kept.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
