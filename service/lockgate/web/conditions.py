"""Changes only to what the caller saw: `ETag` on answers, `If-Match` on changes (RFC 9110, section 13.1.1)."""

import re
from typing import Final

from flask import Response, request

from lockgate.web.problems import ConditionMissingError, ParameterError

_ROW_VERSION: Final = re.compile(r'"([1-9][0-9]{0,8})"', re.ASCII)  # as we write them: a strong tag, one of them


def tagged(response: Response, row_version: int) -> Response:
    """Let an answer say which row version it shows."""
    response.headers["ETag"] = f'"{row_version}"'
    return response


def matched_row_version() -> int:
    """Return the row version that the caller saw.

    Raises:
        ConditionMissingError: There is no `If-Match`.
        ParameterError: It is not one tag as an `ETag` of ours.
    """
    given = request.headers.get("If-Match")
    if given is None:
        raise ConditionMissingError("want If-Match with the ETag of the answer that was looked at")
    match = _ROW_VERSION.fullmatch(given)
    if match is None:
        raise ParameterError('want If-Match with one tag as an ETag of ours, for example "3"')
    return int(match[1])
