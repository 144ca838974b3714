"""For commands that run beside the service, on its own machine: the settings of `lockgate.config`."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from lockgate.config import LoadedSettings, Settings, load

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsSource:
    """Which settings the command line asked for."""

    config: Path | None
    data_dir: Path | None

    def load(self) -> LoadedSettings:
        """Read them, with the environment; what the command line says wins.

        Raises:
            SettingsError: A setting is missing, unknown or of no use.
        """
        options = {} if self.data_dir is None else {"data_dir": str(self.data_dir)}
        return load(config=self.config, **options)


def settings_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command `--config` and `--data-dir`, and hand it the process's `Settings` as the keyword `settings`."""

    @functools.wraps(command)
    def with_settings(*args: Any, source: SettingsSource, **kwargs: Any) -> R:  # noqa: ANN401 - whatever click passes on
        settings: Settings = source.load().settings
        return command(*args, settings=settings, **kwargs)

    return source_options(with_settings)


def source_options(command: Callable[..., R]) -> Callable[..., R]:
    """Give a command `--config` and `--data-dir`, and hand it what they ask for as the keyword `source`."""

    @functools.wraps(command)
    def with_source(
        *args: Any,  # noqa: ANN401 - whatever click passes on
        config: Path | None,
        data_dir: Path | None,
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> R:
        return command(*args, source=SettingsSource(config=config, data_dir=data_dir), **kwargs)

    config_option = click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="The TOML file of settings. Default: LOCKGATE_CONFIG. docs/configuration.md lists every setting.",
    )
    data_dir_option = click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where the database and the log's key live. Default: LOCKGATE_DATA_DIR, or data_dir in the file.",
    )
    return config_option(data_dir_option(with_source))
