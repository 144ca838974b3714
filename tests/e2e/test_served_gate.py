"""The whole thing as people run it: gunicorn, both engines, the command line, the offline verifier."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
import requests

from lockgate.audit.formats.notes import make_signer
from lockgate.demo.material import LEO, MAYA, MODEL, PEOPLE, RITA, Material, Person, make_material
from lockgate.demo.stage import Finished, Stage, free_port
from lockgate.policy.build import compile_sources
from lockgate.policy.sources import read_sources
from lockgate.readiness import FRESH_S
from lockgate.shipped import shipped_folder
from lockgate.system_clock import SystemClock
from support.opa_server import running_opa
from support.served_gates import UNLIMITED

REQUEST = ("request", MODEL, "1.0.0", "--from", "staging", "--to", "production", "--model-dir", "model")
SIGNED = (*REQUEST, "--contributor", "trainer:tess", "--bundle", "model.sig", "--output", "json")


class ServedGate:
    """A gate that is being served, and its people."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.material: Material = make_material(folder, SystemClock())
        self.port = free_port()
        environment = {
            "LOCKGATE_DATA_DIR": str(folder / "data"),
            "LOCKGATE_TRUST_DIR": str(self.material.trust_dir),
            "LOCKGATE_DEFAULT_TRUST_DOMAIN": "demo",
            "LOCKGATE_POLICY_CONFIG_DIR": str(self.material.policy_config_dir),
            "LOCKGATE_URL": f"http://127.0.0.1:{self.port}",
            **UNLIMITED,
            **variables,
        }
        stage = Stage(folder=folder, environment=environment)
        self.log_key = stage.run_or_stop(["init", "--origin", "e2e.example/audit"]).strip()
        self.stage = Stage(folder=folder, environment={**environment, "LOCKGATE_LOG_KEY": self.log_key})
        self.tokens = {person.subject: self.token(person) for person in PEOPLE}

    def token(self, person: Person) -> str:
        """Make a token."""
        roles = [part for role in person.roles for part in ("--role", role)]
        arguments = ["token", "create", "--subject", person.subject, "--type", "user", "--expires-in", "1d", *roles]
        return self.stage.run_or_stop(arguments).strip()

    def run(self, *arguments: str, who: Person = RITA) -> Finished:
        """Run a command as somebody."""
        return self.stage.run(arguments, {"LOCKGATE_TOKEN": self.tokens[who.subject]})

    def verify(self) -> Finished:
        """Verify the live database."""
        data = str(self.stage.folder / "data")
        return self.stage.run(["audit", "verify", "--data-dir", data, "--key", self.log_key, "--output", "json"])


@contextmanager
def served(folder: Path, **variables: str) -> Iterator[ServedGate]:
    """Serve a fresh gate."""
    gate = ServedGate(folder, **variables)
    with gate.stage.serving(gate.port):
        yield gate


def revisions(gate: ServedGate) -> set[str]:
    """Ask often enough to reach every worker; return the revisions that they say are in force."""
    headers = {"Authorization": f"Bearer {gate.tokens[RITA.subject]}"}
    url = f"http://127.0.0.1:{gate.port}/v1/policy"
    return {requests.get(url, headers=headers, timeout=5).json()["revision"] for _ in range(20)}


def promote(gate: ServedGate) -> None:
    """Walk one promotion through: pending, pending, allow."""
    asked = gate.run(*SIGNED)
    assert asked.exit_code == 4, asked.stderr
    promotion_id = orjson.loads(asked.stdout)["promotion_id"]
    first = gate.run("approve", promotion_id, "--role", "ml-lead", "--yes", who=LEO)
    second = gate.run("approve", promotion_id, "--role", "risk", "--yes", who=MAYA)
    status = gate.run("status", promotion_id)

    assert (first.exit_code, second.exit_code, status.exit_code) == (4, 0, 0), second.stderr
    assert status.stdout.startswith("ALLOW")


def test_a_promotion_through_the_compiled_policy(tmp_path: Path) -> None:
    """The embedded default: SQLite and Wasm; afterwards the log verifies with nothing but the key."""
    with served(tmp_path) as gate:
        promote(gate)
    verified = gate.verify()

    assert verified.exit_code == 0, verified.stderr
    assert orjson.loads(verified.stdout)["verdict"] == "valid"


@pytest.fixture(scope="module")
def built_bundle(tmp_path_factory: pytest.TempPathFactory, opa_binary: Path) -> Path:
    """The demonstration's policy for an OPA server; to build it takes half a minute."""
    config = tmp_path_factory.mktemp("config")
    sources = read_sources(shipped_folder("policies"), make_material(config, SystemClock()).policy_config_dir)
    bundle = tmp_path_factory.mktemp("bundle") / "bundle.tar.gz"
    bundle.write_bytes(compile_sources(sources, opa_binary).bundle)
    return bundle


