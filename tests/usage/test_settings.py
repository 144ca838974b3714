"""The `[[usage_source]]` tables of the settings: what is refused, and where."""

import re
from pathlib import Path
from typing import Any

import pytest

from lockgate.config import Settings, SettingsError, load
from lockgate.settings_tables import read_usage_sources
from lockgate.usage import UsageSettingsError, parse_usage_sources
from lockgate.usage.settings import SOURCES_MAX

TABLE = {
    "name": "main",
    "url": "https://prometheus.example.org/",
    "query": "sum by (model, version, environment) (increase(predictions_total[$window]))",
    "counts": "predictions",
}


def test_what_is_not_said_has_a_default() -> None:
    """Five minutes, ten seconds, no token, the usual authorities; no slash at the end of a URL."""
    (source,) = parse_usage_sources([TABLE])

    assert (source.interval_s, source.timeout_s, source.token_file, source.ca_file) == (300, 10, None, None)
    assert source.url == "https://prometheus.example.org"
    assert source.read_token() is None


@pytest.mark.parametrize(
    ("change", "path", "words"),
    [
        ({"name": "My Prometheus"}, "usage_source[0].name", "want text of the form"),
        ({"url": "http://prometheus.example.org"}, "usage_source[0].url", "want https"),
        ({"url": "https://user:s3cret@prometheus.example.org"}, "usage_source[0].url", "without credentials"),
        ({"query": "sum(increase(predictions_total[1d]))"}, "usage_source[0].query", "want [$]window"),
        ({"counts": "errors"}, "usage_source[0].counts", "want one of"),
        ({"interval_s": 1}, "usage_source[0].interval_s", "want at least 60"),
        ({"token": "s3cret"}, "usage_source[0]", "want"),
    ],
)
def test_what_cannot_be_used_is_named(change: dict[str, Any], path: str, words: str) -> None:
    """The error says which part and why, and shows no secret."""
    with pytest.raises(UsageSettingsError, match=words) as caught:
        parse_usage_sources([{**TABLE, **change}])

    assert (caught.value.code, caught.value.path) == ("usage.settings_invalid", path)
    assert "s3cret" not in str(caught.value)


def test_two_sources_have_two_names() -> None:
    """Else one would count over the other."""
    with pytest.raises(UsageSettingsError) as caught:
        parse_usage_sources([TABLE, TABLE])

    assert caught.value.path == "usage_source[1].name"


def test_there_are_not_too_many() -> None:
    """Each has a thread of its own."""
    parse_usage_sources([{**TABLE, "name": f"s{number}"} for number in range(SOURCES_MAX)])
    with pytest.raises(UsageSettingsError) as caught:
        parse_usage_sources([{**TABLE, "name": f"s{number}"} for number in range(SOURCES_MAX + 1)])

    assert caught.value.path == "usage_source"


def in_file(folder: Path, tables: str) -> Settings:
    """Load settings that hold tables."""
    path = folder / "lockgate.toml"
    path.write_text(f'data_dir = "data"\n{tables}')
    return load({}, config=path).settings


def test_what_is_wrong_is_told_by_its_line(tmp_path: Path) -> None:
    """As of every other setting."""
    table = '[[usage_source]]\nname = "main"\nurl = "https://p.example.org"\nquery = "up"\ncounts = "loads"\n'
    with pytest.raises(SettingsError, match=r"lockgate[.]toml:5:.*usage_source\[0\][.]query: want [$]window"):
        read_usage_sources(in_file(tmp_path, table))


def test_the_table_of_the_documentation_can_be_used(tmp_path: Path) -> None:
    """What docs/howto/record-usage.md shows is read as it stands."""
    page = (Path(__file__).parents[2] / "docs" / "howto" / "record-usage.md").read_text()
    (shown,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (source,) = read_usage_sources(in_file(tmp_path, shown))

    assert (source.name, source.counts, source.interval_s) == ("main", "predictions", 300)
    assert source.token_file == tmp_path / "prometheus.token"
