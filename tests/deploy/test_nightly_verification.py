"""What verifies the log each night runs a command that says by its exit code what it found."""

import shlex
from pathlib import Path
from typing import Final

import pytest
import yaml
from click.testing import CliRunner

from lockgate.audit.formats.log_policy import LogKey, LogPolicy, format_log_policy
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.cli.audit import audit
from support.audit_logs import ORIGIN, LogStand, make_stand

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
DATA_DIR: Final = "/var/lib/lockgate"
LOG_POLICY: Final = "/etc/lockgate/log-policy"


def _of_systemd() -> list[str]:
    unit = (DEPLOY / "systemd" / "lockgate-verify.service").read_text()
    (line,) = [line for line in unit.splitlines() if line.startswith("ExecStart=")]
    return shlex.split(line)[2:]


def _of_kubernetes() -> list[str]:
    job = yaml.safe_load((DEPLOY / "kubernetes" / "base" / "verify.yaml").read_text())
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert "LOCKGATE_LOG_KEY" in {variable["name"] for variable in container["env"]}
    arguments: list[str] = container["args"][2:]
    return arguments


@pytest.fixture
def stand(tmp_path: Path) -> LogStand:
    """A gate's data folder, as far as a verifier looks at it."""
    stand = make_stand(tmp_path)
    stand.fill(5)
    return stand


@pytest.mark.parametrize("arguments", [_of_systemd(), _of_kubernetes()], ids=["systemd", "kubernetes"])
def test_the_exit_code_is_the_verdict(stand: LogStand, arguments: list[str]) -> None:
    """0 for a log that is whole, 2 without its key, 1 for a log in which an old record was changed."""
    policy = stand.folder / "log-policy"
    places = {DATA_DIR: str(stand.folder), LOG_POLICY: str(policy)}
    placed = [places.get(argument, argument) for argument in arguments]

    def run(signer: SeedSigner) -> int:
        policy.write_text(format_log_policy(LogPolicy(logs=(LogKey(key=signer.verifier_key),))))
        environment = {} if str(policy) in placed else {"LOCKGATE_LOG_KEY": str(signer.verifier_key)}
        return CliRunner().invoke(audit, placed, env=environment).exit_code

    assert run(stand.signer) == 0
    assert run(make_signer(ORIGIN, bytes(32))) == 2
    stand.change("audit_entry", "body", "seq = 2", lambda body: body.replace(b"tested", b"forged"))
    assert run(stand.signer) == 1
