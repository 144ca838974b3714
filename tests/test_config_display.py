"""The settings in force, shown; and the texts that are made from the table of settings."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.config import SETTINGS, load, load_settings
from lockgate.config.display import (
    example_toml,
    insert_reference,
    settings_document,
    settings_text,
    settings_toml,
    toml_value,
)
from lockgate.identity import parse_issuers
from lockgate.schemas import check_schema
from support.settings import DATA, GIVEN

_PAGE: Final = Path(__file__).parents[1] / "docs" / "configuration.md"
_FILE: Final = """\
tsa_urls = ["https://user:s3cret@tsa.example", "https://b.example"]
policy_timeout_s = 1.50

[[issuer]]
name = "people"
"an odd key" = { since = 2026-01-01, deep = [1, { x = "\\u202e" }] }
"""


def test_the_page_is_what_the_table_says() -> None:
    """Run scripts/make-reference after a change of the table."""
    page = _PAGE.read_text(encoding="utf-8")

    assert insert_reference(page) == page


def test_every_setting_is_described() -> None:
    """Each setting and each of its variables is on the page, with what it means."""
    page = _PAGE.read_text(encoding="utf-8")

    for setting in SETTINGS:
        for name in (*setting.keys, *setting.variables):
            assert f"`{name}`" in page, name
        assert setting.help.endswith((".", ".)"))


def test_the_files_example_on_the_page_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What people copy works, but for the secret that is theirs."""
    (example,) = re.findall(r"```toml\n(.*?)```", _PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "url").write_text("sqlite:////x")
    file = tmp_path / "lockgate.toml"
    file.write_text(example.replace("/run/secrets/database_url", "url"))
    monkeypatch.chdir("/")

    loaded = load_settings({}, config=file)

    assert [issuer.name for issuer in parse_issuers(loaded.tables["issuer"])] == ["github"]


def test_the_example_is_a_file_of_its_own(tmp_path: Path) -> None:
    """As printed it sets what must be set, and nothing else."""
    file = tmp_path / "lockgate.toml"
    file.write_text(example_toml())

    loaded = load({}, config=file)

    assert [found.setting.name for found in loaded.values if found.place] == ["data_dir"]
    assert loaded.settings.data_dir == Path("/var/lib/lockgate")


def test_every_line_of_the_example_can_be_used(tmp_path: Path) -> None:
    """With the comment signs taken off, but for one of the two forms of each secret, it is a whole configuration."""
    text = re.sub(r"^# (?=[a-z_]+ = |\[)", "", example_toml(), flags=re.MULTILINE)
    text = re.sub(r"^[a-z_]+_file = \"/run/secrets/.*\n", "", text, flags=re.MULTILINE)
    text = text.replace('policy_engine = "wasm"', 'policy_engine = "opa"')
    file = tmp_path / "lockgate.toml"
    file.write_text(text)

    loaded = load({}, config=file)

    in_files = {"opa_token", "login_client_secret"}
    assert {found.setting.name for found in loaded.values if found.place is None} == in_files
    assert [issuer.name for issuer in parse_issuers(loaded.settings.tables["issuer"])] == ["github"]


def test_the_table_shows_value_and_origin(tmp_path: Path) -> None:
    """One line a setting, and one an issuer."""
    file = tmp_path / "lockgate.toml"
    file.write_text(_FILE.replace('name = "people"', 'url = "https://u:s3cret@x"'))

    loaded = load({"LOCKGATE_INSTANCE": "x", "LOCKGATE_OPA_TOKEN": "s3cret", **DATA}, config=file)
    lines = [line.split(maxsplit=2) for line in settings_text(loaded).splitlines()]

    assert len(lines) == len(SETTINGS) + 1
    assert ["instance", "LOCKGATE_INSTANCE", "x"] in lines
    assert ["opa_token", "LOCKGATE_OPA_TOKEN", "********"] in lines
    assert ["policy_timeout_s", f"{file}:2", "1.5"] in lines
    assert ["tsa_urls", f"{file}:1", '["https://***@tsa.example", "https://b.example"]'] in lines
    assert ["workers", "default", "2"] in lines
    assert ["opa_url", "default", "-"] in lines
    assert ["issuer[0]", f"{file}:4", "https://***@x"] in lines


def test_the_shown_file_sets_the_same(tmp_path: Path) -> None:
    """Written out and read again, the settings are those in force; of secrets the files are named."""
    secret = tmp_path / "token"
    secret.write_text("s3cret")
    file = tmp_path / "lockgate.toml"
    own = {name: typed for name, (typed, _) in GIVEN.items() if name != "opa_token"}
    file.write_text("".join(f"{name} = {toml_value(value)}\n" for name, value in own.items()) + _FILE.split("\n", 3)[3])
    before = load({"LOCKGATE_OPA_TOKEN_FILE": str(secret)}, config=file)
    shown = tmp_path / "shown.toml"
    shown.write_text(settings_toml(before))

    after = load({"LOCKGATE_LOGIN_CLIENT_SECRET": GIVEN["login_client_secret"][1]}, config=shown)

    assert "s3cret" not in shown.read_text()
    for found, again in zip(before.values, after.values, strict=True):
        assert found.value == again.value, found.setting.name
    assert before.settings.tables == after.settings.tables


def test_a_masked_value_is_left_out_of_the_shown_file(tmp_path: Path) -> None:
    """Nobody starts a gate with asterisks for a password by copying the file."""
    file = tmp_path / "lockgate.toml"
    file.write_text(_FILE)
    loaded = load({**DATA, "LOCKGATE_DATABASE_URL": "postgresql://u:s3cret@h/db"}, config=file)

    text = settings_toml(loaded)

    assert '\n# database_url = "postgresql://u:***@h/db"  # LOCKGATE_DATABASE_URL\n' in text
    assert f'\n# tsa_urls = ["https://***@tsa.example", "https://b.example"]  # {file}:1\n' in text
    assert "tsa_urls" not in tomllib.loads(text)


def test_a_masked_url_of_an_issuer_is_left_out_too(tmp_path: Path) -> None:
    """What is shown of an issuer is read back, or commented out."""
    file = tmp_path / "lockgate.toml"
    file.write_text('[[issuer]]\nname = "people"\njwks_url = "https://x/keys?sig=s3cret"\n')

    text = settings_toml(load(DATA, config=file))

    assert '\n[[issuer]]\nname = "people"\n# jwks_url = "https://x/keys?***"\n' in text


def test_the_document_is_as_its_schema_says(tmp_path: Path) -> None:
    """For programs: every setting with value and origin, and the issuers as they stand."""
    file = tmp_path / "lockgate.toml"
    file.write_text(_FILE.replace("2026-01-01", "1"))

    document = settings_document(load(DATA, config=file))

    check_schema("v1/config/settings", document)
    assert document["config_file"] == str(file)
    assert document["tables"]["issuer"] == [
        {"name": "people", "an odd key": {"since": 1, "deep": [1, {"x": "\u202e"}]}}
    ]
    assert {"name": "workers", "value": 2, "origin": "default"} in document["settings"]


_VALUES: Final = st.recursive(
    st.text() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.dates() | st.times(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(value=_VALUES)
@settings(deadline=None, max_examples=200)
def test_values_are_written_as_toml(value: Any) -> None:
    """Whatever TOML can hold comes back as it was, from one line without anything invisible."""
    line = f"x = {toml_value(value)}"

    assert line.isprintable()
    assert tomllib.loads(line)["x"] == value
