"""A real MLflow server behind the guard, and the gate's key, which signs for it. Makes versions with files."""

import contextlib
import http.client
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockgate.canonical_json import parse_json
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.permits import Permit, PermitKey, create_permit_key
from lockgate.system_clock import SystemClock
from support.mlflow_server import MLflowServer, running_mlflow

REGISTRY: Final = "models"
ALIAS: Final = "champion"
DIGEST: Final = "sha256:" + "ab" * 32
CONTENT: Final = b"the bytes that were approved"
_BODY_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said."""

    status: int
    body: bytes

    @property
    def message(self) -> str:
        """The text that MLflow's client shows; "" where the body has none."""
        with contextlib.suppress(ValueError):
            document = json.loads(self.body)  # noqa: TID251 - MLflow's, with floats and all
            if isinstance(document, dict):
                return str(document.get("message", ""))
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedMLflow:
    """A running server behind the guard.

    Attributes:
        key: The gate's, whose permits the guard takes.
        state_file: The guard's used permits.
        credentials: HTTP basic, for those that MLflow's basic-auth asks for some.
    """

    server: MLflowServer
    key: PermitKey
    keys_file: Path
    state_file: Path
    credentials: str = ""

    def sign(  # noqa: PLR0913 - what a permit says
        self,
        model: str,
        version: str,
        *,
        alias: str = ALIAS,
        registry: str = REGISTRY,
        age_s: int = 0,
        promotion: str = "",
    ) -> str:
        """Sign a permit as the gate does, for the pointer to lead to a version; "" takes it away.

        Each is of a promotion of its own where none is named.
        """
        now = EpochNs(SystemClock().now_ns() - age_s * NS_PER_S)
        return self.key.sign_permit(
            Permit(
                id=str(uuid.uuid4()),
                issuer="gate.example/audit",
                audience=registry,
                issued=now,
                expires=EpochNs(now + 60 * NS_PER_S),
                promotion=promotion or str(uuid.uuid4()),
                registry=registry,
                registry_model=model,
                alias=alias,
                version=version,
                digest=DIGEST if version else "",
                environment="production",
            )
        )

    def send(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
    ) -> Answer:
        """Send one request exactly as it is spelled, and do not follow where it leads."""
        host, port = self.server.url.removeprefix("http://").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        with contextlib.closing(connection):
            sent = json.dumps(document).encode() if document is not None else body
            wanted = {"Content-Type": "application/json", **headers}
            if self.credentials:
                wanted["Authorization"] = f"Basic {self.credentials}"
            connection.request(method, path, body=sent, headers=wanted)
            answer = connection.getresponse()
            return Answer(status=answer.status, body=answer.read(_BODY_BYTES_MAX))

    def call(self, method: str, route: str, document: object = None, *, permit: str | None = None) -> Answer:
        """Call a REST route below `/api/2.0/mlflow/`."""
        headers = {"Lockgate-Permit": permit} if permit is not None else {}
        return self.send(method, f"/api/2.0/mlflow/{route}", document, headers=headers)

    def read(self, route: str) -> Any:
        """Read what a GET route says; it must succeed."""
        answer = self.call("GET", route)
        assert answer.status == http.HTTPStatus.OK, answer.body
        return parse_json(answer.body, bytes_max=_BODY_BYTES_MAX)

    def set_alias(self, model: str, version: str, *, permit: str | None = None, alias: str = ALIAS) -> Answer:
        """Let an alias lead to a version."""
        document = {"name": model, "alias": alias, "version": version}
        return self.call("POST", "registered-models/alias", document, permit=permit)

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Return what the guard told in the server's log, of one kind, oldest first."""
        log = (self.server.folder / "server.log").read_text(encoding="utf-8", errors="replace")
        return [
            parse_json(line.encode(), bytes_max=_BODY_BYTES_MAX)
            for line in log.splitlines()
            if line.startswith(f'{{"event":"{event}"')
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveVersion:
    """A version with files on the server, made by REST alone, which is faster than the client.

    Attributes:
        path: Of its one file, below the server's artifacts.
    """

    model: str
    version: str
    logged_model: str
    experiment: str
    run: str
    path: str


def make_version(mlflow: GuardedMLflow, model: str, *, live: bool) -> LiveVersion:
    """Register a model with one version; let the protected alias lead there by a permit, if it is to be live."""
    experiment = _made(mlflow, "experiments/create", {"name": f"of {model}"})["experiment_id"]
    run = _made(mlflow, "runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    logged = _made(mlflow, "logged-models", {"experiment_id": experiment, "name": "model", "source_run_id": run})
    info = logged["model"]["info"]
    path = info["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/MLmodel"
    assert mlflow.send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{path}", body=CONTENT).status == http.HTTPStatus.OK
    _made(mlflow, "registered-models/create", {"name": model})
    source = f"models:/{info['model_id']}"
    _made(
        mlflow, "model-versions/create", {"name": model, "source": source, "run_id": run, "model_id": info["model_id"]}
    )
    if live:
        assert mlflow.set_alias(model, "1", permit=mlflow.sign(model, "1", age_s=2)).status == http.HTTPStatus.OK
    return LiveVersion(
        model=model, version="1", logged_model=info["model_id"], experiment=experiment, run=run, path=path
    )


def _made(mlflow: GuardedMLflow, route: str, document: Mapping[str, Any]) -> Any:
    answer = mlflow.call("POST", route, document)
    assert answer.status == http.HTTPStatus.OK, answer.body
    return parse_json(answer.body, bytes_max=_BODY_BYTES_MAX)


def guard_environ(folder: Path, key: PermitKey) -> dict[str, str]:
    """Write the keys' file and name the guard's settings."""
    keys_file = folder / "keys.json"
    keys_file.write_text(json.dumps(key.jwks()))
    return {
        "LOCKGATE_GUARD_ALIASES": f"{ALIAS}, champion-eu",
        "LOCKGATE_GUARD_KEYS_FILE": str(keys_file),
        "LOCKGATE_GUARD_REGISTRY": REGISTRY,
        "LOCKGATE_GUARD_STATE_FILE": str(folder / "permits.db"),
    }


@contextlib.contextmanager
def running_guarded_mlflow(
    folder: Path, *, app_name: str = "lockgate", environ: Mapping[str, str] = {}, credentials: str = ""
) -> Iterator[GuardedMLflow]:
    """Start MLflow behind the guard, and stop it in the end."""
    key = create_permit_key(folder / "permit.key")
    settings = guard_environ(folder, key)
    with running_mlflow(folder, app_name=app_name, environ=settings | dict(environ)) as server:
        yield GuardedMLflow(
            server=server,
            key=key,
            keys_file=folder / "keys.json",
            state_file=folder / "permits.db",
            credentials=credentials,
        )
