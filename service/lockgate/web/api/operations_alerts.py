"""The webhook of alerts, for the API's description."""

from typing import Final

from lockgate.web.api.operation import Operation

ALERT_OPERATIONS: Final = (
    Operation(
        method="post",
        path="/v1/hooks/alertmanager/{source}",
        summary="Take a notification of an Alertmanager, with its own bearer token, and ask for rollbacks",
        body="alertmanager_notification",
        answers={202: "alert_answer"},
        problems=(400, 401, 403, 411, 413, 415, 422, 500, 503),
        open=True,
    ),
)
