"""The guard's settings."""

from pathlib import Path

import pytest
from lockgate_mlflow_guard.settings import Settings, SettingsError, read_settings

_ENVIRON = {
    "LOCKGATE_GUARD_ALIASES": "Champion, champion-eu",
    "LOCKGATE_GUARD_KEYS_FILE": "/etc/keys.json",
    "LOCKGATE_GUARD_REGISTRY": "models",
    "LOCKGATE_GUARD_STATE_FILE": "/var/permits.db",
}


def test_read() -> None:
    """Aliases are read without case and spaces."""
    assert read_settings(_ENVIRON) == Settings(
        aliases=frozenset({"champion", "champion-eu"}),
        keys_file=Path("/etc/keys.json"),
        registry="models",
        state_file=Path("/var/permits.db"),
    )


@pytest.mark.parametrize("name", _ENVIRON)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_missing(name: str, value: str | None) -> None:
    """Without one of them there is no guard, and the message names it."""
    environ = {key: text for key, text in _ENVIRON.items() if key != name} | ({} if value is None else {name: value})
    with pytest.raises(SettingsError) as caught:
        read_settings(environ)

    assert name in caught.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOCKGATE_GUARD_ALIASES", "champion,"),
        ("LOCKGATE_GUARD_ALIASES", "cham pion"),
        ("LOCKGATE_GUARD_ALIASES", "chämpion"),
        ("LOCKGATE_GUARD_ALIASES", "a" * 256),
        ("LOCKGATE_GUARD_ALIASES", ",".join(["champion"] * 65)),
        ("LOCKGATE_GUARD_REGISTRY", "my models"),
        ("LOCKGATE_GUARD_REGISTRY", "m" * 129),
    ],
)
def test_not_meant_so(name: str, value: str) -> None:
    """What cannot be meant so stops the start."""
    with pytest.raises(SettingsError, match=name):
        read_settings(_ENVIRON | {name: value})
