"""A guard that cannot guard does not start. By WSGI, and before routes that it does not know, it guards as well."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lockgate.permits import create_permit_key
from support.guarded_mlflow import guard_environ

_READ_SETTINGS = """
import json, os, sys
from lockgate_mlflow_guard.guarding import read_checked_settings
from lockgate_mlflow_guard.settings import SettingsError

for changes in json.load(sys.stdin):
    before = dict(os.environ)
    os.environ.update(changes)
    try:
        read_checked_settings()
    except SettingsError as exc:
        print("told", json.dumps(exc.message))
    os.environ.clear()
    os.environ.update(before)
"""
# Flask alone is what gunicorn and waitress would serve, and it then has the uploads, too. `promote` is a route that a
# later MLflow might have.
_SERVE = """
import json, os
import anyio
from mlflow.server import app as flask_app
from mlflow.server import fastapi_app, handlers
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from lockgate_mlflow_guard.app import create_app
from lockgate_mlflow_guard.guarding import put_guard, read_checked_settings
from lockgate_mlflow_guard.settings import SettingsError

told = {}
os.environ["_MLFLOW_SERVER_ARTIFACTS_ONLY"] = "true"
try:
    put_guard(read_checked_settings(), flask_app, flask_app)
except SettingsError as exc:
    told["artifacts only"] = exc.message
del os.environ["_MLFLOW_SERVER_ARTIFACTS_ONLY"]

for word in ("registered-models", "webhooks"):
    flask_app.add_url_rule(f"/api/9.0/mlflow/{word}/promote", f"promote_{word}", lambda: "done", methods=["POST"])
async def promote(request):
    return PlainTextResponse("done")

async def watch(websocket):
    await websocket.accept()

def create_later_fastapi_app(app):
    made = create_fastapi_app(app)
    for word in ("model-versions", "assistants"):
        made.router.routes.insert(0, WebSocketRoute(f"/api/9.0/mlflow/{word}/watch", watch))
    for word in ("model-versions", "assistants"):
        made.router.routes.insert(0, Route(f"/api/9.0/mlflow/{word}/promote", promote, methods=["POST"]))
    return made

create_fastapi_app = fastapi_app.create_fastapi_app
fastapi_app.create_fastapi_app = create_later_fastapi_app
application = create_app()

store = handlers._get_model_registry_store()
store.create_registered_model("live")
store.create_model_version("live", "mlflow-artifacts:/1/models/m-1/artifacts")
store.set_registered_model_alias("live", "champion", "1")

def by_wsgi(method, path, document=None):
    answer = flask_app.test_client().open(path, method=method, json=document)
    return [answer.status_code, (answer.get_json(silent=True) or {}).get("message", "").rpartition("[")[2].rstrip("]")]

def by_asgi(kind, path):
    sent = []
    scope = {"type": kind, "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": [(b"host", b"localhost")], "http_version": "1.1", "scheme": kind, "root_path": ""}
    async def receive():
        return {"type": "websocket.connect" if kind == "websocket" else "http.request"}
    async def send(message):
        sent.append(message)
    anyio.run(application, scope, receive, send)
    code = b"".join(message.get("body", b"") for message in sent).rpartition(b"[")[2].rpartition(b"]")[0]
    return [sent[0].get("status", sent[0]["type"]), code.decode()]

