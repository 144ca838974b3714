"""The lab's stage: its processes, its people's commands, what was printed of them and what that proves."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import requests
from rich.console import Console
from rich.text import Text

from lockgate.clock import EpochNs, format_timestamp
from lockgate.demo.material import MODEL, Person
from lockgate.demo.stage import Finished, Stage, StageError, free_port
from lockgate.digests import sha256_hex
from lockgate.system_clock import SystemClock
from support.lab_material import PEOPLE, ReleaseWorkflow, write_policy, write_settings
from support.mlflow_server import MLflowServer, running_mlflow

ROOT: Final = Path(__file__).parents[2]
ENVIRONMENT: Final = "production"
ALIAS: Final = "champion"
_ORIGIN: Final = "lab.lockgate.example/audit"
_TRAIN: Final = ROOT / "examples" / "lab" / "train.py"
_MLFLOW_PYTHON: Final = ROOT / ".tools" / "mlflow" / "bin" / "python"  # has NumPy, too
_TRAINING_S_MAX: Final = 120.0
_LEFT_OUT: Final = ("  pass  ", "  n/a   ", "    ", "  LG-", "Violations:", "Enforced:", "Promotion ", "Decision ")
_LINE_CHARS_MAX: Final = 160
_LINES_SHOWN_MAX: Final = 10  # of one command: the whole sheet is for whoever decides, the story is told by its head


class LabFailedError(StageError):
    """A step did not prove what it should."""

    code = "lab.failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A version, trained, registered and signed."""

    version: str
    folder: Path  # its files
    bundle: Path
    run_file: Path | None  # for the built-in registry: what made it
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LabStage:
    """A running gate, people, and an MLflow if there is one."""

    console: Console
    stage: Stage
    workflow: ReleaseWorkflow
    tokens: Mapping[str, str]
    log_key: str
    mlflow: MLflowServer | None

    @property
    def folder(self) -> Path:
        """Where everything lies."""
        return self.stage.folder

    def say(self, number: int, title: str, why: str) -> None:
        """Begin a step."""
        self.console.print()
        self._print(f"{number}. {title}", style="bold")
        self._print(f"   {why}", style="dim")

    def skip(self, number: int, title: str) -> None:
        """Say loudly that a step needs an MLflow."""
        self.console.print()
        self._print(f"{number}. {title}: NOT SHOWN, the built-in registry keeps no files and nobody moves its pointers")

    def tell(self, line: str, style: str = "") -> None:
        """Say what happens, or what was answered."""
        self._print(f"   {line}", style=style)

    def prove(self, what: str, *, holds: bool) -> None:
        """Say what was proved.

        Raises:
            LabFailedError: It does not hold.
        """
        if not holds:
            raise LabFailedError(f"this does not hold: {what}")
        self._print(f"   proved: {what}", style="green")

    def run(self, arguments: Sequence[str], *, expected: int = 0, person: Person | None = None) -> Finished:
        """Run a `lockgate` command as somebody, or as the operator on the gate's machine, and show it.

        Raises:
            LabFailedError: It ended with another code.
        """
        who = person.subject if person else "operator"
        self._print(f"   {who} $ lockgate {' '.join(arguments)}", style="cyan")
        done = self.run_quietly(arguments, expected=expected, person=person)
        lines = (done.stdout if done.stdout.strip() else done.stderr).rstrip().splitlines()
        told = [line for line in lines if line.strip() and not line.startswith(_LEFT_OUT)][:_LINES_SHOWN_MAX]
        for line in told:
            self._print(f"   | {line[:_LINE_CHARS_MAX]}")
        if len(lines) > len(told):
            self._print(f"   | ({len(lines) - len(told)} more lines)", style="dim")
        return done

    def run_quietly(self, arguments: Sequence[str], *, expected: int = 0, person: Person | None = None) -> Finished:
        """Run a `lockgate` command and show nothing of it.

        Raises:
            LabFailedError: It ended with another code.
        """
        done = self.stage.run(arguments, {"LOCKGATE_TOKEN": self.tokens[person.subject]} if person else {})
        if done.exit_code != expected:
            said = (done.stdout + done.stderr).strip()[-1500:]
            raise LabFailedError(f"lockgate {arguments[0]}: want exit code {expected}, got {done.exit_code}: {said}")
        return done

    def ask(self, arguments: Sequence[str], person: Person) -> Any:
        """Run a reading command quietly and return its JSON."""
        return json.loads(self.run_quietly([*arguments, "--output", "json"], person=person).stdout)  # noqa: TID251 - our own

    def post(self, path: str, token: str, document: object) -> Any:
        """Post to the gate as another program does; it must answer 2xx.

        Raises:
            LabFailedError: It answered otherwise.
        """
        with requests.Session() as session:
            session.trust_env = False  # no proxy stands between us and loopback
            url = self.stage.environment["LOCKGATE_URL"] + path
            answer = session.post(url, json=document, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        if not answer.ok:
            raise LabFailedError(f"POST {path}: want 2xx, got {answer.status_code}: {answer.text[:500]}")
        return answer.json()

    def champion(self) -> str:
        """Return the version at which the alias stands now, by the registry's own word; "" where there is none."""
        if self.mlflow is not None:
            query = {"name": MODEL, "alias": ALIAS}
            answer = self.mlflow.try_call("GET", "registered-models/alias", query)
            return str(json.loads(answer.body)["model_version"]["version"]) if answer.status == 200 else ""  # noqa: TID251 - MLflow's
        with requests.Session() as session:
            session.trust_env = False
            url = f"{self.stage.environment['LOCKGATE_URL']}/v1/models/{MODEL}?pointers=true"
            shown = session.get(url, headers={"Authorization": f"Bearer {self.tokens['rita']}"}, timeout=30).json()
        return next((one["version"] for one in shown["pointers"] if one["alias"] == ALIAS), "")

    def train(self, version: str, *, dataset: str) -> Trained:
        """Train a model in NumPy, log it to the registry, sign its files; return what was made.

        Args:
            version: The next one there; MLflow counts by itself.
            dataset: What is logged as training data; "" logs none.

        Raises:
            LabFailedError: The training failed.
        """
        out = self.folder / f"training-{version}"
        if can_train():
            self._run_training(out, version, dataset)
        else:
            self.tell("NO NUMPY HERE (it comes with MLflow): nothing is trained, the weights are made up")
            _make_up(out, version, dataset)
        bundle = self.folder / f"model-{version}.sig"
        digest = self.workflow.sign(out / "model", bundle)
        self.tell(f"| version {version}, signed by the release workflow: {digest[:23]}...")
        run_file = out / "run.json"
        return Trained(
            version=version,
            folder=out / "model",
            bundle=bundle,
            run_file=run_file if run_file.exists() else None,
            digest=digest,
        )

    def _run_training(self, out: Path, version: str, dataset: str) -> None:
        arguments = ["--out", str(out), "--seed", version]
        arguments += ["--dataset", dataset] if dataset else []
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "GIT_PYTHON_REFRESH": "quiet"}
        if self.mlflow is not None:
            arguments += ["--mlflow", MODEL]
            variables |= {"MLFLOW_TRACKING_URI": self.mlflow.url, "MLFLOW_DISABLE_TELEMETRY": "true"}
        self.tell(f"tess $ python examples/lab/train.py {' '.join(arguments[2:])}", style="cyan")
        done = subprocess.run(  # our own program
            [_MLFLOW_PYTHON, "-W", "ignore", _TRAIN, *arguments],
            cwd=self.folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=_TRAINING_S_MAX,
        )
        if done.returncode != 0:
            raise LabFailedError(f"the training failed: {done.stderr[-1500:]}")
        said = json.loads(done.stdout.splitlines()[-1])  # noqa: TID251 - what our own program prints
        if said["version"] not in {"", version}:
            raise LabFailedError(f"want the version {version}, got {said['version']}")
        self.tell(f"| accuracy {said['accuracy']}")

    def _print(self, line: str, style: str = "") -> None:
        self.console.print(Text(line, style=style), soft_wrap=True)


