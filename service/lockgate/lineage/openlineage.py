"""A promotion as OpenLineage run events, for whoever collects lineage elsewhere. Pure.

Each promotion is a run: START when it was asked for, then COMPLETE when it was seen to run, FAIL when it was denied,
rejected or could not be carried out, ABORT when it was withdrawn, expired or superseded. What it was decided on is its
input: the version, by its digest, and the datasets that the version was made of. The facet `lockgate_promotion` says
what no facet of OpenLineage's does; its schema is `v1/openlineage/lockgate_promotion`.

Source: OpenLineage 2-0-2; `tests/lineage/test_openlineage.py` compares with what its own library writes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from lockgate.clock import EpochNs, format_timestamp
from lockgate.lineage.snapshots import Lineage

PRODUCER: Final = "https://lockgate.dev"
NAMESPACE: Final = "lockgate"
FACET_SCHEMA: Final = "https://lockgate.dev/schemas/v1/openlineage/lockgate_promotion.json"
_EVENT_SCHEMA: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS: Final = "https://openlineage.io/spec/facets"

EventType: TypeAlias = Literal["START", "COMPLETE", "FAIL", "ABORT"]

END_BY_STATE: Final[Mapping[str, EventType]] = {
    "confirmed": "COMPLETE",
    "denied": "FAIL",
    "rejected": "FAIL",
    "failed": "FAIL",
    "withdrawn": "ABORT",
    "expired": "ABORT",
    "superseded": "ABORT",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRun:
    """A promotion as lineage tells of it.

    Attributes:
        digest: The artifact's.
        owner: The team that owns the model; "" where nobody said.
        ended: When it came to the state that it is in, if that is an end; None while it goes on.
        decision: The newest decision's verdict.
        record: That decision's record, by id.
        approvers: Who approved in a way that counted, sorted.
    """

    id: str
    model: str
    version: str
    digest: str
    owner: str
    kind: str
    from_environment: str
    to_environment: str
    state: str
    requested: EpochNs
    ended: EpochNs | None
    decision: str
    policy_revision: str
    record: str
    log: str
    lineage: str
    approvers: tuple[str, ...]


def run_events(promotion: PromotionRun, lineage: Lineage | None) -> tuple[dict[str, Any], ...]:
    """Return a promotion's events: its start, and its end if it has come to one.

    Args:
        promotion: The promotion.
        lineage: The snapshot that it was decided with, if it is at hand.
    """
    events = [_event("START", promotion.requested, promotion, lineage)]
    end = END_BY_STATE.get(promotion.state)
    if end is not None and promotion.ended is not None:
        events.append(_event(end, promotion.ended, promotion, lineage))
    return tuple(events)


def _event(event_type: EventType, when: EpochNs, promotion: PromotionRun, lineage: Lineage | None) -> dict[str, Any]:
    return {
        "eventType": event_type,
        "eventTime": format_timestamp(when),
        "producer": PRODUCER,
        "schemaURL": _EVENT_SCHEMA,
        "run": {"runId": promotion.id, "facets": {"lockgate_promotion": _promotion_facet(promotion)}},
        "job": {
            "namespace": NAMESPACE,
            "name": f"{promotion.kind}.{promotion.model}.{promotion.to_environment}",
            "facets": _job_facets(promotion),
        },
        "inputs": [_version_input(promotion), *_dataset_inputs(lineage)],
        "outputs": [_output(promotion, is_complete=event_type == "COMPLETE")],
    }


def _promotion_facet(promotion: PromotionRun) -> dict[str, Any]:
    return {
        "_producer": PRODUCER,
        "_schemaURL": FACET_SCHEMA,
        "decision": promotion.decision,
        "state": promotion.state,
        "fromEnvironment": promotion.from_environment,
        "toEnvironment": promotion.to_environment,
        "policyRevision": promotion.policy_revision,
        "decisionRecord": promotion.record,
        "log": promotion.log,
        "lineageDigest": promotion.lineage,
        "approvers": list(promotion.approvers),
    }


def _job_facets(promotion: PromotionRun) -> dict[str, Any]:
    facets: dict[str, Any] = {
        "jobType": _facet("2-0-4/JobTypeJobFacet", processingType="BATCH", integration="LOCKGATE", jobType="PROMOTION")
    }
    if promotion.owner:
        facets["ownership"] = _facet("1-0-1/OwnershipJobFacet", owners=[{"name": f"team:{promotion.owner}"}])
    return facets


def _version_input(promotion: PromotionRun) -> dict[str, Any]:
    return {
        "namespace": NAMESPACE,
        "name": f"{promotion.model}/{promotion.version}",
        "facets": {"version": _version_facet(promotion.digest)},
        "inputFacets": {},
    }


def _dataset_inputs(lineage: Lineage | None) -> list[dict[str, Any]]:
    if lineage is None:
        return []
    return [
        {
            "namespace": f"{NAMESPACE}:{lineage.registry}",
            "name": read.name,
            "facets": {"version": _version_facet(read.digest)} if read.digest else {},
            "inputFacets": {},
        }
        for read in lineage.run.datasets
    ]


def _output(promotion: PromotionRun, *, is_complete: bool) -> dict[str, Any]:
    facets: dict[str, Any] = {}
    if is_complete:  # before that, nothing was written over anything
        facets = {
            "version": _version_facet(promotion.digest),
            "lifecycleStateChange": _facet("1-0-1/LifecycleStateChangeDatasetFacet", lifecycleStateChange="OVERWRITE"),
        }
    return {
        "namespace": NAMESPACE,
        "name": f"{promotion.model}@{promotion.to_environment}",
        "facets": facets,
        "outputFacets": {},
    }


def _version_facet(version: str) -> dict[str, Any]:
    return _facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=version)


def _facet(path: str, **fields: object) -> dict[str, Any]:
    name = path.partition("/")[2]
    return {"_producer": PRODUCER, "_schemaURL": f"{_FACETS}/{path}.json#/$defs/{name}", **fields}
