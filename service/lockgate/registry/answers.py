"""What a registry's JSON says, read strictly: a field of a wrong type is an answer that we do not know. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lockgate.clock import EpochNs
from lockgate.registry.errors import RegistryAnswerError

TEXT_CHARS_MAX: Final = 65_536  # MLflow keeps no value above 8,000; descriptions are the longest
LIST_ITEMS_MAX: Final = 10_000  # metrics of one run; a model has tens of tags
NAME_CHARS_MAX: Final = 1024  # registries' own columns hold 256
_TIME_MS_MAX: Final = 2**63 // 1_000_000 - 1  # what 64 bits of nanoseconds hold


@dataclass(frozen=True, slots=True)
class Fields:
    """An object of an answer, with what it is called there. A field that is missing or null is empty."""

    where: str
    values: Mapping[str, Any]

    def text(self, key: str) -> str:
        """Return a text.

        Raises:
            RegistryAnswerError: It is something else, or too long.
        """
        value = self._get(key, str) or ""
        if len(value) > TEXT_CHARS_MAX:
            raise RegistryAnswerError(f"{self.where}.{key}: want at most {TEXT_CHARS_MAX} characters, got {len(value)}")
        return str(value)

    def name(self, key: str) -> str:
        """Return a text that names something: not empty, and short.

        Raises:
            RegistryAnswerError: It is something else.
        """
        value = self.text(key)
        if not 0 < len(value) <= NAME_CHARS_MAX:
            raise RegistryAnswerError(f"{self.where}.{key}: want 1 to {NAME_CHARS_MAX} characters, got {len(value)}")
        return value

    def scalar(self, key: str) -> str:
        """Return a text or a number, as text.

        Raises:
            RegistryAnswerError: It is something else, or too long.
        """
        value = self.values.get(key)
        return str(value) if type(value) in {int, float} else self.text(key)

    def integer(self, key: str) -> int:
        """Return a whole number from 0, also one that is written as text; 0 where it is missing.

        Raises:
            RegistryAnswerError: It is something else.
        """
        value = self.values.get(key) or 0
        if type(value) is str and value.isascii() and value.isdecimal() and len(value) <= len(str(2**63)):
            value = int(value)
        if type(value) is not int or not 0 <= value < 2**63:
            raise RegistryAnswerError(f"{self.where}.{key}: want a whole number of 63 bits, got {_kind(value)}")
        return value

    def time_ms(self, key: str) -> EpochNs | None:
        """Return a time that is given in milliseconds since 1970, None where it is missing or 0.

        Raises:
            RegistryAnswerError: It is something else, or after the year 2262.
        """
        value = self.integer(key)
        if value > _TIME_MS_MAX:
            raise RegistryAnswerError(f"{self.where}.{key}: want a time in milliseconds before the year 2262")
        return EpochNs(value * 1_000_000) if value else None

    def flag(self, key: str) -> bool:
        """Return a truth value; False where it is missing.

        Raises:
            RegistryAnswerError: It is something else.
        """
        return bool(self._get(key, bool))

    def object(self, key: str) -> "Fields":
        """Return an object.

        Raises:
            RegistryAnswerError: It is something else.
        """
        return Fields(f"{self.where}.{key}", self._get(key, dict) or {})

    def objects(self, key: str, *, items_max: int = LIST_ITEMS_MAX) -> tuple["Fields", ...]:
        """Return a list of objects.

        Raises:
            RegistryAnswerError: It is something else, or too long.
        """
        items = self._get(key, list) or []
        if len(items) > items_max:
            raise RegistryAnswerError(f"{self.where}.{key}: want at most {items_max} items, got {len(items)}")
        if not all(isinstance(item, dict) for item in items):
            raise RegistryAnswerError(f"{self.where}.{key}: want objects only")
        return tuple(Fields(f"{self.where}.{key}[{index}]", item) for index, item in enumerate(items))

    def _get(self, key: str, kind: type[str | bool | dict[str, Any] | list[Any]]) -> Any:  # noqa: ANN401 - what `kind` says
        value = self.values.get(key)
        if value is not None and not isinstance(value, kind):
            raise RegistryAnswerError(f"{self.where}.{key}: want {_KINDS[kind]}, got {_kind(value)}")
        return value


_KINDS: Final[Mapping[type, str]] = {
    str: "a text",
    dict: "an object",
    list: "a list",
    bool: "a truth value",
    int: "a number",
    float: "a number",
}


def _kind(value: object) -> str:
    return _KINDS.get(type(value), "null")


def is_name(name: str) -> bool:
    """Tell whether a registry can know something of this name, so that it is worth asking."""
    is_unicode = not any("\ud800" <= character <= "\udfff" for character in name)
    return 0 < len(name) <= NAME_CHARS_MAX and "\0" not in name and is_unicode
