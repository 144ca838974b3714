"""The kinds of values that a setting can have: what each looks like in TOML, in a variable, and in the program.

Every kind has the same two methods. `from_text` makes of a variable's or an option's text what TOML would hold;
`read` checks that and makes what the program uses. Both raise `UnusableValueError`, `want ..., got ...`.
"""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from lockgate.config.errors import UnusableValueError

TEXT_CHARS_MAX: Final = 4096  # the longest path on Linux; no URL or command word of ours is longer
WORDS_MAX: Final = 64  # of one setting: the arguments of a command, the names of environments
_GOT_CHARS_MAX: Final = 40  # enough of a wrong value to find it
_INT_BITS_SHOWN_MAX: Final = 64  # Python refuses to spell out the longest numbers that TOML can write in hexadecimal
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # controls; and bytes of a variable that are no UTF-8
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,9})?", re.ASCII)
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_TOML_NAMES: Final = (
    (bool, "a boolean"),
    (int | float, "a number"),
    (str, "text"),
    (list, "an array"),
    (dict, "a table"),
)


class Kind(Protocol):
    """What a setting's value must be."""

    def from_text(self, text: str) -> Any:  # noqa: ANN401 - whatever TOML can hold
        """Return what TOML would hold for the text of a variable or an option."""
        ...

    def read(self, value: Any, folder: Path) -> Any:  # noqa: ANN401 - as above; and whatever the field's type is
        """Return what the program uses.

        Args:
            value: As TOML holds it.
            folder: What a relative path is relative to.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string. An empty one is as good as none, and is not checked."""

    want: str = "text"
    fits: Callable[[str], object] = lambda _text: True
    private: bool = False  # may hold a secret: never shown, not even when it is wrong

    def from_text(self, text: str) -> str:
        """Return the text."""
        return text

    def read(self, value: Any, folder: Path) -> str:  # noqa: ANN401 - as in `Kind`
        """Return the text, checked."""
        del folder
        text = _text(value, self.want)
        if text and not self.fits(text):
            raise UnusableValueError(f"want {self.want}" if self.private else f"want {self.want}, got {_got(text)}")
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class PathTo:
    """A path; whether something is there is found out by whoever opens it."""

    what: Literal["a file", "a folder"]
    made_by_us: bool = False  # it may be missing: Lockgate makes it

    def from_text(self, text: str) -> str:
        """Return the text."""
        return text

    def read(self, value: Any, folder: Path) -> Path | None:  # noqa: ANN401 - as in `Kind`
        """Return the path, absolute; None for an empty text."""
        text = _text(value, f"the path of {self.what}")
        return Path(folder, text).absolute() if text else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """An array of strings; in a variable, words as a shell separates them. No shell ever reads them."""

    word: Text = Text()

    def from_text(self, text: str) -> list[str]:
        """Return the words."""
        try:
            return shlex.split(text)
        except ValueError as exc:
            raise UnusableValueError(f"want words as a shell reads them: {exc}") from exc

    def read(self, value: Any, folder: Path) -> tuple[str, ...]:  # noqa: ANN401 - as in `Kind`
        """Return the words, each checked."""
        if not isinstance(value, list):
            raise UnusableValueError(f"want an array of strings, got {_toml_name(value)}")
        if len(value) > WORDS_MAX:
            raise UnusableValueError(f"want at most {WORDS_MAX} words, got {len(value)}")
        words = tuple(self.word.read(word, folder) for word in value)
        if "" in words:
            raise UnusableValueError("want no empty word")
        return words


@dataclass(frozen=True, slots=True, kw_only=True)
class Seconds:
    """A number of seconds, above 0 or from `at_least` on."""

    at_least: float = 0
    at_most: float

    def from_text(self, text: str) -> float:
        """Return the number, an integer where it is written so."""
        if not _NUMBER.fullmatch(text):
            raise UnusableValueError(f"want a number of seconds, got {_got(text)}")
        return float(text) if "." in text else int(text)

    def read(self, value: Any, folder: Path) -> float:  # noqa: ANN401 - as in `Kind`
        """Return the seconds."""
        del folder
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnusableValueError(f"want a number of seconds, got {_toml_name(value)}")
        if value < self.at_least or not 0 < value <= self.at_most:  # the second also refuses NaN
            want = f"at least {self.at_least:g}" if self.at_least else "more than 0"
            raise UnusableValueError(f"want {want} and at most {self.at_most:.15g} seconds, got {_got(value)}")
        return float(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A whole number from 1 on."""

    at_most: int

    def from_text(self, text: str) -> int:
        """Return the number."""
        if not _INTEGER.fullmatch(text):
            raise UnusableValueError(f"want a whole number from 1 to {self.at_most}, got {_got(text)}")
        return int(text)

    def read(self, value: Any, folder: Path) -> int:  # noqa: ANN401 - as in `Kind`
        """Return the number."""
        del folder
        if isinstance(value, bool) or not isinstance(value, int):
            raise UnusableValueError(f"want a whole number from 1 to {self.at_most}, got {_toml_name(value)}")
        if not 1 <= value <= self.at_most:
            raise UnusableValueError(f"want a whole number from 1 to {self.at_most}, got {_got(value)}")
        return value


def one_of(words: Sequence[str]) -> Text:
    """Return the kind of a text that is one of a few."""
    return Text(want=" or ".join(repr(word) for word in words), fits=words.__contains__)


def _text(value: object, want: str) -> str:
    if not isinstance(value, str):
        raise UnusableValueError(f"want {want}, got {_toml_name(value)}")
    if len(value) > TEXT_CHARS_MAX:
        raise UnusableValueError(f"want at most {TEXT_CHARS_MAX} characters, got {len(value)}")
    if _UNFIT.search(value):
        raise UnusableValueError("want UTF-8 text without control characters")
    return value


def _toml_name(value: object) -> str:
    return next((name for types, name in _TOML_NAMES if isinstance(value, types)), "a date or a time")


def _got(value: str | float) -> str:
    if isinstance(value, int) and value.bit_length() > _INT_BITS_SHOWN_MAX:
        return f"a number of {value.bit_length()} bits"
    return repr(value[:_GOT_CHARS_MAX]) if isinstance(value, str) else f"{value}"