def can_train() -> bool:
    """Tell whether there is a Python with NumPy, which is MLflow's."""
    return _MLFLOW_PYTHON.exists()


def _make_up(out: Path, version: str, dataset: str) -> None:
    (out / "model").mkdir(parents=True)
    (out / "model" / "weights.json").write_text(f"[2, -1, {version}]\n")
    digest = f"sha256:{sha256_hex(b'made up')}" if dataset else ""
    data = {"name": dataset or "transactions", "digest": digest, "source": "nowhere", "context": "training"}
    (out / "run.json").write_bytes(orjson.dumps({"id": f"run-{version}", "datasets": [data]}))


def timestamp_now() -> str:
    """Return the time, as the gate writes it."""
    return format_timestamp(EpochNs(SystemClock().now_ns()))


@contextlib.contextmanager
def lab_stage(console: Console, folder: Path, registry: str) -> Iterator[LabStage]:
    """Set the gate up in an empty folder, serve it, and run MLflow behind the guard beside it.

    Args:
        console: Where the story is told.
        folder: An empty one.
        registry: `mlflow` or `builtin`.

    Raises:
        StageError: A part did not start.
    """
    port, mlflow_port = free_port(), free_port()
    write_policy(folder / "policy-config")
    workflow = ReleaseWorkflow(folder / "trust")
    environment = {
        "LOCKGATE_CONFIG": str(write_settings(folder, registry, f"http://127.0.0.1:{mlflow_port}")),
        "LOCKGATE_URL": f"http://127.0.0.1:{port}",
        "NO_COLOR": "1",
        "COLUMNS": "110",
    }
    stage = Stage(folder=folder, environment=environment)
    log_key = stage.run_or_stop(["init", "--origin", _ORIGIN]).split()[0]
    stage.run_or_stop(["principal", "put", "alertmanager", "--type", "machine", "--role", "requester"])
    tokens = {person.subject: _create_token(stage, person) for person in PEOPLE}
    environment["LOCKGATE_LOG_KEY"] = log_key
    with stage.serving(port), contextlib.ExitStack() as running:
        mlflow = None
        if registry == "mlflow":
            mlflow = running.enter_context(_guarded_mlflow(folder, environment["LOCKGATE_URL"], mlflow_port))
        yield LabStage(console=console, stage=stage, workflow=workflow, tokens=tokens, log_key=log_key, mlflow=mlflow)


