"""What the client's tests share: a log, a peer, and a way to run one command."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lockgate.cli.main import main
from support.commands import TOKEN, Ended, Run
from support.gate_log import GateLog
from support.gate_server import GateServer, Reply, serve_gate


@pytest.fixture(scope="session")
def gate_log(tmp_path_factory: pytest.TempPathFactory) -> GateLog:
    """The gate's audit log."""
    return GateLog(tmp_path_factory.mktemp("log"))


@pytest.fixture(scope="session")
def foreign_log(tmp_path_factory: pytest.TempPathFactory) -> GateLog:
    """Somebody else's log, under another key and the same name."""
    return GateLog(tmp_path_factory.mktemp("foreign"))


@pytest.fixture
def gate() -> Iterator[GateServer]:
    """The peer; a test sets what it answers."""
    with serve_gate(lambda _call: Reply(status=500)) as server:
        server.roles = ("approver:risk",)
        yield server


@pytest.fixture
def run(
    gate: GateServer,
    gate_log: GateLog,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Run:
    """Run `lockgate` in this process, set up to speak to the peer; `environment` replaces settings, None removes."""

    def run(*arguments: str, environment: dict[str, str | None] | None = None) -> Ended:
        settings: dict[str, str | None] = {
            "LOCKGATE_URL": gate.url,
            "LOCKGATE_TOKEN": TOKEN,
            "LOCKGATE_LOG_KEY": gate_log.vkey,
            "LOCKGATE_TOKEN_FILE": None,
            "LOCKGATE_CA_FILE": None,
            "XDG_CONFIG_HOME": str(tmp_path / "config"),  # where a login would be kept
        }
        for name, value in (settings | (environment or {})).items():
            if value is None:
                monkeypatch.delenv(name, raising=False)
            else:
                monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        code = main(arguments)
        captured = capsys.readouterr()
        return Ended(code=int(code), out=captured.out, err=captured.err)

    return run
