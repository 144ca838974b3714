"""Several real instances of the service on one database: started, killed, asked by clients that never give up."""

import base64
import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import requests

from lockgate.demo.material import LEO, MAYA, MODEL, PEOPLE, RITA, Material, make_material
from lockgate.demo.stage import Finished, Stage, free_port
from lockgate.evidence.model_folder import hash_model
from lockgate.system_clock import SystemClock

ORIGIN: Final = "instances.example/audit"
ANSWER_S_MAX: Final = 30.0  # the longest that a client waits for one answer: a server that is in trouble takes ten
READY_S_MAX: Final = 90.0  # a cold start on a busy machine
PATIENCE_S: Final = 120.0  # how long a client asks again before it calls the service broken
_POLL_S: Final = 0.1
_DONE_BEFORE: Final = ("approval.repeated", "promotion.closed")  # to an approval whose first answer was lost


@dataclass(kw_only=True)
class Instance:
    """One `lockgate serve` with a data folder of its own, as on a machine of its own."""

    stage: Stage
    port: int
    workers: int
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; it is not ready yet."""
        command = (sys.executable, "-m", "lockgate", "serve", "--bind", f"127.0.0.1:{self.port}")
        with (self.stage.folder / "gate.log").open("ab") as log:
            # A session of its own, so that its workers die with it.
            self._process = subprocess.Popen(
                (*command, "--workers", str(self.workers)),
                cwd=self.stage.folder,
                env=dict(self.stage.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Wait until it says that it can decide, starting it again where it gave up."""
        deadline = time.monotonic() + READY_S_MAX
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{self.url}/readyz", timeout=5).ok:
                    return
            if self._process is None or self._process.poll() is not None:
                self.start()  # as systemd would: it does not start while the database is away
            time.sleep(_POLL_S)
        raise AssertionError((self.stage.folder / "gate.log").read_text(errors="replace")[-3000:])

    def kill(self) -> None:
        """End it and its workers in the middle of whatever they do."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def kill_a_worker(self) -> None:
        """End one of its workers; the instance makes another."""
        assert self._process is not None
        main = self._process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        if children:
            os.kill(int(random.choice(children)), signal.SIGKILL)  # noqa: S311 - which one is no secret


@dataclass(kw_only=True)
class Fleet:
    """Instances that share a database, a log and its key; nothing else."""

    folder: Path
    owner: Stage
    log_key: str
    material: Material
    tokens: dict[str, str]
    instances: list[Instance] = field(default_factory=list)

    def add(self, database_url: str, *, workers: int = 1) -> Instance:
        """Make another instance; it is not started."""
        data = self.folder / f"instance{len(self.instances)}"
        data.mkdir(mode=0o700)
        shutil.copy(self.folder / "data" / "log.key", data)
        port = free_port()
        environment = {
            **self.owner.environment,
            "LOCKGATE_DATA_DIR": str(data),
            "LOCKGATE_DATABASE_URL": database_url,
            "LOCKGATE_INSTANCE": data.name,
        }
        stage = Stage(folder=data, environment=environment)
        self.instances.append(Instance(stage=stage, port=port, workers=workers))
        return self.instances[-1]

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run every instance."""
        try:
            for instance in self.instances:
                instance.start()
            for instance in self.instances:
                instance.wait_until_ready()
            yield
        finally:
            for instance in self.instances:
                instance.kill()

    def verify(self, instance: Instance) -> Finished:
        """Verify the log, held against the checkpoints that an instance keeps outside the database."""
        data = instance.stage.environment["LOCKGATE_DATA_DIR"]
        return instance.stage.run(["audit", "verify", "--data-dir", data, "--key", self.log_key, "--output", "json"])


def make_fleet(folder: Path, database_url: str) -> Fleet:
    """Make the tables, the log, the people and their tokens, as the owner of the database."""
    material = make_material(folder, SystemClock())
    environment = {
        "LOCKGATE_DATA_DIR": str(folder / "data"),
        "LOCKGATE_DATABASE_URL": database_url,
        "LOCKGATE_TRUST_DIR": str(material.trust_dir),
        "LOCKGATE_DEFAULT_TRUST_DOMAIN": "demo",
        "LOCKGATE_POLICY_CONFIG_DIR": str(material.policy_config_dir),
        "LOCKGATE_REQUESTS_PER_MINUTE": "1000000",  # it is not the limits that are tried here
        "LOCKGATE_REQUESTS_AT_ONCE": "64",
    }
    owner = Stage(folder=folder, environment=environment)
    key = owner.run_or_stop(["init", "--origin", ORIGIN]).strip()
    tokens = {}
    for person in PEOPLE:
        roles = [part for role in person.roles for part in ("--role", role)]
        made = ["token", "create", "--subject", person.subject, "--type", "user", "--expires-in", "1d", *roles]
        tokens[person.subject] = owner.run_or_stop(made).strip()
    return Fleet(folder=folder, owner=owner, log_key=key, material=material, tokens=tokens)


