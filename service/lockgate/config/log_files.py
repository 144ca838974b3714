"""Where the files of each log lie: what is set for the main log, as it is for the log of an environment."""

from dataclasses import replace
from typing import Final

from lockgate.config.settings import Settings
from lockgate.errors import ConfigError

MAIN_LOG: Final = ""
"""The name of the main log; another log has the name of its environment."""


def log_names(settings: Settings) -> tuple[str, ...]:
    """Return the names of the gate's logs, the main one first, each once."""
    return (MAIN_LOG, *dict.fromkeys(settings.environment_logs))


def settings_of_log(settings: Settings, name: str) -> Settings:
    """Return the settings as they are for one log: what they say of the main log's files, they then say of its own.

    An environment's files lie beside those of the main log: `log-<environment>.key`; `log-<environment>.former.key`,
    the key of before, while it is changed; and `checkpoints-<environment>.txt`.

    Args:
        settings: Of the gate.
        name: The environment, or `MAIN_LOG`.

    Raises:
        ConfigError: The environment has no log of its own.
    """
    if name == MAIN_LOG:
        return settings
    if name not in settings.environment_logs:
        raise ConfigError(f"want one of LOCKGATE_ENVIRONMENT_LOGS, got {name[:80]!r}")
    former = settings.log_key_file.with_name(f"log-{name}.former.key")
    return replace(
        settings,
        log_key_file=settings.log_key_file.with_name(f"log-{name}.key"),
        log_former_key_file=former if former.exists() else None,
        checkpoint_file=settings.checkpoint_file.with_name(f"checkpoints-{name}.txt"),
    )
