"""`lockgate config`: look at the settings, and find out what is wrong with them, before anything is started."""

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from lockgate.audit import load_public_key
from lockgate.audit.formats.log_policy import POLICY_CHARS_MAX, parse_log_policy
from lockgate.cli.audit.settings import load_timestamp_trust
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.local_settings import SettingsSource, source_options
from lockgate.cli.standard_output import emit
from lockgate.config import LoadedSettings, Place, Problem, Settings, SettingsError
from lockgate.config.display import example_toml, settings_document, settings_text, settings_toml
from lockgate.config.kinds import PathTo
from lockgate.config.secret_files import is_open_to_all
from lockgate.errors import ConfigError, LockgateError
from lockgate.evidence import load_trust_domains
from lockgate.rendering import plain
from lockgate.settings_tables import (
    read_alert_sources,
    read_feature_stores,
    read_issuers,
    read_registries,
    read_rollouts,
    read_usage_sources,
    read_webhooks,
)
from lockgate.storage import open_engine


@click.group()
def config() -> None:
    """Look at the settings and check them."""


@config.command()
@click.option("--output", "-o", type=click.Choice(["text", "json"]), default="text", show_default=True)
@source_options
def check(source: SettingsSource, output: str) -> int:
    """Read every setting and the files that they name, and say everything that is wrong, by file and line.

    Nothing is started, connected to or written; 'lockgate doctor' does the rest. Files with secrets that every user of
    the machine may read are warned of.

    Exit codes: 0 all can be used, 2 something cannot.

    \b
    Example:
      lockgate config check --config /etc/lockgate/lockgate.toml
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    warnings: list[Problem] = []
    try:
        loaded = source.load()
    except SettingsError as exc:
        problems = list(exc.problems)
    else:
        problems = list(_find_problems(loaded))
        warnings = list(_find_warnings(loaded))
    if output == "json":
        emit(json.dumps(_document(problems, warnings), indent=2) + "\n")
    else:
        lines = [f"wrong: {problem}" for problem in problems] + [f"warning: {warning}" for warning in warnings]
        emit("".join(f"{plain(line)}\n" for line in (lines if problems else [*lines, "ok"])))
    return ExitCode.USAGE if problems else ExitCode.ALLOW


@config.command()
@click.option("--output", "-o", type=click.Choice(["text", "toml", "json"]), default="text", show_default=True)
@source_options
def show(source: SettingsSource, output: str) -> int:
    """Show every setting in force and where it was given; secrets are masked.

    text is a table; toml is a file that sets the same, but for secrets that stand in no file of their own.

    \b
    Example:
      lockgate config show
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    loaded = source.load()
    if output == "json":
        emit(json.dumps(settings_document(loaded), indent=2, default=str) + "\n")
    else:
        document = settings_toml(loaded) if output == "toml" else settings_text(loaded)
        emit("".join(f"{plain(line) if output == 'text' else line}\n" for line in document.splitlines()))
    return ExitCode.ALLOW


@config.command()
def example() -> int:
    """Print a file with every setting, commented out but for the one that must be set.

    \b
    Example:
      lockgate config example > /etc/lockgate/lockgate.toml
    """  # noqa: D301 - \b is click's mark for lines to leave as they are
    emit(example_toml())
    return ExitCode.ALLOW


def _find_problems(loaded: LoadedSettings) -> Iterator[Problem]:
    bad: set[str] = set()
    for found in loaded.values:
        kind = found.setting.kind
        if not isinstance(kind, PathTo) or kind.made_by_us or found.value is None:
            continue
        if not (found.value.is_file() if kind.what == "a file" else found.value.is_dir()):
            bad.add(found.setting.name)
            yield Problem(place=_place(loaded, found.setting.name), text=f"there is not {kind.what} {found.value}")
    for name, needs, attempt in _TRIALS:
        if bad & {name, *needs}:
            continue
        try:
            attempt(loaded.settings)
        except LockgateError as exc:
            bad.add(name)
            yield Problem(place=_place(loaded, name), text=str(exc))
    for read in _TABLE_READERS:
        try:
            read(loaded.settings)
        except SettingsError as exc:
            yield from exc.problems


def _find_warnings(loaded: LoadedSettings) -> Iterator[Problem]:
    for found in loaded.values:
        place = found.place
        if found.secret_file is not None and is_open_to_all(found.secret_file):
            yield Problem(
                place=_place(loaded, found.setting.name), text=f"every user may read the secret in {found.secret_file}"
            )
        elif found.setting.secret and place is not None and place.file and is_open_to_all(Path(place.file)):
            yield Problem(place=place, text="every user may read this file and the secret in it")


def _place(loaded: LoadedSettings, name: str) -> Place:
    found = next(value for value in loaded.values if value.setting.name == name)
    return found.place or Place(name=found.setting.variables[0])


def _check_trust_domain(settings: Settings) -> None:
    names = load_trust_domains(settings.trust_dir).by_name
    if settings.default_trust_domain not in names:
        raise ConfigError(f"want one of {sorted(names)}")


def _check_audit_policy(settings: Settings) -> None:
    if settings.audit_policy is None:
        return
    try:
        with settings.audit_policy.open(encoding="utf-8", newline="") as file:
            parse_log_policy(file.read(POLICY_CHARS_MAX + 1))
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read it: {exc}") from exc


def _check_authorities(settings: Settings) -> None:
    if settings.opa_ca_file is None:
        return
    try:
        ssl.create_default_context(cafile=settings.opa_ca_file)
    except OSError as exc:  # also what is no certificate
        raise ConfigError("want certificates in PEM") from exc


def _check_former_key(settings: Settings) -> None:
    if settings.log_former_key_file is not None:
        load_public_key(settings.log_former_key_file)


_TRIALS: Final[tuple[tuple[str, tuple[str, ...], Callable[[Settings], Any]], ...]] = (
    ("database_url", (), lambda settings: open_engine(settings.database_url).dispose()),
    ("log_former_key_file", (), _check_former_key),
    ("audit_policy", (), _check_audit_policy),
    ("tsa_roots", (), load_timestamp_trust),
    ("trust_dir", (), lambda settings: load_trust_domains(settings.trust_dir)),
    ("default_trust_domain", ("trust_dir",), _check_trust_domain),
    ("opa_ca_file", (), _check_authorities),
)
"""Settings, what else must be right to try them, and what they are tried with; nothing is connected to."""

_TABLE_READERS: Final[tuple[Callable[[Settings], Any], ...]] = (
    lambda settings: read_issuers(settings, settings.tables["issuer"]),
    read_registries,
    read_webhooks,
    read_usage_sources,
    read_feature_stores,
    read_alert_sources,
    read_rollouts,
)
"""Each reads the arrays of tables of one room."""


def _document(problems: list[Problem], warnings: list[Problem]) -> dict[str, Any]:
    """Return the answer as JSON (schema `v1/config/check`)."""
    return {
        "schema_version": 1,
        "usable": not problems,
        "problems": [_as_json(problem) for problem in problems],
        "warnings": [_as_json(warning) for warning in warnings],
    }


def _as_json(problem: Problem) -> dict[str, Any]:
    place = problem.place
    return {
        "file": place.file or None,
        "line": place.line or None,
        "column": place.column or None,
        "name": place.name or None,
        "text": problem.text,
    }
