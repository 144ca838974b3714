"""What the server itself answers where the application is never asked: problems (RFC 9457) that repeat nothing."""

import uuid
from typing import Final

import orjson
from gunicorn.http.errors import ExpectationFailed, LimitRequestHeaders, LimitRequestLine

PROBLEM_TYPE_PREFIX: Final = "https://lockgate.dev/problems/"
RETRY_AFTER_S: Final = 2  # a queue of this length is worked off within seconds
_REASONS: Final = {
    400: ("Bad Request", "http.bad_request", "The request is not understood", "want one well-formed HTTP/1.1 request"),
    408: ("Request Timeout", "http.too_slow", "The request came too slowly", "want the whole request sooner"),
    414: ("URI Too Long", "http.too_large", "The request is too large", "want a shorter request line"),
    417: (
        "Expectation Failed",
        "http.bad_request",
        "The request is not understood",
        "want no expectation but 100-continue",
    ),
    431: (
        "Request Header Fields Too Large",
        "http.too_large",
        "The request is too large",
        "want fewer, shorter headers",
    ),
    500: (
        "Internal Server Error",
        "internal.unforeseen",
        "Lockgate failed",
        "No decision was made. Tell the operator the instance.",
    ),
    503: ("Service Unavailable", "http.busy", "Too many at once", "want fewer requests at once; try again"),
}


def refusal(status: int) -> bytes:
    """Write a whole answer that ends the connection.

    Args:
        status: One of 400, 408, 414, 417, 431, 500, 503.
    """
    reason, code, title, detail = _REASONS[status]
    document = {
        "type": PROBLEM_TYPE_PREFIX + code,
        "title": title,
        "status": status,
        "detail": detail,
        "instance": f"urn:uuid:{uuid.uuid4()}",
        "code": code,
    }
    body = orjson.dumps(document)
    headers = [
        f"HTTP/1.1 {status} {reason}",
        "Connection: close",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'",
        *([f"Retry-After: {RETRY_AFTER_S}"] if status == 503 else []),  # noqa: PLR2004 - the status itself
    ]
    return "\r\n".join((*headers, "", "")).encode() + body


def status_for(error: BaseException) -> int:
    """Return the status for what gunicorn's parser refused: the client's fault, so never a 5xx."""
    match error:
        case LimitRequestLine():
            return 414
        case LimitRequestHeaders():
            return 431
        case ExpectationFailed():
            return 417
        case _:
            return 400
