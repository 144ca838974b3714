"""The `[[alert_source]]` tables of the settings: what is refused, and where."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockgate.alerts import AlertSettingsError, parse_alert_sources
from lockgate.alerts.settings import SOURCES_MAX
from lockgate.config import SettingsError, load
from lockgate.settings_tables import read_alert_sources
from support.alerts import SOURCE


def table(**changes: Any) -> dict[str, Any]:
    """Write a table; None takes a key away."""
    return {key: value for key, value in {**SOURCE, **changes}.items() if value is not None}


def test_what_is_not_said_has_a_default(tmp_path: Path) -> None:
    """The label that says how bad it is; a relative file is one beside the settings."""
    (source,) = parse_alert_sources([table()], tmp_path)

    assert (source.severity_label, source.mappings) == ("severity", ())
    assert source.severities == {"critical", "page"}
    assert source.token_file == tmp_path / "alertmanager.token"


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"name": "My Alertmanager"}, "alert_source[0].name", "want text of the form"),
        ({"token_file": None}, "alert_source[0]", "want the field 'token_file'"),
        ({"token": "s3cret"}, "alert_source[0]", "want"),
        ({"principal": "no body"}, "alert_source[0].principal", "want text of the form"),
        ({"severities": []}, "alert_source[0].severities", "want at least 1"),
        ({"model_label": None}, "alert_source[0]", "want model_label and environment_label"),
        ({"model_label": None, "environment_label": None}, "alert_source[0]", "or mappings"),
        (
            {"mappings": [{"labels": {}, "model": "m", "environment": "e"}]},
            "alert_source[0].mappings[0].labels",
            "want",
        ),
        ({"mappings": [{"labels": {"a": "b"}, "model": "m"}]}, "alert_source[0].mappings[0]", "want the field"),
    ],
)
def test_what_cannot_be_used_is_named(change: dict[str, Any], path: str, words: str) -> None:
    """The error says which part and why, and shows no secret."""
    with pytest.raises(AlertSettingsError, match=words) as caught:
        parse_alert_sources([table(**change)])

    assert (caught.value.code, caught.value.path) == ("alert.settings_invalid", path)
    assert "s3cret" not in str(caught.value)


def test_two_sources_have_two_names() -> None:
    """Each has a path of its own."""
    with pytest.raises(AlertSettingsError) as caught:
        parse_alert_sources([table(), table()])

    assert caught.value.path == "alert_source[1].name"


def test_there_are_not_too_many() -> None:
    """One for each cluster is enough."""
    parse_alert_sources([table(name=f"s{number}") for number in range(SOURCES_MAX)])
    with pytest.raises(AlertSettingsError) as caught:
        parse_alert_sources([table(name=f"s{number}") for number in range(SOURCES_MAX + 1)])

    assert caught.value.path == "alert_source"


def test_what_is_wrong_is_told_by_its_line(tmp_path: Path) -> None:
    """As of every other setting."""
    file = tmp_path / "lockgate.toml"
    lines = [
        'data_dir = "data"',
        "[[alert_source]]",
        *(f"{key} = {json.dumps(value)}" for key, value in SOURCE.items()),
    ]
    file.write_text("\n".join(lines).replace('["critical", "page"]', "[]"))
    settings = load({}, config=file).settings
    with pytest.raises(SettingsError, match=r"lockgate[.]toml:6:.*alert_source\[0\][.]severities: want at least 1"):
        read_alert_sources(settings)
