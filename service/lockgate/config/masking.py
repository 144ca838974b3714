"""Values as they may be shown: whatever is secret, or looks like it, is masked, rather too much than too little."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lockgate.config.loading import SetValue

MASK: Final = "********"
_MASKED_PART: Final = "***"
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://", re.ASCII)
# Of another scheme it is no database's URL but something else in its place: a password with "://" in it, for example.
_DATABASE: Final = re.compile(r"(?:sqlite|postgres(?:ql)?)(?:\+[a-z0-9]+)?://", re.ASCII)
_PARAMETER: Final = re.compile(r"[?&][^=&#]*(?:pass|secret|token|api.?key)[^=&#]*=", re.IGNORECASE)
_QUERY: Final = re.compile(r"[?#]")


def shown(found: SetValue) -> Any:  # noqa: ANN401 - what TOML and JSON can both hold
    """Return a setting's value to be shown: text, a number, an array of texts; None if there is none."""
    value = as_given(found)
    if found.setting.secret and value and not (found.setting.is_url and _DATABASE.match(value)):
        return MASK
    return masked(value)


def as_given(found: SetValue) -> Any:  # noqa: ANN401 - as above
    """Return a setting's value as a file would hold it, secrets in clear; None if there is none."""
    value = found.value
    if isinstance(value, tuple):
        return list(value) or None
    if isinstance(value, Path):
        return str(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value or None


def masked(value: Any) -> Any:  # noqa: ANN401 - whatever TOML can hold
    """Return a value in which every URL has its password masked, also one among its parameters.

    Of an http or https URL no parameter is shown: each service has its own name for the secret one.
    """
    if isinstance(value, str):
        return _masked_text(value)
    if isinstance(value, list):
        return [masked(item) for item in value]
    if isinstance(value, Mapping):
        return {key: masked(item) for key, item in value.items()}
    return value


def _masked_text(text: str) -> str:
    scheme = _SCHEME.match(text)
    if scheme is None:
        return text
    rest = text[scheme.end() :]
    if scheme[1] == "sqlite" and rest.startswith("/"):
        return text  # a path
    # A password that should have been escaped may hold whatever else ends one. So it reaches to the last '@', and one
    # among the parameters to the very end; where both could be meant, nothing is shown.
    who, at, where = rest.rpartition("@")
    on_the_web = scheme[1].lower() in {"http", "https"}
    hidden = _QUERY if on_the_web else _PARAMETER
    if hidden.search(who):
        return scheme[0] + _MASKED_PART
    if at and on_the_web:
        who = _MASKED_PART  # a user without a password is a token there, often
    elif at:
        user = re.split(r"[:/?#@]", who, maxsplit=1)[0]
        who = who if user == who else f"{user}:{_MASKED_PART}"
    begin = hidden.search(where)
    if begin is not None:
        where = where[: begin.end()] + _MASKED_PART
    return scheme[0] + who + at + where
