"""A group that imports a command's file only when the command is asked for.

The service's rooms take more than a second to load, and a pipeline that asks for a decision needs none of them. A file
that cannot be imported is so also met inside `main`, which keeps it from ending with Python's 1.
"""

import importlib
from collections.abc import Mapping
from typing import Any

import click


class LazyGroup(click.Group):
    """Knows its commands by name; `commands_of` says which file of this room holds which, as `file:function`."""

    def __init__(self, *args: Any, commands_of: Mapping[str, str], **kwargs: Any) -> None:  # noqa: ANN401 - click's own
        super().__init__(*args, **kwargs)
        self._commands_of = commands_of

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names, sorted."""
        del ctx
        return sorted(self._commands_of)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command, or None if there is none of this name."""
        del ctx
        if cmd_name not in self._commands_of:
            return None
        file, _, function = self._commands_of[cmd_name].partition(":")
        command = getattr(importlib.import_module(f"lockgate.cli.{file}"), function)
        assert isinstance(command, click.Command)  # noqa: S101 - the table is ours
        return command
