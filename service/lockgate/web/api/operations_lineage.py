"""Operations on lineage, for the API's description."""

from typing import Final

from lockgate.web.api.operation import Operation

_LINEAGE: Final = "/v1/models/{name}/versions/{version}/lineage"

LINEAGE_OPERATIONS: Final = (
    Operation(
        method="get",
        path=_LINEAGE,
        operation="lineage.read",
        summary="What a version was made of, and what became of it",
        answers={200: "lineage"},
        problems=(400, 404, 503),
        query={"format": "graph (nodes and edges; the default), or openlineage: its promotions as run events"},
    ),
    Operation(
        method="post",
        path=_LINEAGE,
        operation="lineage.collect",
        summary="Ask registry and feature store now what a version was made of; recorded if it is news",
        answers={200: "lineage"},
        problems=(400, 404, 422, 502, 503),
    ),
)
