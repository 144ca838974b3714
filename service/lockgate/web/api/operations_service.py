"""Operations on the policy in force and on the service itself, for the API's description."""

from typing import Final

from lockgate.web.api.operation import Operation

SERVICE_OPERATIONS: Final = (
    Operation(
        method="get",
        path="/v1/policy",
        operation="policy.read",
        summary="The policy revision in force",
        answers={200: "policy"},
        problems=(400, 503),
    ),
    Operation(
        method="post",
        path="/v1/policy:reload",
        operation="policy.reload",
        summary="Put the policy and the issuers in force as their files are now, or change nothing",
        answers={200: "policy"},
        problems=(400, 409, 503),
    ),
    Operation(
        method="get",
        path="/v1/policy/rules",
        operation="policy.read",
        summary="The rules in force",
        answers={200: "rule_catalogue"},
        problems=(400, 503),
    ),
    Operation(method="get", path="/livez", summary="Is the process alive", answers={200: "text/plain"}, open=True),
    Operation(
        method="get",
        path="/readyz",
        summary="Can this instance decide",
        answers={200: "readiness", 503: "readiness"},
        open=True,
    ),
    Operation(
        method="get",
        path="/metrics",
        operation="metrics.read",
        summary="Counters (Prometheus)",
        answers={200: "text/plain"},
    ),
    Operation(
        method="get",
        path="/openapi.json",
        operation="openapi.read",
        summary="This document",
        answers={200: "application/json"},
    ),
)
