"""Values as they may be shown: whatever is secret, or looks like it, is masked, rather too much than too little."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from lockgate.config.loading import SetValue

MASK: Final = "********"
_MASKED_PART: Final = "***"
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://", re.ASCII)
_USER: Final = re.compile(r"[^:/?#@]*")
_PARAMETER: Final = re.compile(r"([?&][^=&#]*(?:pass|secret|token|api.?key)[^=&#]*=)[^&#]*", re.IGNORECASE)


def shown(found: SetValue) -> Any:  # noqa: ANN401 - what TOML and JSON can both hold
    """Return a setting's value to be shown: text, a number, an array of texts; None if there is none."""
    value = as_given(found)
    return MASK if found.setting.secret and value and not _SCHEME.match(value) else masked(value)


def as_given(found: SetValue) -> Any:  # noqa: ANN401 - as above
    """Return a setting's value as a file would hold it, secrets in clear; None if there is none."""
    value = found.value
    if isinstance(value, tuple):
        return list(value) or None
    if isinstance(value, Path):
        return str(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value or None


def masked(value: Any) -> Any:  # noqa: ANN401 - whatever TOML can hold
    """Return a value in which every URL has its password masked, also one among its parameters."""
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
    # Up to the last '@', not the first: a password that should have been escaped may hold one.
    who, at, where = rest.rpartition("@")
    if at:
        user = _USER.match(who)
        if scheme[1].lower() in {"http", "https"}:  # there a user without a password is a token, often
            who = _MASKED_PART
        elif user is not None and user[0] != who:
            who = f"{user[0]}:{_MASKED_PART}"
    return scheme[0] + who + at + _PARAMETER.sub(rf"\1{_MASKED_PART}", where)
