"""The settings in force, written for people and programs, and the texts that are made from the table of settings."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any, Final

from lockgate.config.loading import LoadedSettings, SetValue
from lockgate.config.masking import as_given, masked, shown
from lockgate.config.names import CONFIG_VARIABLE
from lockgate.config.table import GROUPS, SETTINGS, Setting

REFERENCE_BEGINS: Final = (
    "<!-- Made by scripts/make-reference from service/lockgate/config/table.py: to be changed there. -->"
)
REFERENCE_ENDS: Final = "<!-- The end of what scripts/make-reference made. -->"
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_EXAMPLE_FOLDER: Final = "/var/lib/lockgate"
_EXAMPLE_ISSUER: Final = """
# --- Machines and people with tokens of others (docs/howto/connect-ci.md) ---

# [[issuer]]
# name = "github"
# kind = "github"
# url = "https://token.actions.githubusercontent.com"
# audience = "https://gate.example.org"

# [[issuer.rule]]
# claims = { repository_id = "123456789", environment = "production" }
# principal = "ci-{repository_id}"
# type = "machine"
# roles = ["requester"]
"""


def origin_of(found: SetValue) -> str:
    """Return where a setting was given: `default`, a file's line, a variable or an option."""
    place = found.place
    if place is None:
        return "default"
    return f"{place.file}:{place.line}" if place.file else place.name


def settings_document(loaded: LoadedSettings) -> dict[str, Any]:
    """Return the settings as JSON (schema `v1/config/settings`)."""
    return {
        "schema_version": 1,
        "config_file": None if loaded.file is None else str(loaded.file.path),
        "settings": [
            {"name": found.setting.name, "value": shown(found), "origin": origin_of(found)} for found in loaded.values
        ],
        "tables": {key: [masked(table) for table in tables] for key, tables in loaded.settings.tables.items()},
    }


def settings_text(loaded: LoadedSettings) -> str:
    """Return the settings as lines of name, origin and value."""
    rows = [(found.setting.name, origin_of(found), _one_line(shown(found))) for found in loaded.values]
    if loaded.file is not None:
        for key, number, table in _tables(loaded):
            line = loaded.file.place((key, number)).line
            rows.append((f"{key}[{number}]", f"{loaded.file.path}:{line}", _one_line(masked(table.get("url")))))
    names, origins = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "".join(f"{name:<{names}}  {origin:<{origins}}  {value}\n" for name, origin, value in rows)


def settings_toml(loaded: LoadedSettings) -> str:
    """Return the settings as a file that sets the same, but for secrets that stand in no file of their own."""
    lines = []
    for found in loaded.values:
        value = shown(found)
        if found.secret_file is not None:
            lines.append(f"{found.setting.keys[1]} = {toml_value(str(found.secret_file))}{_comment(found)}")
        elif value is not None:
            before = "" if value == as_given(found) else "# "
            lines.append(f"{before}{found.setting.name} = {toml_value(value)}{_comment(found)}")
    for name, _, table in _tables(loaded):
        lines += ["", f"[[{name}]]"]
        for key, value in masked(table).items():
            before = "" if value == table[key] else "# "
            lines.append(f"{before}{_toml_key(key)} = {toml_value(value)}")
    return "\n".join(lines) + "\n"


def example_toml() -> str:
    """Return a file that names every setting; what may be left out is commented out."""
    lines = [
        "# Lockgate's settings. Each can also be set by a variable, LOCKGATE_ and its name in capitals, which wins.",
        f"# The file is named by {CONFIG_VARIABLE} or --config. A relative path is relative to this file's folder.",
    ]
    for group, settings in groupby(SETTINGS, key=lambda setting: setting.group):
        lines += ["", f"# --- {GROUPS[group]} ---"]
        for setting in settings:
            lines += ["", f"# {setting.help}", *_example_lines(setting)]
    return "\n".join(lines) + "\n" + _EXAMPLE_ISSUER


def insert_reference(page: str) -> str:
    """Return docs/configuration.md with the tables of settings between its two marks made anew."""
    before, _, rest = page.partition(REFERENCE_BEGINS)
    _, end, after = rest.partition(REFERENCE_ENDS)
    assert end  # noqa: S101 - the page is ours
    return f"{before}{REFERENCE_BEGINS}\n\n{_reference()}\n{end}{after}"


def _reference() -> str:
    lines: list[str] = []
    for group, settings in groupby(SETTINGS, key=lambda setting: setting.group):
        lines += [f"### {GROUPS[group]}", "", "| Setting | Variable | Default | Meaning |", "| --- | --- | --- | --- |"]
        for setting in settings:
            names = ", ".join(f"`{key}`" for key in setting.keys)
            variables = ", ".join(f"`{variable}`" for variable in setting.variables)
            default = "must be set" if setting.required else f"`{setting.default}`" if setting.default else "none"
            lines.append(f"| {names} | {variables} | {default} | {setting.help} |")
        lines.append("")
    return "\n".join(lines)


def toml_value(value: Any) -> str:  # noqa: ANN401 - whatever TOML can hold
    """Write a value as TOML, on one line."""
    if isinstance(value, str):
        # JSON's strings are TOML's, but for DEL and for characters past U+FFFF. Nothing invisible reaches a terminal.
        text = json.dumps(value, ensure_ascii=False)
        return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_toml_key(key)} = {toml_value(item)}' for key, item in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return str(value)  # numbers, dates and times


def _tables(loaded: LoadedSettings) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    for key, tables in loaded.settings.tables.items():
        for number, table in enumerate(tables):
            yield key, number, table


def _comment(found: SetValue) -> str:
    return f"  # {toml_value(origin_of(found))[1:-1]}"


def _toml_key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)


def _one_line(value: Any) -> str:  # noqa: ANN401 - as above
    return "-" if value is None else value if isinstance(value, str) else toml_value(value)


def _example_lines(setting: Setting) -> Iterator[str]:
    text = setting.example or setting.default.format(data_dir=_EXAMPLE_FOLDER)
    before = "" if setting.required else "# "
    if text:
        yield f"{before}{setting.name} = {toml_value(setting.kind.from_text(text))}"
    if setting.secret:
        yield f'{before}{setting.keys[1]} = "/run/secrets/{setting.name}"'