@dataclass(kw_only=True)
class Promoted:
    """What a client was told about one of its requests."""

    key: str
    decisions: list[str]  # each decision that was acknowledged, by id, in order
    approvals: list[str]  # each approval that was acknowledged, by id
    state: str


class Client(threading.Thread):
    """Asks for promotions, has them approved, and asks again, at any instance, until it was answered."""

    def __init__(self, fleet: Fleet, number: int, until: threading.Event) -> None:
        super().__init__(daemon=True)
        self.done: list[Promoted] = []
        self.asked_again = 0
        self.problems: list[str] = []
        self.broken: BaseException | None = None
        self._fleet = fleet
        self._number = number
        self._until = until
        self._random = random.Random(number)  # noqa: S311 - a test's own order of events
        self._session = requests.Session()
        self._session.trust_env = False
        bundle = base64.b64encode(fleet.material.trusted_bundle.read_bytes()).decode()
        self._document = {
            "schema_version": 1,
            "kind": "promote",
            "from": "staging",
            "to": "production",
            "model": MODEL,
            "digest": str(hash_model(fleet.material.model).digest),
            "contributors": [{"subject": "tess", "role": "trainer"}],
            "evidence": [{"bundle": bundle}],
        }

    def run(self) -> None:
        """Promote until told to stop; finish what was begun."""
        try:
            for number in itertools.count():
                if self._until.is_set():
                    return
                self.done.append(self._promote(f"{self._number}-{number}"))
        except BaseException as exc:  # noqa: BLE001 - the test shows it
            self.broken = exc

    def _promote(self, key: str) -> Promoted:
        document = {**self._document, "version": key}
        headers = {"Idempotency-Key": key}
        asked = self._ask("POST", "/v1/promotions", RITA.subject, document, headers=headers)
        decisions, approvals = [asked["decision"]["id"]], []
        if self._random.random() < 0.3:
            again = self._ask("POST", "/v1/promotions", RITA.subject, document, headers=headers)
            decisions.append(again["decision"]["id"])
        path = f"/v1/promotions/{asked['promotion']['id']}"
        bound = {
            name: asked["promotion"][name]
            for name in ("digest", "kind", "from", "to", "evidence_digest", "policy_revision")
        }
        for person, role in ((LEO, "ml-lead"), (MAYA, "risk")):
            approval = {"schema_version": 1, "verdict": "approve", "role": role, **bound}
            answer = self._ask("POST", f"{path}/approvals", person.subject, approval)
            if answer.get("code") not in _DONE_BEFORE:  # else an answer was lost, and the approval was not
                approvals.append(answer["approval"]["id"])
                decisions.append(answer["decision"]["id"])
        shown = self._ask("GET", path, RITA.subject)
        return Promoted(key=key, decisions=decisions, approvals=approvals, state=shown["promotion"]["state"])

    def _ask(
        self, method: str, path: str, who: str, document: object = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_S
        sent = {"Authorization": f"Bearer {self._fleet.tokens[who]}", **(headers or {})}
        while time.monotonic() < deadline:
            instance = self._random.choice(self._fleet.instances)
            with contextlib.suppress(requests.RequestException):
                response = self._session.request(
                    method, f"{instance.url}{path}", json=document, headers=sent, timeout=ANSWER_S_MAX
                )
                answer: dict[str, Any] = response.json()
                if response.ok or answer["code"] in _DONE_BEFORE:
                    return answer
                self.problems.append(f"{response.status_code} {answer['code']}")
                assert response.status_code == 503, answer
            self.asked_again += 1
            time.sleep(_POLL_S)
        raise AssertionError(f"no answer to {method} {path} within {PATIENCE_S:g} s")


@contextlib.contextmanager
def clients(fleet: Fleet, count: int) -> Iterator[Sequence[Client]]:
    """Let clients ask until the block ends; then wait until each got all its answers."""
    until = threading.Event()
    made = [Client(fleet, number, until) for number in range(count)]
    for client in made:
        client.start()
    try:
        yield made
    finally:
        until.set()
    for client in made:
        client.join(2 * PATIENCE_S)
        assert client.broken is None, client.broken
        assert not client.is_alive()
