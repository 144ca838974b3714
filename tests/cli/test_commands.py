"""How the commands hang together."""

import subprocess
import sys

import pytest

from support.commands import Run


def test_every_command_loads(run: Run) -> None:
    """Each command of the table is there, with a help text."""
    ended = run("--help")

    listed = [line.split()[0] for line in ended.out.partition("Commands:")[2].splitlines() if line.strip()]
    assert ended.code == 0
    assert listed == sorted(listed)
    for name in listed:
        assert run(name, "--help").code == 0


def test_unknown_command(run: Run) -> None:
    """A command that is not in the table is a usage error, whatever files lie beside it."""
    assert run("gate_client").code == 2


def test_command_that_cannot_be_imported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken installation ends with 3, not with Python's 1, which means deny."""
    monkeypatch.setitem(sys.modules, "lockgate.cli.promotions", None)

    ended = run("status", "--help")

    assert (ended.code, ended.out) == (3, "")
    assert "Traceback" in ended.err


def test_client_commands_load_no_service() -> None:
    """A pipeline that asks for a decision loads neither the web service nor the database nor the verifier."""
    code = (
        "import sys, lockgate.cli.promotions; "
        "print([name for name in ('flask', 'gunicorn', 'sqlalchemy', 'sigstore', 'structlog') if name in sys.modules])"
    )

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout == "[]\n"
