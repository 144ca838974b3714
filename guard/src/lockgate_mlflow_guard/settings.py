"""The guard's settings, from environment variables. Without all of them the server does not start."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

ALIASES: Final = "LOCKGATE_GUARD_ALIASES"
KEYS_FILE: Final = "LOCKGATE_GUARD_KEYS_FILE"
REGISTRY: Final = "LOCKGATE_GUARD_REGISTRY"
STATE_FILE: Final = "LOCKGATE_GUARD_STATE_FILE"

ALIASES_MAX: Final = 64  # each is a pointer that people agreed on; more of them are a mistake
_ALIAS: Final = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)  # MLflow's own rule for aliases
_REGISTRY: Final = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)


class SettingsError(click.ClickException):
    """The guard cannot start as it is set. `mlflow server` is a Click program and ends with this message alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the guard was told.

    Attributes:
        aliases: Protected, in lower case: MLflow keeps case, and `Champion` beside `champion` deceives people.
        keys_file: The gate's public keys, a JWK set.
        registry: This MLflow's name in the gate's settings: the audience of its permits.
        state_file: SQLite file of the permits that were used; the workers of this server share it.
    """

    aliases: frozenset[str]
    keys_file: Path
    registry: str
    state_file: Path


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: One is missing or cannot be meant so.
    """
    missing = [name for name in (ALIASES, KEYS_FILE, REGISTRY, STATE_FILE) if not environ.get(name, "").strip()]
    if missing:
        raise SettingsError(f"the guard is not told {', '.join(missing)}; see docs/howto/guard-mlflow.md")
    aliases = [alias.strip() for alias in environ[ALIASES].split(",")]
    if len(aliases) > ALIASES_MAX or not all(_ALIAS.fullmatch(alias) for alias in aliases):
        raise SettingsError(f"{ALIASES}: want 1 to {ALIASES_MAX} names of aliases with commas between them")
    if not _REGISTRY.fullmatch(environ[REGISTRY]):
        raise SettingsError(f"{REGISTRY}: want this registry's name in the gate's settings, without spaces")
    return Settings(
        aliases=frozenset(alias.lower() for alias in aliases),
        keys_file=Path(environ[KEYS_FILE]),
        registry=environ[REGISTRY],
        state_file=Path(environ[STATE_FILE]),
    )