@pytest.mark.opa
def test_a_promotion_through_opa(tmp_path: Path, opa_binary: Path, built_bundle: Path) -> None:
    """The same, decided by a real OPA that serves the same revision's bundle."""
    folder = tmp_path / "gate"
    folder.mkdir()
    with running_opa(opa_binary, "--bundle", str(built_bundle)) as opa:
        variables = {"LOCKGATE_POLICY_ENGINE": "opa", "LOCKGATE_OPA_URL": f"http://{opa.host}:{opa.port}"}
        with served(folder, **variables) as gate:
            promote(gate)
            ready = requests.get(f"http://127.0.0.1:{gate.port}/readyz", timeout=10).json()

    assert gate.verify().exit_code == 0
    assert "opa-http" in ready["checks"][0]["detail"]


@pytest.mark.opa
def test_opa_going_away_is_undecided_not_denied(tmp_path: Path, opa_binary: Path, built_bundle: Path) -> None:
    """Without its engine the gate answers 503, exit code 3, and is not ready; nothing is allowed or denied."""
    folder = tmp_path / "gate"
    folder.mkdir()
    with running_opa(opa_binary, "--bundle", str(built_bundle)) as opa:
        url = f"http://{opa.host}:{opa.port}"
        gate = ServedGate(folder, LOCKGATE_POLICY_ENGINE="opa", LOCKGATE_OPA_URL=url)
        serving = gate.stage.serving(gate.port)
        serving.__enter__()
    try:
        asked = gate.run(*SIGNED)
        time.sleep(FRESH_S)  # what was found before OPA went is an answer to everybody for so long
        ready = requests.get(f"http://127.0.0.1:{gate.port}/readyz", timeout=10)
    finally:
        serving.__exit__(None, None, None)

    assert asked.exit_code == 3
    assert "policy.unavailable" in asked.stderr
    assert ready.status_code == 503
    assert gate.verify().exit_code == 0


def test_the_other_verbs_against_a_real_gate(tmp_path: Path) -> None:
    """Forecast, withdraw, the same key again, another's role, a wrong log key: each with its exit code."""
    with served(tmp_path) as gate:
        forecast = gate.run("check", *SIGNED[1:])
        first = gate.run(*SIGNED, "--idempotency-key", "k1")
        again = gate.run(*SIGNED, "--idempotency-key", "k1")
        promotion_id = orjson.loads(first.stdout)["promotion_id"]
        foreign = gate.run(*SIGNED, who=LEO)
        wrong_key = make_signer("e2e.example/audit", b"\x07" * 32).verifier_key
        unbelieved = gate.run("status", promotion_id, "--log-key", str(wrong_key))
        withdrawn = gate.run("withdraw", promotion_id, "--reason", "wrong version")
        closed = gate.run("approve", promotion_id, "--role", "ml-lead", "--yes", who=LEO)

    assert (forecast.exit_code, orjson.loads(forecast.stdout)["dry_run"]) == (4, True)
    assert first.exit_code == again.exit_code == 4
    assert orjson.loads(again.stdout) == orjson.loads(first.stdout)
    assert (foreign.exit_code, "identity.not_permitted" in foreign.stderr) == (3, True)
    assert (unbelieved.exit_code, unbelieved.stdout) == (5, "")
    assert withdrawn.exit_code == 0
    assert (closed.exit_code, closed.stdout) == (3, "")


def test_a_worker_that_dies_is_replaced_and_the_gate_stops_cleanly(tmp_path: Path) -> None:
    """Killing a worker loses nothing that was answered; SIGTERM ends the service with exit code 0."""
    gate = ServedGate(tmp_path)
    command = [sys.executable, "-m", "lockgate", "serve", "--bind", f"127.0.0.1:{gate.port}", "--workers", "1"]
    with subprocess.Popen(command, env=dict(gate.stage.environment), stderr=subprocess.DEVNULL) as process:
        url = f"http://127.0.0.1:{gate.port}/readyz"
        wait_until_ready(url)
        before = gate.run(*SIGNED)
        worker = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0]
        os.kill(int(worker), signal.SIGKILL)
        wait_until_ready(url)
        after = gate.run("status", orjson.loads(before.stdout)["promotion_id"])
        process.terminate()
        ended = process.wait(timeout=30)

    assert before.exit_code == after.exit_code == 4
    assert ended == 0
    assert gate.verify().exit_code == 0


def test_clients_that_stop_in_the_middle_give_their_threads_back(tmp_path: Path) -> None:
    """More half-sent requests than threads stop the gate for seconds, not for good."""
    gate = ServedGate(tmp_path)
    with gate.stage.serving(gate.port), contextlib.ExitStack() as half_open:
        for _ in range(12):
            connection = half_open.enter_context(socket.create_connection(("127.0.0.1", gate.port)))
            connection.sendall(b"POST /v1/promotions HTTP/1.1\r\nHost: x\r\nX-Half:")
        answer = requests.get(f"http://127.0.0.1:{gate.port}/livez", timeout=30)

    assert answer.status_code == 200
    assert "Traceback" not in (gate.stage.folder / "gate.log").read_text()


