"""Operations of people: who they are, their pages, the way in and out, for the API's description."""

from typing import Final

from lockgate.web.api.operation import Operation

PEOPLE_OPERATIONS: Final = (
    Operation(
        method="get",
        path="/v1/me",
        operation="me.read",
        summary="Who the caller is, with the roles that this token carries, and until when",
        answers={200: "me"},
        problems=(400,),
    ),
    Operation(
        method="get",
        path="/v1/login",
        summary="Whom people log in with, for a program that logs somebody in",
        answers={200: "login"},
        problems=(400, 404),
        open=True,
    ),
    Operation(
        method="get",
        path="/",
        operation="me.read",
        summary="Who the caller is and which promotions wait for them, as a page",
        answers={200: "text/html"},
        problems=(400, 410),
        page=True,
    ),
    Operation(
        method="get",
        path="/style.css",
        summary="How pages look",
        answers={200: "text/css"},
        problems=(400,),
        open=True,
        page=True,
    ),
    Operation(
        method="get",
        path="/login",
        summary="Go to the provider to log in",
        answers={303: "text/html"},
        problems=(400, 404, 429),
        open=True,
        page=True,
    ),
    Operation(
        method="get",
        path="/login/callback",
        summary="Come back from the provider; makes a session in a cookie",
        answers={200: "text/html"},
        problems=(400, 401, 404, 429),
        query={
            "code": "What the provider gives a token for",
            "state": "What this gate gave the browser to take along",
            "iss": "The provider's name (RFC 9207)",
            "error": "Why there is no code",
        },
        open=True,
        page=True,
    ),
    Operation(
        method="post",
        path="/logout",
        summary="End the session of the cookie",
        answers={303: "text/html"},
        problems=(400, 403, 404, 429),
        open=True,
        page=True,
    ),
)
