"""Operations on findings, for the API's description."""

from typing import Final

from lockgate.web.api.operation import Operation

FINDING_OPERATIONS: Final = (
    Operation(
        method="get",
        path="/v1/findings",
        operation="findings.list",
        summary="What changed out of band, newest first",
        answers={200: "finding_list"},
        problems=(400, 503),
        query={
            "state": "open or closed",
            "kind": "Only of this kind",
            "model": "Only about this model",
            "limit": "Items on a page, 1 to 100",
            "cursor": "next_cursor of the page before",
        },
    ),
    Operation(
        method="post",
        path="/v1/findings/{finding_id}:close",
        operation="findings.close",
        summary="Close a finding, and say why; where it still stands, the next look opens another",
        body="finding_close_request",
        answers={200: "finding_answer"},
        problems=(400, 404, 409, 411, 413, 415, 422, 503),
    ),
    Operation(
        method="post",
        path="/v1/hooks/mlflow/{registry}",
        summary="A webhook of an MLflow: the next look at it comes now. Signed with the registry's webhook secret",
        answers={204: ""},
        problems=(400, 401, 411, 413, 503),
        open=True,
    ),
)
