"""One TOML file, and on which line of it each key stands.

`tomllib` keeps no line numbers. They are found with `tomllib` itself, and only when somebody asks: the first lines of
a file parse exactly where no statement is cut in two, so a key begins after the longest such piece that lacks it.
"""

import re
import tomllib
from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Final, TypeAlias

from lockgate.config.errors import Place, Problem, SettingsError

FILE_BYTES_MAX: Final = 1024 * 1024  # a thousand issuers' rules
FILE_LINES_MAX: Final = 20_000  # the same; each costs one parse when something is wrong
STATEMENT_LINES_MAX: Final = 500  # each line of one array costs a parse of all before it; then none is looked into
_DETAIL_CHARS_MAX: Final = 200  # of a parser's message; it names keys, never values
_POSITION: Final = re.compile(r" \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)$")
_STEP: Final = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")

KeyPath: TypeAlias = Sequence[str | int]
"""Names of tables and numbers of array elements, from the top: `("issuer", 0, "audience")`."""


class TomlFile:
    """A TOML file that was read and parsed.

    Attributes:
        path: As it was named, for messages.
        document: What it holds.
    """

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            SettingsError: It cannot be read, is too long, or is not TOML; the message holds the line and the column.
        """
        self.path = path
        self._lines = _read(path).split("\n")
        if len(self._lines) > FILE_LINES_MAX:
            raise _unreadable(path, f"want at most {FILE_LINES_MAX} lines, got {len(self._lines)}")
        self.document = self._parse()

    @property
    def folder(self) -> Path:
        """What the relative paths in it are relative to."""
        return self.path.absolute().parent

    def place(self, keys: KeyPath) -> Place:
        """Return where a key stands, or, if it is not there, the nearest table around it."""
        while keys and not _holds(self.document, keys):
            keys = keys[:-1]
        return Place(file=str(self.path), line=self._line_of(keys) if keys else 1, name=format_key_path(keys))

    def _line_of(self, keys: KeyPath) -> int:
        # A longer piece holds all that a shorter one does, so the first piece that holds the key can be halved for.
        ends = self._statement_ends
        first = bisect_left(ends, 1, key=lambda end: int(_holds(tomllib.loads("\n".join(self._lines[:end])), keys)))
        return (ends[first - 1] if first else 0) + 1

    @cached_property
    def _statement_ends(self) -> list[int]:
        # After how many lines no statement is open, ascending; the end of the file is the last. A blank line and a
        # comment end by themselves, so a statement begins right after the end before it.
        ends: list[int] = []
        begin = 0
        for end in range(1, len(self._lines) + 1):
            if end - begin > STATEMENT_LINES_MAX:
                break
            try:
                tomllib.loads("\n".join(self._lines[begin:end]))
            except ValueError:
                continue
            ends.append(end)
            begin = end
        if not ends or ends[-1] != len(self._lines):
            ends.append(len(self._lines))
        return ends

    def _parse(self) -> dict[str, Any]:
        try:
            return tomllib.loads("\n".join(self._lines))
        except tomllib.TOMLDecodeError as exc:
            position = _POSITION.search(str(exc))
            line, column = (position[1], position[2]) if position else (None, None)
            text = _POSITION.sub("", str(exc))[:_DETAIL_CHARS_MAX]
            place = Place(file=str(self.path), line=int(line or len(self._lines)), column=int(column or 0))
            raise SettingsError([Problem(place=place, text=f"want TOML: {text}")]) from None  # it would show all of it
        except (ValueError, RecursionError) as exc:  # a number of 5,000 digits; 1,000 brackets
            raise _unreadable(self.path, "want TOML: a number is too long, or arrays are nested too deeply") from exc


def parse_key_path(text: str) -> KeyPath:
    """Read `issuer[0].rule[1].claims`; the inverse of `format_key_path` for keys without dots and brackets."""
    return [step[1] if step[1] is not None else int(step[2]) for step in _STEP.finditer(text)]


def format_key_path(keys: KeyPath) -> str:
    """Write a path as people read it: `issuer[0].rule[1].claims`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as exc:
        raise _unreadable(path, f"cannot read it: {exc.strerror}") from exc
    if len(data) > FILE_BYTES_MAX:
        raise _unreadable(path, f"want at most {FILE_BYTES_MAX} bytes")
    try:
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as exc:
        line = data[: exc.start].count(b"\n") + 1
        place = Place(file=str(path), line=line)
        raise SettingsError([Problem(place=place, text="want UTF-8 text")]) from None  # the error holds the bytes


def _unreadable(path: Path, text: str) -> SettingsError:
    return SettingsError([Problem(place=Place(file=str(path)), text=text)])


def _holds(document: Any, keys: KeyPath) -> bool:  # noqa: ANN401 - whatever TOML can hold
    for key in keys:
        if isinstance(document, dict):
            if key not in document:
                return False
        elif not (isinstance(document, list) and isinstance(key, int) and key < len(document)):
            return False
        document = document[key]
    return True
