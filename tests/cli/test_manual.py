"""`docs/cli.md` says what the command does."""

import re
from pathlib import Path
from typing import Final

import click
import pytest

from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.main import lockgate

_MANUAL: Final = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
_ELSEWHERE: Final = {"demo", "policy"}  # described where they are used
_OWN: Final = sorted({*lockgate.list_commands(click.Context(lockgate))} - _ELSEWHERE)


def _commands(name: str) -> list[click.Command]:
    command = lockgate.get_command(click.Context(lockgate), name)
    assert command is not None
    return list(command.commands.values()) if isinstance(command, click.Group) else [command]


@pytest.mark.parametrize("name", _OWN)
def test_every_option_is_described(name: str) -> None:
    """Each command, each of its options and each variable that one of them reads is in the manual."""
    for command in _commands(name):
        assert f"{command.name}" in _MANUAL
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.hidden or any(f"{option}" in _MANUAL for option in parameter.opts), parameter.opts
                assert not parameter.envvar or f"`{parameter.envvar}`" in _MANUAL


def test_exit_codes_are_those_of_the_table() -> None:
    """The table lists each exit code once, by its number and name."""
    rows = re.findall(r"^\| ([0-9]) \| ([a-z]+) \|", _MANUAL, flags=re.MULTILINE)

    assert [(int(number), name) for number, name in rows] == [(code.value, code.name.lower()) for code in ExitCode]