def wait_until_ready(url: str) -> None:
    """Wait for a gate."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if requests.get(url, timeout=2).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.1)
    pytest.fail("the gate did not get ready")


def test_several_clients_at_once_leave_one_chain(tmp_path: Path) -> None:
    """Two workers, eight clients: every answer has its own record and the log verifies."""
    gate = ServedGate(tmp_path)
    with gate.stage.serving(gate.port):
        document = {
            "schema_version": 1,
            "kind": "promote",
            "from": "staging",
            "to": "production",
            "model": MODEL,
            "version": "1",
            "digest": "sha256:" + "0" * 64,
            "contributors": [],
            "evidence": [],
        }
        ids: list[str] = []

        def ask() -> None:
            session = requests.Session()
            headers = {"Authorization": f"Bearer {gate.tokens['rita']}"}
            for _ in range(10):
                response = session.post(
                    f"http://127.0.0.1:{gate.port}/v1/promotions", json=document, headers=headers, timeout=30
                )
                ids.append(response.json()["decision"]["id"])

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(set(ids)) == 80
    # The first record, one for each person and one for each token, the policy in force, a decision for each request.
    assert orjson.loads(gate.verify().stdout)["size"] == 1 + 2 * len(PEOPLE) + 1 + 80


def test_a_broken_root_of_trust_stops_the_start(tmp_path: Path) -> None:
    """The gate does not start with a root it cannot read, and says which file."""
    gate = ServedGate(tmp_path)
    (gate.material.trust_dir / "demo.trusted_root.json").write_text("{}")
    done = gate.stage.run(["serve", "--bind", f"127.0.0.1:{gate.port}"])

    assert done.exit_code == 2
    assert "evidence.trust_domain" in done.stderr
    assert "demo.toml" in done.stderr


@pytest.mark.opa
def test_a_rule_that_does_not_build_stops_the_start(tmp_path: Path, opa_binary: Path) -> None:
    """Sources that the module was not built from are built anew, or refused; never served by the old module."""
    assert opa_binary.exists()
    policies = tmp_path / "policies"
    shutil.copytree(shipped_folder("policies"), policies)
    rule = policies / "lockgate/rules/freeze/freeze.rego"
    rule.write_text(rule.read_text() + "\ndeny contains\n")
    folder = tmp_path / "gate"
    folder.mkdir()
    gate = ServedGate(folder, LOCKGATE_POLICY_DIR=str(policies))
    done = gate.stage.run(["serve", "--bind", f"127.0.0.1:{gate.port}"])

    assert done.exit_code == 3
    assert "policy.build" in done.stderr
    assert "freeze.rego" in done.stderr


def test_sighup_puts_the_policy_of_the_folder_in_force(tmp_path: Path) -> None:
    """Every worker follows without a restart; a folder that cannot be used changes nothing and ends no worker."""
    gate = ServedGate(tmp_path)
    with gate.stage.serving(gate.port, workers=2) as main:
        matrix = gate.material.policy_config_dir / "matrix" / "data.json"
        whole = matrix.read_bytes()
        before = revisions(gate)
        matrix.write_bytes(b"{")
        os.kill(main, signal.SIGHUP)
        broken = revisions(gate)
        matrix.write_bytes(whole + b"\n")
        unasked = revisions(gate)
        os.kill(main, signal.SIGHUP)
        deadline = time.monotonic() + 20
        while (after := revisions(gate)) == before or len(after) > 1:
            assert time.monotonic() < deadline, after
        promote(gate)

    assert len(before) == len(after) == 1
    assert broken == unasked == before


def test_a_worker_that_takes_anothers_place_decides_by_what_was_accepted(tmp_path: Path) -> None:
    """Half an edit of policy and trust and a worker's death together end nothing, and let nothing in."""
    gate = ServedGate(tmp_path)
    with gate.stage.serving(gate.port) as main:
        before = revisions(gate)
        matrix = gate.material.policy_config_dir / "matrix" / "data.json"
        whole = matrix.read_bytes()
        for halfway in (b"{", whole + b"\n"):
            matrix.write_bytes(halfway)
            (gate.material.trust_dir / "half.toml").write_bytes(b"{")
            worker = Path(f"/proc/{main}/task/{main}/children").read_text().split()[0]
            os.kill(int(worker), signal.SIGKILL)
            wait_until_ready(f"http://127.0.0.1:{gate.port}/livez")

            assert revisions(gate) == before
        readiness = requests.get(f"http://127.0.0.1:{gate.port}/readyz", timeout=5)
        (gate.material.trust_dir / "half.toml").unlink()
        wait_until_ready(f"http://127.0.0.1:{gate.port}/readyz")
        promote(gate)

    assert readiness.status_code == 503
    assert [check["name"] for check in readiness.json()["checks"] if not check["ok"]] == ["trust"]
