"""The JSON that the guard reads and writes: one value for one name, bounded, ASCII."""

import json
from typing import Any


class JSONTextError(Exception):
    """A text is no JSON object with one value for each name."""


def parse_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object in UTF-8. The caller has bounded its length.

    Raises:
        JSONTextError: It is something else, or a name stands in it twice.
    """
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    # Nesting ends the parser with a RecursionError, a number of thousands of digits with a ValueError.
    except (ValueError, RecursionError) as exc:
        raise JSONTextError("want a JSON object, got something else") from exc
    if not isinstance(value, dict):
        raise JSONTextError("want a JSON object, got something else")
    return value


def format_object(value: dict[str, Any]) -> str:
    """Return an object as one line of ASCII, whatever characters are in it."""
    return json.dumps(value, separators=(",", ":"))


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise JSONTextError("a name stands twice in an object")
    return made
