"""The route table of the pinned MLflow, as the guarded server has it: what changes something, and how it is judged."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_PROGRAM: Final = """
import json
from mlflow.server import app as flask_app
from mlflow.server.auth import create_app
from mlflow.server.graphql.graphql_schema_extensions import schema
from starlette.routing import Mount
from lockgate_mlflow_guard.routes import HARMLESS, JUDGES, READING_METHODS

application = create_app(flask_app)

def native(routes):
    for route in routes:
        if hasattr(route, "effective_candidates"):
            yield from native(route.effective_candidates())
        elif not isinstance(route, Mount):
            yield route

routes = [
    {"endpoint": rule.endpoint, "path": rule.rule, "methods": sorted(rule.methods - READING_METHODS)}
    for rule in flask_app.url_map.iter_rules()
]
routes += [
    {"endpoint": "", "path": route.path, "methods": sorted((route.methods or {"WEBSOCKET"}) - READING_METHODS)}
    for route in native(application.routes)
]
mutations = sorted(schema.graphql_schema.mutation_type.fields)
print(json.dumps({"routes": routes, "judged": sorted(JUDGES), "harmless": sorted(HARMLESS), "mutations": mutations}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route that changes something.

    Attributes:
        endpoint: Flask's name of its handler; "" for a native route.
        path: With its parameters, as MLflow spells them.
    """

    endpoint: str
    path: str
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteTable:
    """What the server and the guard in it say.

    Attributes:
        routes: Those that change something, Flask's and native ones.
        judged: Endpoints that the guard judges.
        harmless: Endpoints that it lets pass though they are about models or files.
        mutations: What GraphQL can change.
    """

    routes: tuple[Route, ...]
    judged: frozenset[str]
    harmless: frozenset[str]
    mutations: tuple[str, ...]


def read_route_table(programs: Path, folder: Path, environ: Mapping[str, str]) -> RouteTable:
    """Ask MLflow, in a process of its own, for its routes with basic-auth, which has the most of them."""
    surroundings = {
        "HOME": str(folder),
        "PATH": "/usr/bin:/bin",
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "secret of a test",
        "MLFLOW_AUTH_ADMIN_PASSWORD": "password of a test",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder / 'mlflow.db'}",
        "_MLFLOW_SGI_NAME": "uvicorn",
    }
    done = subprocess.run(
        [programs / "python", "-W", "ignore", "-c", _PROGRAM],
        check=True,
        capture_output=True,
        cwd=folder,
        env=surroundings | dict(environ),
    )
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])  # noqa: TID251 - what our own program prints
    routes = tuple(
        Route(endpoint=route["endpoint"], path=route["path"], method=method)
        for route in told["routes"]
        for method in route["methods"]
    )
    return RouteTable(
        routes=routes,
        judged=frozenset(told["judged"]),
        harmless=frozenset(told["harmless"]),
        mutations=tuple(told["mutations"]),
    )
