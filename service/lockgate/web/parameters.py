"""Query parameters and headers, read strictly: one spelling, named limits."""

import re
from typing import Final

from flask import request

from lockgate.audit.reading.queries import parse_bound
from lockgate.clock import EpochNs, TimestampError
from lockgate.web.problems import LengthRequiredError, MediaTypeError, ParameterError

PAGE_ITEMS_MAX: Final = 100
PAGE_ITEMS_DEFAULT: Final = 50
_INTEGER: Final = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)


def allow_only(*names: str) -> None:
    """Refuse a query parameter that the resource does not know, or one given twice.

    Raises:
        ParameterError: There is one; a misspelt filter must not silently match everything.
    """
    for name, values in request.args.lists():
        if name not in names:
            raise ParameterError(f"want only the parameters {sorted(names)}, got {name[:40]!r}")
        if len(values) != 1:
            raise ParameterError(f"want {name!r} once, got it {len(values)} times")


def integer(name: str, default: int | None = None, *, at_most: int = 10**18) -> int:
    """Read a non-negative integer parameter in its one spelling.

    Raises:
        ParameterError: It is missing without a default, misspelt or too large.
    """
    text = request.args.get(name)
    if text is None and default is not None:
        return default
    if text is None or not _INTEGER.fullmatch(text) or int(text) > at_most:
        raise ParameterError(f"want {name} as an integer from 0 to {at_most}, without leading zeros")
    return int(text)


def page_limit(*, at_most: int = PAGE_ITEMS_MAX) -> int:
    """Read `limit`: how many items a page holds.

    Raises:
        ParameterError: It is not from 1 to `at_most`.
    """
    limit = integer("limit", PAGE_ITEMS_DEFAULT, at_most=at_most)
    if limit == 0:
        raise ParameterError(f"want limit from 1 to {at_most}")
    return limit


def text(name: str, pattern: re.Pattern[str]) -> str:
    """Read an optional text parameter; "" when it is not given.

    Raises:
        ParameterError: It does not match.
    """
    value = request.args.get(name, "")
    if value and not pattern.fullmatch(value):
        raise ParameterError(f"want {name} of the form {pattern.pattern}")
    return value


def instant(name: str) -> EpochNs | None:
    """Read an optional instant, for example `2026-11-23T09:00:00Z`; None when it is not given.

    Raises:
        ParameterError: It is none.
    """
    try:
        return parse_bound(request.args[name]) if name in request.args else None
    except TimestampError as exc:
        raise ParameterError(f"{name}: {exc}") from exc


def json_body() -> bytes:
    """Return the request's body, which must be declared as JSON.

    Raises:
        LengthRequiredError: The body's length is not declared, so that it cannot be refused before it is read.
        MediaTypeError: Another content type, or a content encoding, is declared.
        RequestEntityTooLarge: The body exceeds the application's limit.
    """
    if request.mimetype != "application/json" or request.content_encoding:
        raise MediaTypeError("want Content-Type: application/json without a Content-Encoding")
    if request.content_length is None:
        raise LengthRequiredError("want a Content-Length: a body of unknown length is not read")
    return request.get_data(cache=False)
