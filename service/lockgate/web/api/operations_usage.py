"""Operations on counts of uses, for the API's description."""

from typing import Final

from lockgate.web.api.operation import Operation

_PAGE: Final = {"limit": "Items on a page, 1 to 100", "cursor": "next_cursor of the page before"}

USAGE_OPERATIONS: Final = (
    Operation(
        method="post",
        path="/v1/usage",
        operation="usage.record",
        summary="Tell how often versions were used, by day; a count that is told twice counts once",
        body="usage_report",
        answers={200: "usage_answer"},
        problems=(400, 411, 413, 415, 422, 503),
    ),
    Operation(
        method="get",
        path="/v1/usage",
        operation="usage.read",
        summary="Counts of uses, by model, version, environment, day and who counted",
        answers={200: "usage_list"},
        problems=(400, 503),
        query={
            "model": "A model's exact name",
            "environment": "One environment only",
            "since": "Of this day and later, as YYYY-MM-DD (UTC)",
            **_PAGE,
        },
    ),
    Operation(
        method="get",
        path="/v1/usage/idle",
        operation="usage.read",
        summary="Live versions that nobody seems to use, each with the reason to think so",
        answers={200: "idle_list"},
        problems=(400, 503),
        query={"days": "For how long nobody used them, 1 to 400; 30 if not said", **_PAGE},
    ),
)
