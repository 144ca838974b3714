"""Options, environment, file and defaults, in this order, made into `Settings`; all that is wrong is told at once."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockgate.config.errors import Place, Problem, SettingsError, UnusableValueError
from lockgate.config.kinds import PathTo
from lockgate.config.names import CONFIG_VARIABLE, TABLE_KEYS
from lockgate.config.process import process_environment
from lockgate.config.secret_files import read_secret
from lockgate.config.settings import Settings
from lockgate.config.sources import (
    FileSource,
    Source,
    option_source,
    unknown_keys,
    unknown_variables,
    variable_source,
)
from lockgate.config.table import SETTINGS, Setting
from lockgate.config.toml_file import TomlFile, parse_key_path
from lockgate.shipped import shipped_folder

_HOST_CHARS_MAX: Final = 64  # as Linux limits a host's name
_SHIPPED_TRUST: Final = Path(__file__).parents[1] / "evidence" / "default_trust"
_SECRET_FILE: Final = PathTo(what="a file")


@dataclass(frozen=True, slots=True, kw_only=True)
class SetValue:
    """What one setting is, and where that was given."""

    setting: Setting
    value: Any
    source: Source | None  # None: nowhere, it is the default
    key: str  # the setting's name, or that of its secret's file
    secret_file: Path | None = None  # where the value lay

    @property
    def place(self) -> Place | None:
        """Where it was given; None for the default."""
        return self.source.place(self.key) if self.source else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSettings:
    """The settings, and where each comes from."""

    settings: Settings
    values: tuple[SetValue, ...]  # in the order of the table
    file: TomlFile | None


def load_settings(
    environ: Mapping[str, str] | None = None, /, *, config: Path | None = None, **options: str
) -> Settings:
    """Read the settings.

    Args:
        environ: Variables; the process's own when None.
        config: The TOML file; what `LOCKGATE_CONFIG` names when None.
        options: Command-line options by setting name, for example `data_dir="/var/lib/lockgate"`; they win.

    Raises:
        SettingsError: A setting is missing, unknown or of no use; the message has a line for each.
        TypeError: An option is no setting.
    """
    return load(environ, config=config, **options).settings


def load(environ: Mapping[str, str] | None = None, /, *, config: Path | None = None, **options: str) -> LoadedSettings:
    """Read the settings as `load_settings` does, and say where each comes from.

    Raises:
        SettingsError: As `load_settings`.
        TypeError: An option is no setting.
    """
    if unknown := options.keys() - {setting.name for setting in SETTINGS}:
        raise TypeError(f"want settings' names, got {sorted(unknown)}")
    environ = process_environment() if environ is None else environ
    named = environ.get(CONFIG_VARIABLE)
    path = config or (Path(named) if named else None)
    file = None if path is None else TomlFile(path)
    reader = _Reader([option_source(options), variable_source(environ), *([FileSource(file)] if file else [])])
    tables = {key: _read_tables(file, key, reader.problems) for key in TABLE_KEYS}
    values = {setting.name: reader.read(setting) for setting in SETTINGS}
    reader.problems.extend(_contradictions(values))
    reader.problems.extend(unknown_variables(environ))
    if file is not None:
        reader.problems.extend(unknown_keys(file))
    found = tuple(value for value in values.values() if value is not None)
    if reader.problems:
        # By lines, as an editor shows them; what has none comes first.
        raise SettingsError(sorted(reader.problems, key=lambda problem: (problem.place.file, problem.place.line)))
    settings = Settings(
        config_file=path and path.absolute(), tables=tables, **{value.setting.name: value.value for value in found}
    )
    return LoadedSettings(settings=settings, values=found, file=file)


def load_tables(config_file: Path, key: str) -> tuple[Mapping[str, Any], ...]:
    """Read the `[[issuer]]` tables, or others, anew as they stand; the room that they are for checks them.

    Raises:
        SettingsError: The file cannot be read or parsed, or they are no tables.
    """
    problems: list[Problem] = []
    tables = _read_tables(TomlFile(config_file), key, problems)
    if problems:
        raise SettingsError(problems)
    return tables


def settings_error_at(config_file: Path | None, key_path: str, text: str) -> SettingsError:
    """Return the error for something in the file that only a room of the program could find wrong.

    Args:
        config_file: `Settings.config_file`.
        key_path: Where, as `issuer[0].rule[1].claims`.
        text: What is wrong there.
    """
    place = Place(name=key_path) if config_file is None else TomlFile(config_file).place(parse_key_path(key_path))
    return SettingsError([Problem(place=Place(file=place.file, line=place.line, name=key_path), text=text)])


class _Reader:
    """Reads one setting after the other and keeps what is wrong with them."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.problems: list[Problem] = []
        self._sources = sources
        self._defaults: dict[str, str] = {
            "data_dir": "/",  # until it is known; where it is not, nothing is made of the defaults below it
            "host": socket.gethostname()[:_HOST_CHARS_MAX] or "lockgate",
            "shipped_policies": str(shipped_folder("policies")),
            "shipped_trust": str(_SHIPPED_TRUST),
        }

    def read(self, setting: Setting) -> SetValue | None:
        """Return what a setting is; None if that cannot be said, and `problems` says why."""
        for source in self._sources:
            keys = [key for key in setting.keys if key in source.keys]
            if not keys:
                continue
            try:
                found = _read_from(source, setting, keys)
            except UnusableValueError as exc:
                self._complain(source.place(keys[-1]), str(exc))
                return None
            if found.value not in ("", (), None):  # an empty one is as good as none
                return self._remember(found)
        if setting.required:
            option = f"--{setting.name.replace('_', '-')}"
            self._complain(Place(name=setting.variables[0]), f"want it set, or {option}, or {setting.name} in the file")
            return None
        text = setting.default.format_map(self._defaults)
        value = setting.kind.read(setting.kind.from_text(text), Path())
        return self._remember(SetValue(setting=setting, value=value, source=None, key=setting.name))

    def _remember(self, found: SetValue) -> SetValue:
        if found.setting.name in self._defaults:
            self._defaults[found.setting.name] = str(found.value)
        return found

    def _complain(self, place: Place, text: str) -> None:
        self.problems.append(Problem(place=place, text=text))


