"""What every answer tells whoever shows it: nothing here is a page, nothing may be framed, kept or read by others."""

from typing import Final

from flask import Flask, Response

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
HTTPS_ONLY: Final = "max-age=31536000; includeSubDomains"  # a year, the least that browsers' lists take


def register_headers(app: Flask, *, https: bool) -> None:
    """Set the headers on every answer, unless a view chose its own.

    There is no Access-Control-Allow-Origin on purpose: no page of another origin may read an answer.

    Args:
        app: The application.
        https: Whether callers reach it over TLS, so that browsers may insist on it.
    """

    def add(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if https:
            response.headers["Strict-Transport-Security"] = HTTPS_ONLY
        return response

    app.after_request(add)
