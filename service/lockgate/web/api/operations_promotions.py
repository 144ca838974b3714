"""Operations on promotions and forecasts, for the API's description."""

from typing import Final

from lockgate.promotion import PromotionState
from lockgate.web.api.operation import Operation

_ID: Final = "/v1/promotions/{promotion_id}"

PROMOTION_OPERATIONS: Final = (
    Operation(
        method="post",
        path="/v1/promotions",
        operation="promotions.create",
        summary="Ask whether an exact artifact may move",
        body="promotion_request",
        answers={201: "promotion_answer", 202: "promotion_answer"},
        problems=(400, 410, 411, 413, 415, 422, 500, 503),
        idempotent=True,
    ),
    Operation(
        method="get",
        path="/v1/promotions",
        operation="promotions.list",
        summary="List promotions, newest first",
        answers={200: "promotion_list"},
        problems=(400, 503),
        query={
            "state": f"One of {', '.join(PromotionState)}",
            "model": "A model's exact name",
            "limit": "Items on a page, 1 to 100",
            "cursor": "next_cursor of the page before",
        },
    ),
    Operation(
        method="get",
        path=_ID,
        operation="promotions.read",
        summary="Where a promotion stands, with its newest decision and receipt",
        answers={200: "promotion_answer"},
        problems=(400, 404, 410, 503),
    ),
    Operation(
        method="post",
        path=f"{_ID}/approvals",
        operation="promotions.approve",
        summary="Approve or reject exactly what the promotion holds, and decide anew",
        body="approval_request",
        answers={201: "approval_answer"},
        problems=(400, 404, 409, 411, 413, 415, 422, 500, 503),
    ),
    Operation(
        method="post",
        path=f"{_ID}/withdraw",
        operation="promotions.withdraw",
        summary="Take a pending promotion back",
        body="withdrawal_request",
        answers={200: "withdrawal_answer"},
        problems=(400, 404, 409, 411, 413, 415, 422, 503),
    ),
    Operation(
        method="post",
        path="/v1/decisions:dry-run",
        operation="decisions.dry_run",
        summary="Forecast a decision; nothing is recorded and nothing is permitted",
        body="promotion_request",
        answers={200: "dry_run_answer"},
        problems=(400, 411, 413, 415, 422, 500, 503),
    ),
)
