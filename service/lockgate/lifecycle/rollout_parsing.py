"""From bytes off the wire to what executors, observers and people say of a rollout. Pure."""

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from lockgate.canonical_json import parse_json
from lockgate.digests import Digest, parse_digest
from lockgate.schemas import check_schema

REPORT_BYTES_MAX: Final = 16 * 1024  # ids, a few numbers, and half a thousand characters
REPORT_DEPTH_MAX: Final = 4  # the schemas need one level


@dataclass(frozen=True, slots=True, kw_only=True)
class PointerMoved:
    """The executor used its permit.

    Attributes:
        percent: Of traffic that goes to the version now.
        former_version: Where the pointer stood before; "" = nowhere, or there is no pointer.
    """

    permit_id: str
    percent: int
    former_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWanted:
    """The executor wants to give the version a larger share of traffic."""

    percent: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutFailed:
    """The executor cannot carry it out, or took it back."""

    code: str
    detail: str


Report: TypeAlias = PointerMoved | StepWanted | RolloutFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What somebody saw running."""

    digest: Digest
    version: str  # "" where they do not know


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackRequest:
    """What a person wants back; nothing in it is trusted yet."""

    model: str
    environment: str
    version: str  # "" = the last good one
    reason: str


def parse_report(body: bytes) -> Report:
    """Read what an executor reports.

    Raises:
        MalformedJSONError: `body` is not one unambiguous JSON value within the limits.
        SchemaError: It breaks `v1/api/rollout_report`.
    """
    document = _parse(body, "v1/api/rollout_report")
    match document["status"]:
        case "executing":
            return PointerMoved(
                permit_id=document["permit_id"],
                percent=document["percent"],
                former_version=document["former_version"],
            )
        case "step":
            return StepWanted(percent=document["percent"])
        case _:
            return RolloutFailed(code=document["code"], detail=document["detail"])


def parse_observation(body: bytes) -> Observation:
    """Read what somebody saw running.

    Raises:
        MalformedJSONError: `body` is not one unambiguous JSON value within the limits.
        SchemaError: It breaks `v1/api/observation`.
    """
    document = _parse(body, "v1/api/observation")
    return Observation(digest=parse_digest(document["digest"]), version=document.get("version", ""))


def parse_rollback_request(body: bytes) -> RollbackRequest:
    """Read a rollback request.

    Raises:
        MalformedJSONError: `body` is not one unambiguous JSON value within the limits.
        SchemaError: It breaks `v1/api/rollback_request`.
    """
    document = _parse(body, "v1/api/rollback_request")
    return RollbackRequest(
        model=document["model"],
        environment=document["environment"],
        version=document.get("version", ""),
        reason=document.get("reason", ""),
    )


def parse_hold_lift_request(body: bytes) -> str:
    """Read why a hold is lifted; return the reason, perhaps empty.

    Raises:
        MalformedJSONError: `body` is not one unambiguous JSON value within the limits.
        SchemaError: It breaks `v1/api/hold_lift_request`.
    """
    reason: str = _parse(body, "v1/api/hold_lift_request").get("reason", "")
    return reason


def _parse(body: bytes, schema: str) -> dict[str, Any]:
    document: dict[str, Any] = parse_json(body, bytes_max=REPORT_BYTES_MAX, depth_max=REPORT_DEPTH_MAX)
    check_schema(schema, document)
    return document
