"""Which log a command of this group works on."""

from pathlib import Path

from lockgate.audit import (
    VerifierKey,
    load_public_key,
)
from lockgate.config import load_settings


def configured_log(data_dir: Path | None) -> tuple[str, VerifierKey]:
    """Return the database's URL and the log's public key, whose name is the log's.

    Args:
        data_dir: The gate's data folder, or None for what `LOCKGATE_DATA_DIR` names.

    Raises:
        ConfigError: A setting is missing or unusable.
        KeyInvalidError: The log's key file is unusable.
    """
    settings = load_settings() if data_dir is None else load_settings(data_dir=str(data_dir))
    return settings.database_url, load_public_key(settings.log_key_file)
