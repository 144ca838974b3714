"""Pages written from templates: every value escaped, everything invisible spelt out, nothing loaded from elsewhere."""

from typing import Any, Final

from flask import Response, render_template

from lockgate.errors import LockgateError
from lockgate.web.problems import lockgate_problem

# Nothing but our own stylesheet and forms; no script, no inline style, no frame, no base that moves links.
POLICY: Final = (
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)


def page(template: str, *, status: int = 200, **values: Any) -> Response:  # noqa: ANN401 - whatever a template shows
    """Write a page.

    Args:
        template: Its file in `templates`.
        status: The HTTP status.
        values: What it shows.
    """
    response = Response(render_template(template, **values), status=status, mimetype="text/html")
    response.headers["Content-Security-Policy"] = POLICY
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


def problem_page(error: LockgateError, *, login: bool) -> Response:
    """Write what an error means, with the status and headers that the API answers with.

    Args:
        error: What went wrong.
        login: Whether people log in here.
    """
    problem = lockgate_problem(error)
    response = page("problem.html", status=problem.status_code, problem=problem.get_json(), login=login)
    for name in ("Retry-After", "WWW-Authenticate"):
        if name in problem.headers:
            response.headers[name] = problem.headers[name]
    return response
