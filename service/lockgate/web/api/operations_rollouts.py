"""Operations on rollouts and what is live, for the API's description."""

from typing import Final

from lockgate.web.api.operation import Operation

_ID: Final = "/v1/promotions/{promotion_id}"
_LIVE: Final = "/v1/live/{name}/{environment}"

ROLLOUT_OPERATIONS: Final = (
    Operation(
        method="post",
        path=f"{_ID}/permit",
        operation="rollouts.permit",
        summary="Decide anew and, if it is still allowed, get a permit to carry the promotion out",
        answers={201: "rollout_answer"},
        problems=(400, 404, 409, 410, 500, 503),
    ),
    Operation(
        method="post",
        path=f"{_ID}/reports",
        operation="rollouts.report",
        summary="Say what became of a permit, or ask for the next step of a rollout",
        body="rollout_report",
        answers={201: "rollout_answer"},
        problems=(400, 404, 409, 410, 411, 413, 415, 422, 500, 503),
    ),
    Operation(
        method="post",
        path="/v1/rollbacks",
        operation="rollbacks.create",
        summary="Ask for the last good version of a model back, or for a named earlier one",
        body="rollback_request",
        answers={201: "promotion_answer", 202: "promotion_answer"},
        problems=(400, 409, 410, 411, 413, 415, 422, 500, 503),
        idempotent=True,
    ),
    Operation(
        method="get",
        path="/v1/holds",
        operation="holds.list",
        summary="The holds in force",
        answers={200: "hold_list"},
        problems=(400, 503),
    ),
    Operation(
        method="post",
        path="/v1/holds/{name}/{environment}:lift",
        operation="holds.lift",
        summary="Let a model be promoted again after a rollback; for people alone",
        body="hold_lift_request",
        answers={200: "hold_answer"},
        problems=(400, 404, 411, 413, 415, 422, 503),
    ),
    Operation(
        method="get",
        path="/v1/keys",
        summary="The public keys whose permits and signed answers count (JWK set)",
        answers={200: "keys"},
        problems=(400, 503),
        open=True,
    ),
    Operation(
        method="get",
        path=_LIVE,
        operation="live.read",
        summary="What is or was live, who let it in, and what should be live now",
        answers={200: "live"},
        problems=(400, 404, 410, 503),
        query={
            "at": "What was live at this instant, for example 2026-11-23T09:00:00Z",
            "nonce": "8 to 128 of A-Z a-z 0-9 _ -: the answer is signed for it",
        },
    ),
    Operation(
        method="get",
        path=f"{_LIVE}/history",
        operation="live.read",
        summary="What was live, newest first",
        answers={200: "live_history"},
        problems=(400, 404, 503),
        query={"limit": "Items on a page, 1 to 100", "cursor": "next_cursor of the page before"},
    ),
    Operation(
        method="post",
        path=f"{_LIVE}/observations",
        operation="live.observe",
        summary="Say what is seen to run; 201 if that is news",
        body="observation",
        answers={200: "observation_answer", 201: "observation_answer"},
        problems=(400, 404, 411, 413, 415, 422, 503),
    ),
)
