"""The logs of a gate: what each is called, and where its files lie. The main one, and those of environments."""

from dataclasses import replace
from typing import Final

from lockgate.config.settings import Settings
from lockgate.errors import ConfigError

MAIN_LOG: Final = ""
"""The name of the main log; another log has the name of its environment."""
_MAIN_WORDS: Final = (
    2  # of a main log's origin, HOST/NAME; a third one is an environment: it must not depend on a guess
)


def log_names(settings: Settings) -> tuple[str, ...]:
    """Return the names of the gate's logs, the main one first, each once."""
    return (MAIN_LOG, *dict.fromkeys(settings.environment_logs))


def is_main_origin(origin: str) -> bool:
    """Tell whether a log of this origin can be the main log of a gate whose environments have logs."""
    words = origin.split("/")
    return len(words) == _MAIN_WORDS and all(words)


def origin_of_log(main: str, name: str) -> str:
    """Return the origin of a log by its name, where the main log's origin is `main`."""
    return main if name == MAIN_LOG else f"{main}/{name}"


def log_of_origin(origin: str) -> str:
    """Return the name of the log that has an origin: its environment, or `MAIN_LOG`.

    The origin alone decides, so that whoever verifies a record needs no other log's key to tell what it may speak for.
    """
    words = origin.split("/")
    return words[-1] if len(words) > _MAIN_WORDS else MAIN_LOG


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