files = "/api/2.0/mlflow-artifacts/artifacts/1/models"
told["protected file"] = by_wsgi("PUT", f"{files}/m-1/artifacts/MLmodel")
told["other file"] = by_wsgi("PUT", f"{files}/m-2/artifacts/MLmodel")
alias = {"name": "live", "alias": "champion", "version": "1"}
told["alias"] = by_wsgi("POST", "/api/2.0/mlflow/registered-models/alias", alias)
told["unknown route of models"] = by_wsgi("POST", "/api/9.0/mlflow/registered-models/promote")
told["unknown route of others"] = by_wsgi("POST", "/api/9.0/mlflow/webhooks/promote")
told["unknown native route of models"] = by_asgi("http", "/api/9.0/mlflow/model-versions/promote")
told["unknown native route of others"] = by_asgi("http", "/api/9.0/mlflow/assistants/promote")
told["websocket of models"] = by_asgi("websocket", "/api/9.0/mlflow/model-versions/watch")
told["websocket of others"] = by_asgi("websocket", "/api/9.0/mlflow/assistants/watch")
print("told", json.dumps(told))
"""


def _environ(folder: Path) -> dict[str, str]:
    return guard_environ(folder, create_permit_key(folder / "permit.key")) | {
        "HOME": str(folder),
        "PATH": "/usr/bin:/bin",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def _run(programs: Path, folder: Path, program: str, document: object, environ: Mapping[str, str]) -> list[Any]:
    """Run a program where MLflow and the guard are installed; return what it tells."""
    done = subprocess.run(
        [programs / "python", "-W", "ignore", "-c", program],
        check=False,
        capture_output=True,
        input=json.dumps(document).encode(),
        cwd=folder,
        env=dict(environ),
        timeout=120,
    )
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return [json.loads(line[5:]) for line in lines if line.startswith("told ")]  # noqa: TID251 - what our own program prints


def test_server_ends_with_one_line(mlflow_programs: Path, tmp_path: Path) -> None:
    """A guard that is set wrongly ends `mlflow server` with one line, before any worker."""
    environ = _environ(tmp_path)
    del environ["LOCKGATE_GUARD_ALIASES"]
    del environ["LOCKGATE_GUARD_STATE_FILE"]
    done = subprocess.run(
        [str(mlflow_programs / "mlflow"), "server", "--app-name", "lockgate", "--port", "1"],
        check=False,
        capture_output=True,
        cwd=tmp_path,
        env=environ,
        timeout=120,
    )
    told = done.stderr.decode()

    assert done.returncode == 1
    assert told.splitlines()[-1] == (
        "Error: the guard is not told LOCKGATE_GUARD_ALIASES, LOCKGATE_GUARD_STATE_FILE; see docs/howto/guard-mlflow.md"
    )
    assert "Traceback" not in told


def test_settings_that_cannot_be_used(mlflow_programs: Path, tmp_path: Path) -> None:
    """Files that are missing or are something else, and workspaces, stop the start; good settings do not."""
    (tmp_path / "else.txt").write_text("something else")
    changes: list[dict[str, str]] = [
        {},
        {"LOCKGATE_GUARD_KEYS_FILE": "/nowhere"},
        {"LOCKGATE_GUARD_KEYS_FILE": str(tmp_path / "else.txt")},
        {"LOCKGATE_GUARD_STATE_FILE": "/nowhere/permits.db"},
        {"MLFLOW_ENABLE_WORKSPACES": "true"},
    ]
    told = _run(mlflow_programs, tmp_path, _READ_SETTINGS, changes, _environ(tmp_path))

    assert told == [
        "LOCKGATE_GUARD_KEYS_FILE: No such file or directory",
        "LOCKGATE_GUARD_KEYS_FILE: want a JSON object, got something else",
        "LOCKGATE_GUARD_STATE_FILE: /nowhere/permits.db: FileNotFoundError",
        "a permit names no workspace; the guard does not serve an MLflow that has them",
    ]


@pytest.fixture(scope="module")
def told(mlflow_programs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a server in one process, without a network, answered."""
    folder = tmp_path_factory.mktemp("served")
    environ = _environ(folder) | {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder / 'mlflow.db'}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "files"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
    }
    answered: dict[str, Any] = _run(mlflow_programs, folder, _SERVE, None, environ)[-1]
    return answered


def test_needs_a_registry(told: dict[str, Any]) -> None:
    """A server that has only artifacts does not know what is protected, and does not start guarded."""
    assert told["artifacts only"] == "a server with --artifacts-only has no registry to say what is protected"


def test_by_wsgi(told: dict[str, Any]) -> None:
    """Where Flask serves alone, it refuses the same, and lets pass the same."""
    assert told["protected file"] == [403, "guard.protected_files"]
    assert told["other file"] == [200, ""]
    assert told["alias"] == [403, "permit.missing"]


def test_unknown_routes(told: dict[str, Any]) -> None:
    """A route of models or files that the guard does not know is refused, wherever it is served; others pass."""
    assert told["unknown route of models"] == [403, "guard.unknown_route"]
    assert told["unknown route of others"] == [200, ""]
    assert told["unknown native route of models"] == [403, "guard.unknown_route"]
    assert told["unknown native route of others"] == [200, ""]
    assert told["websocket of models"] == ["websocket.close", ""]
    assert told["websocket of others"] == ["websocket.accept", ""]