def _read_from(source: Source, setting: Setting, keys: Sequence[str]) -> SetValue:
    if len(keys) > 1:
        raise UnusableValueError(f"want {keys[0]} or {keys[1]}, got both")
    if keys[0] == setting.name:
        return SetValue(setting=setting, value=source.read(setting.kind, keys[0]), source=source, key=keys[0])
    path = source.read(_SECRET_FILE, keys[0])
    if path is None:
        return SetValue(setting=setting, value="", source=source, key=keys[0])
    value = setting.kind.read(read_secret(path), Path())
    return SetValue(setting=setting, value=value, source=source, key=keys[0], secret_file=path)


def _read_tables(file: TomlFile | None, key: str, problems: list[Problem]) -> tuple[Mapping[str, Any], ...]:
    tables = [] if file is None else file.document.get(key, [])
    if isinstance(tables, list) and all(isinstance(one, dict) for one in tables):
        return tuple(tables)
    assert file is not None  # noqa: S101 - none has no tables
    problems.append(Problem(place=file.place((key,)), text=f"want [[{key}]] tables"))
    return ()


def _contradictions(values: Mapping[str, SetValue | None]) -> Iterator[Problem]:
    """Find settings that are each well and do not go together. What could not be read was told already."""
    known = {name: value for name, value in values.items() if value is not None}

    def problem(name: str, text: str) -> Problem:
        return Problem(place=known[name].place or Place(name=known[name].setting.variables[0]), text=text)

    both = {"policy_engine", "opa_url"} <= known.keys()
    if both and (known["policy_engine"].value == "opa") != bool(known["opa_url"].value):
        yield problem("opa_url", "want it exactly when policy_engine is 'opa'")
    if "login_issuer" in known and known["login_issuer"].value:
        for name in ("login_client_id", "public_url"):
            if name in known and not known[name].value:
                yield problem(name, "want it where login_issuer is set")
    elif {"login_issuer", "login_client_id"} <= known.keys() and known["login_client_id"].value:
        yield problem("login_client_id", "want it only where login_issuer is set")
