"""For commands that run beside the service, on its own machine: the settings of `lockgate.config`."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lockgate.config import Settings, load_settings

R = TypeVar("R")


def settings_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command `--data-dir`, and hand it the process's `Settings` as the keyword `settings`."""

    @functools.wraps(command)
    def with_settings(
        *args: Any,  # noqa: ANN401 - whatever click passes on
        data_dir: Path | None,
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> R:
        return command(*args, settings=read_settings(data_dir), **kwargs)

    return data_dir_option(with_settings)


def read_settings(data_dir: Path | None) -> Settings:
    """Return the process's settings; `--data-dir`, where given, wins.

    Raises:
        ConfigError: A setting is missing or unusable.
    """
    return load_settings() if data_dir is None else load_settings(data_dir=str(data_dir))


def data_dir_option(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command `--data-dir` alone."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where the database and the log's key live. Default: LOCKGATE_DATA_DIR. docs/cli.md lists every setting.",
    )(command)
