"""Arrays of tables in the settings, checked before anything starts: what is wrong in one is told by its line."""

from pathlib import Path

import pytest

from lockgate.config.names import TABLE_KEYS
from support.commands import Run


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file whose registry is reached over plain HTTP."""
    file = tmp_path / "lockgate.toml"
    file.write_text('data_dir = "data"\n[[registry]]\nname = "mlflow"\ntype = "mlflow"\nurl = "http://mlflow:5000"\n')
    file.chmod(0o600)
    return file


def test_check_finds_the_line_in_a_registry(run: Run, file: Path) -> None:
    """`lockgate config check` reads the registries as the service would."""
    ended = run("config", "check", "--config", str(file))

    assert ended.code == 2
    assert ended.out == f"wrong: {file}:5: registry[0].url: want https; http only for this machine itself\n"


def test_serve_names_the_line_in_a_registry(run: Run, file: Path) -> None:
    """A registry that cannot be used stops the start, as any other setting does."""
    run("init", "--origin", "gate.test/audit", "--config", str(file))

    ended = run("serve", "--bind", "127.0.0.1:0", "--config", str(file))

    assert ended.code == 2
    assert ended.err.startswith(f"lockgate: {file}:5: registry[0].url: ")


@pytest.mark.parametrize("key", TABLE_KEYS)
@pytest.mark.parametrize(
    "command", [("serve", "--bind", "127.0.0.1:0"), ("deliver", "--once")], ids=["serve", "deliver"]
)
def test_every_table_is_read_before_anything_starts(
    run: Run, tmp_path: Path, key: str, command: tuple[str, ...]
) -> None:
    """A table that cannot be used ends the command with its line, whatever it is for; no worker dies of it later."""
    file = tmp_path / "lockgate.toml"
    file.write_text(f'data_dir = "data"\n[[{key}]]\nname = "Not A Name"\n')
    file.chmod(0o600)
    run("init", "--origin", "gate.test/audit", "--config", str(file))

    ended = run(*command, "--config", str(file))

    assert ended.code == 2
    assert ended.err.startswith(f"lockgate: {file}:")
    assert f"{key}[0]" in ended.err
