"""CI without a long-lived secret: a served gate, an issuer on loopback, the real command line."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import requests

from lockgate.clock import EpochNs
from lockgate.demo.material import MODEL
from lockgate.system_clock import SystemClock
from support.issuers import AUDIENCE, LoopbackIssuer, github_claims, rsa_key, serve_issuer
from support.served_gates import UNLIMITED, ServedGate, make_served_gate

KEY = rsa_key()
REQUEST = ("request", MODEL, "1.0.0", "--from", "staging", "--to", "production", "--model-dir", "model")
SIGNED = (*REQUEST, "--contributor", "trainer:tess", "--bundle", "model.sig", "--output", "json")
WAIT_S = 20


def settings_file(issuer: LoopbackIssuer, audience: str = AUDIENCE) -> str:
    """Write the settings that trust the issuer."""
    return f"""
[[issuer]]
name = "github"
kind = "github"
url = "{issuer.url}"
audience = "{audience}"
private_network = true

[[issuer.rule]]
claims = {{ repository_id = "4711", ref = "refs/heads/main" }}
principal = "github/{{repository_id}}"
type = "machine"
roles = ["requester"]
identities = ["https://github.com/{{job_workflow_ref}}"]
"""


def token(issuer: LoopbackIssuer, **claims: str) -> str:
    """Get a token as a job does."""
    return issuer.keys[-1].sign(github_claims(EpochNs(SystemClock().now_ns()), issuer.url, **claims))


def told(gate: ServedGate, bearer: str) -> tuple[int, str]:
    """Ask for the policy; return the status and the problem's code."""
    response = requests.get(f"{gate.url}/v1/policy", headers={"Authorization": f"Bearer {bearer}"}, timeout=10)
    return response.status_code, response.json().get("code", "")


def settled(ask: Callable[[], tuple[int, str]], want: tuple[int, str]) -> bool:
    """Ask until the answer is the one wanted."""
    deadline = time.monotonic() + WAIT_S
    while (got := ask()) != want:
        if time.monotonic() > deadline:
            raise AssertionError(got)
        time.sleep(0.1)
    return True


def test_a_workflow_promotes_with_nothing_but_its_own_token(tmp_path: Path) -> None:
    """The job's token asks, people approve, the log says who asked; another audience or repository gets nowhere."""
    with serve_issuer(KEY) as issuer:
        config = tmp_path / "lockgate.toml"
        config.write_text(settings_file(issuer))
        gate = make_served_gate(tmp_path, **UNLIMITED, LOCKGATE_CONFIG=str(config))
        with gate.serving() as pid:
            assert settled(lambda: told(gate, token(issuer)), (200, ""))
            client = {"LOCKGATE_URL": gate.url, "LOCKGATE_LOG_KEY": gate.log_key}
            asked = gate.stage.run(SIGNED, {**client, "LOCKGATE_TOKEN": token(issuer)})
            assert asked.exit_code == 4, asked.stderr
            promotion_id = orjson.loads(asked.stdout)["promotion_id"]
            for who, role in (("leo", "ml-lead"), ("maya", "risk")):
                approve = ["approve", promotion_id, "--role", role, "--yes"]
                done = gate.stage.run(approve, {**client, "LOCKGATE_TOKEN": gate.tokens[who]})
            assert done.exit_code == 0, done.stderr

            assert told(gate, token(issuer, aud="https://other.example")) == (401, "identity.unauthenticated")
            assert told(gate, token(issuer, repository_id="1")) == (401, "identity.unauthenticated")
            before = token(issuer)
            config.write_text(settings_file(issuer, "https://new.example"))
            os.kill(pid, signal.SIGHUP)
            assert settled(lambda: told(gate, before), (401, "identity.unauthenticated"))
            assert settled(lambda: told(gate, token(issuer, aud="https://new.example")), (200, ""))

        log = (tmp_path / "gate.log").read_text()
        shown = gate.stage.run(["audit", "show", "--last", "1", "--kind", "identity.principal", "--output", "json"])
        record = orjson.loads(shown.stdout)
        assert (record["actor"]["id"], record["body"]["subject"]) == ("issuer:github", "github/4711")
        assert orjson.loads(gate.verify().stdout)["verdict"] == "valid"
        assert before not in log
        assert before.split(".")[2] not in log