@contextlib.contextmanager
def _guarded_mlflow(folder: Path, gate_url: str, port: int) -> Iterator[MLflowServer]:
    # As docs/howto/guard-mlflow.md says: the gate's public keys, fetched from the gate.
    with requests.Session() as session:
        session.trust_env = False
        keys = session.get(f"{gate_url}/v1/keys", timeout=10).content
    home = folder / "mlflow"
    home.mkdir()
    (home / "lockgate-keys.json").write_bytes(keys)
    guard = {
        "LOCKGATE_GUARD_ALIASES": ALIAS,
        "LOCKGATE_GUARD_KEYS_FILE": str(home / "lockgate-keys.json"),
        "LOCKGATE_GUARD_REGISTRY": "mlflow",
        "LOCKGATE_GUARD_STATE_FILE": str(home / "permits.db"),
    }
    with running_mlflow(home, app_name="lockgate", environ=guard, port=port) as server:
        yield server


def _create_token(stage: Stage, person: Person) -> str:
    arguments = ["token", "create", "--subject", person.subject, "--type", "user", "--expires-in", "1d"]
    for role in person.roles:
        arguments += ["--role", role]
    return stage.run_or_stop(arguments).strip()


def lockgate_verify(folder: Path, export: str, key: str) -> Finished:
    """Verify an export with the one-file verifier, as somebody who has neither the gate nor Lockgate does."""
    done = subprocess.run(
        [sys.executable, ROOT / "dist" / "lockgate-verify.pyz", "--export", export, "--key", key],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    return Finished(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)
