"""Where values come from: command options, the environment, the file; and names there that are no settings."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from lockgate.config.errors import Place, Problem
from lockgate.config.kinds import Kind
from lockgate.config.names import CLIENT_VARIABLES, CONFIG_VARIABLE, TABLE_KEYS, TEST_PREFIX
from lockgate.config.table import SETTINGS
from lockgate.config.toml_file import TomlFile

_PREFIX: Final = "LOCKGATE_"
_NAME_CHARS_MAX: Final = 80  # of an unknown setting, in a message
_KEYS: Final = frozenset(key for setting in SETTINGS for key in setting.keys)
_VARIABLES: Final = {f"{_PREFIX}{key.upper()}": key for key in _KEYS}
_KNOWN_VARIABLES: Final = {*_VARIABLES, *CLIENT_VARIABLES, CONFIG_VARIABLE}
_KNOWN_KEYS: Final = {*_KEYS, *TABLE_KEYS}
# Kubernetes tells each process of every service in its namespace; those of one called lockgate-opa begin like this.
_SERVICE_LINK: Final = re.compile(r"(LOCKGATE(?:_[A-Z0-9_]+)?)_SERVICE_HOST", re.ASCII)


class Source(Protocol):
    """Something that settings can be given in."""

    @property
    def keys(self) -> Iterable[str]:
        """What was given here: names of settings, or of secrets' files."""
        ...

    def read(self, kind: Kind, key: str) -> Any:  # noqa: ANN401 - whatever the kind makes of it
        """Return what was given under a key, as the program uses it.

        Raises:
            UnusableValueError: It is not what the kind wants.
        """
        ...

    def place(self, key: str) -> Place:
        """Return where a key stands, or would."""
        ...


class TextSource:
    """Texts under names: the command's options, or the environment. Relative paths begin where the process is."""

    def __init__(self, texts: Mapping[str, str], name_of: Callable[[str], str]) -> None:
        self.keys = frozenset(key for key, text in texts.items() if text)  # an empty one is as good as none
        self._texts = texts
        self._name_of = name_of

    def read(self, kind: Kind, key: str) -> Any:  # noqa: ANN401 - as in `Source`
        """Return what was given under a key."""
        return kind.read(kind.from_text(self._texts[key]), Path())

    def place(self, key: str) -> Place:
        """Return the option's or the variable's name."""
        return Place(name=self._name_of(key))


class FileSource:
    """The TOML file. Relative paths begin in its folder."""

    def __init__(self, file: TomlFile) -> None:
        self.keys = frozenset(_KEYS & file.document.keys())
        self._file = file

    def read(self, kind: Kind, key: str) -> Any:  # noqa: ANN401 - as in `Source`
        """Return what was given under a key."""
        return kind.read(self._file.document[key], self._file.folder)

    def place(self, key: str) -> Place:
        """Return the key's line."""
        return self._file.place((key,))


def option_source(options: Mapping[str, str]) -> TextSource:
    """Return what the command's options give, by the names of settings."""
    return TextSource(options, lambda key: f"--{key.replace('_', '-')}")


def variable_source(environ: Mapping[str, str]) -> TextSource:
    """Return what the environment gives."""
    texts = {key: environ[variable] for variable, key in _VARIABLES.items() if variable in environ}
    return TextSource(texts, lambda key: f"{_PREFIX}{key.upper()}")


def unknown_variables(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Find variables that look like settings and are none, so that a slip of the pen is not a silent default."""
    links = tuple(match[1] for name in environ if (match := _SERVICE_LINK.fullmatch(name)))
    for name in sorted(environ):
        if not name.startswith(_PREFIX) or name in _KNOWN_VARIABLES or name.startswith(TEST_PREFIX):
            continue
        if any(name == f"{link}_PORT" or name.startswith((f"{link}_PORT_", f"{link}_SERVICE_")) for link in links):
            continue
        table = name.removeprefix(_PREFIX).lower().removesuffix("s")
        if table in TABLE_KEYS:
            text = f"want [[{table}]] tables in the file that {CONFIG_VARIABLE} names; no variable can hold them"
        else:
            text = _unknown(name.removeprefix(_PREFIX).upper(), _KNOWN_VARIABLES, _PREFIX)
        yield Problem(place=Place(name=_bounded(name)), text=text)


def unknown_keys(file: TomlFile) -> Iterator[Problem]:
    """Find keys of the file that are no settings."""
    for key in file.document:
        if key not in _KNOWN_KEYS:
            place = file.place((key,))
            yield Problem(
                place=Place(file=place.file, line=place.line, name=_bounded(key)),
                text=_unknown(key.lower(), _KNOWN_KEYS),
            )


def _unknown(name: str, known: Iterable[str], prefix: str = "") -> str:
    names = sorted(one.removeprefix(prefix) for one in known)
    near = difflib.get_close_matches(name[:_NAME_CHARS_MAX], names, n=1)
    if near:
        return f"unknown setting; did you mean {prefix}{near[0]}?"
    return "unknown setting; docs/configuration.md lists all"


def _bounded(name: str) -> str:
    return name if len(name) <= _NAME_CHARS_MAX else f"{name[:_NAME_CHARS_MAX]}..."
