"""Settings are read once, strictly, without insecure defaults."""

from pathlib import Path

import pytest

from lockgate.config import load_settings
from lockgate.errors import ConfigError

DATA = {"LOCKGATE_DATA_DIR": "/var/lib/lockgate"}


def test_the_data_folder_must_be_named() -> None:
    """Without it nothing starts; the message names the variable."""
    with pytest.raises(ConfigError, match="LOCKGATE_DATA_DIR") as caught:
        load_settings({})

    assert caught.value.code == "config.invalid"


def test_what_holds_data_lies_in_the_data_folder_unless_named_apart() -> None:
    """The database and the log's key follow the data folder."""
    settings = load_settings(DATA)

    assert settings.database_url == "sqlite:////var/lib/lockgate/lockgate.db"
    assert settings.log_key_file == Path("/var/lib/lockgate/log.key")


def test_an_option_wins_over_its_variable() -> None:
    """A command line's `--data-dir` is stronger than the environment."""
    assert load_settings(DATA, data_dir="/elsewhere").data_dir == Path("/elsewhere")


def test_the_shipped_trust_is_the_public_instance() -> None:
    """Out of the box the public-good Sigstore is trusted, and nothing else."""
    settings = load_settings(DATA)

    assert settings.default_trust_domain == "public-good"
    assert [path.name for path in settings.trust_dir.glob("*.toml")] == ["public-good.toml"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("POLICY_ENGINE", "regopy"),
        ("POLICY_ENGINE", "opa"),
        ("OPA_URL", "http://127.0.0.1:8181"),
        ("POLICY_TIMEOUT_S", "0"),
        ("POLICY_TIMEOUT_S", "-1"),
        ("POLICY_TIMEOUT_S", "nan"),
        ("POLICY_TIMEOUT_S", "31"),
        ("POLICY_TIMEOUT_S", "soon"),
        ("PROMOTION_TTL_S", "inf"),
        ("APPROVAL_TTL_S", "99999999999"),
        ("HEARTBEAT_INTERVAL_S", "1.9"),
        ("HEARTBEAT_INTERVAL_S", "604801"),
        ("ANCHOR_INTERVAL_S", "0"),
        ("LOG_SIGNER_COMMAND", "'an open quote"),
    ],
)
def test_an_unusable_value_stops_the_start(variable: str, value: str) -> None:
    """The message names the variable, and what would do."""
    with pytest.raises(ConfigError, match="LOCKGATE_") as caught:
        load_settings({**DATA, f"LOCKGATE_{variable}": value})

    assert caught.value.code == "config.invalid"


def test_commands_are_read_as_words() -> None:
    """A program's path and arguments may hold blanks, in quotes; no shell reads them."""
    settings = load_settings({**DATA, "LOCKGATE_LOG_SIGNER_COMMAND": "'/opt/sign it' --key $(id)"})

    assert settings.log_signer_command == ("/opt/sign it", "--key", "$(id)")
    assert load_settings(DATA).log_signer_command == ()


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8181",
        "ftp://127.0.0.1",
        "http://",
        "http://user:secret@127.0.0.1:8181",
        "http://127.0.0.1:8181/v1",
        "http://127.0.0.1:8181?x=1",
        "http://127.0.0.1:99999",
        "unix:///run/opa.sock",
    ],
)
def test_an_unusable_opa_address_stops_the_start(url: str) -> None:
    """OPA's address is a scheme, a host and a port; credentials in it are refused and not repeated."""
    with pytest.raises(ConfigError, match="LOCKGATE_OPA_URL") as caught:
        load_settings({**DATA, "LOCKGATE_POLICY_ENGINE": "opa", "LOCKGATE_OPA_URL": url})

    assert "secret" not in str(caught.value)
