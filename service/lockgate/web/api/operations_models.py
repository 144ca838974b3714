"""Operations on models, versions and environments, for the API's description."""

from typing import Final

from lockgate.web.api.operation import Operation

_MODEL: Final = "/v1/models/{name}"
_VERSION: Final = f"{_MODEL}/versions/{{version}}"
_PAGE: Final = {"limit": "Items on a page, 1 to 100", "cursor": "next_cursor of the page before"}

MODEL_OPERATIONS: Final = (
    Operation(
        method="post",
        path="/v1/models",
        operation="models.create",
        summary="Register a model; recorded",
        body="model_request",
        answers={201: "model_answer"},
        problems=(400, 404, 409, 410, 411, 413, 415, 422, 503),
        idempotent=True,
    ),
    Operation(
        method="get",
        path="/v1/models",
        operation="models.list",
        summary="List models: those registered, by name; then those that only a registry knows, if it is named",
        answers={200: "model_list"},
        problems=(400, 422, 502, 503),
        query={
            "owner": "Only of this team",
            "tier": "Only of this tier, as declared",
            "registry": "Only of this registry; it is asked for what nobody registered, unless there are other filters",
            "retired": "true: only those; false: only the others",
            **_PAGE,
        },
    ),
    Operation(
        method="get",
        path=_MODEL,
        operation="models.read",
        summary="A model that is registered",
        answers={200: "model"},
        problems=(400, 404, 422, 502, 503),
        query={"pointers": "true: ask its registry where its aliases point now"},
    ),
    Operation(
        method="put",
        path=_MODEL,
        operation="models.update",
        summary="Say something else of a model, all of it; recorded",
        body="model_update",
        answers={200: "model_answer"},
        problems=(400, 404, 409, 411, 412, 413, 415, 422, 428, 503),
        conditional=True,
    ),
    Operation(
        method="post",
        path=f"{_MODEL}:retire",
        operation="models.retire",
        summary="Retire a model for good; recorded, nothing is deleted",
        body="retirement_request",
        answers={200: "model_answer"},
        problems=(400, 404, 409, 410, 411, 413, 415, 422, 503),
        idempotent=True,
    ),
    Operation(
        method="get",
        path=f"{_MODEL}/documents/{{digest}}",
        operation="models.read",
        summary="The model's card or bill of materials, byte for byte",
        answers={200: "application/json"},
        problems=(400, 404, 410, 503),
    ),
    Operation(
        method="post",
        path=f"{_MODEL}/versions",
        operation="versions.create",
        summary="Register a version of a model; recorded, and it never becomes another",
        body="model_version_request",
        answers={201: "model_version_answer"},
        problems=(400, 404, 409, 410, 411, 413, 415, 422, 503),
        idempotent=True,
    ),
    Operation(
        method="get",
        path=f"{_MODEL}/versions",
        operation="versions.list",
        summary="List a model's versions, newest first",
        answers={200: "model_version_list"},
        problems=(400, 404, 503),
        query=_PAGE,
    ),
    Operation(
        method="get",
        path=_VERSION,
        operation="versions.read",
        summary="A version, its promotions, and when it was live",
        answers={200: "model_version_history"},
        problems=(400, 404, 503),
    ),
    Operation(
        method="post",
        path=f"{_VERSION}:retire",
        operation="versions.retire",
        summary="Retire a version for good; recorded, nothing is deleted",
        body="retirement_request",
        answers={200: "model_version_answer"},
        problems=(400, 404, 409, 410, 411, 413, 415, 422, 503),
        idempotent=True,
    ),
    Operation(
        method="get",
        path="/v1/environments",
        operation="environments.list",
        summary="The environments, what leads from one to another, and which pointers stand for them",
        answers={200: "environment_list"},
        problems=(400, 503),
    ),
)
