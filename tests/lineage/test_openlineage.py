"""OpenLineage events: the same as OpenLineage's own library writes, and of the schemas that they name."""

from dataclasses import replace
from typing import Any

import attr
import pytest
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, RunEvent, RunState
from openlineage.client.event_v2 import Run as LibraryRun
from openlineage.client.facet_v2 import (
    RunFacet,
    dataset_version_dataset,
    job_type_job,
    lifecycle_state_change_dataset,
    ownership_job,
)
from openlineage.client.serde import Serde

from lockgate.canonical_json import parse_json
from lockgate.clock import EpochNs, format_timestamp
from lockgate.lineage.openlineage import END_BY_STATE, FACET_SCHEMA, PRODUCER, PromotionRun, run_events
from lockgate.promotion import PromotionState
from lockgate.schemas import check_schema, load_schema
from support.lineages import DATASET, NOW, RUN, lineage_of

ENDED = EpochNs(NOW + 3600 * 10**9)
PROMOTION = PromotionRun(
    id="0199c0de-0000-7000-8000-00000000a001",
    model="fraud-detector",
    version="1.4.0",
    digest="sha256:" + "a" * 64,
    owner="payments-ml",
    kind="promote",
    from_environment="staging",
    to_environment="production",
    state="confirmed",
    requested=NOW,
    ended=ENDED,
    decision="allow",
    policy_revision="sha256:" + "b" * 64,
    record="0199c0de-0000-7000-8000-00000000d001",
    log="main",
    lineage="sha256:" + "c" * 64,
    approvers=("lena", "maya"),
)


@attr.define
class PromotionFacet(RunFacet):
    """The facet as whoever reads it with the library would write it down."""

    decision: str
    state: str
    fromEnvironment: str  # noqa: N815 - OpenLineage's names
    toEnvironment: str  # noqa: N815
    policyRevision: str  # noqa: N815
    decisionRecord: str  # noqa: N815
    log: str
    lineageDigest: str  # noqa: N815
    approvers: list[str]

    @staticmethod
    def _get_schema() -> str:
        return FACET_SCHEMA


def library_event(state: RunState, when: EpochNs) -> dict[str, Any]:
    """Write the same event by OpenLineage's own library."""

    def version(text: str) -> dict[str, Any]:
        return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion=text, producer=PRODUCER)}

    changed = lifecycle_state_change_dataset.LifecycleStateChangeDatasetFacet(
        lifecycleStateChange=lifecycle_state_change_dataset.LifecycleStateChange.OVERWRITE, producer=PRODUCER
    )
    complete = state is RunState.COMPLETE
    event = RunEvent(
        eventType=state,
        eventTime=format_timestamp(when),
        producer=PRODUCER,
        run=LibraryRun(
            runId=PROMOTION.id,
            facets={
                "lockgate_promotion": PromotionFacet(
                    decision="allow",
                    state="confirmed",
                    fromEnvironment="staging",
                    toEnvironment="production",
                    policyRevision=PROMOTION.policy_revision,
                    decisionRecord=PROMOTION.record,
                    log="main",
                    lineageDigest=PROMOTION.lineage,
                    approvers=["lena", "maya"],
                    producer=PRODUCER,
                )
            },
        ),
        job=Job(
            namespace="lockgate",
            name="promote.fraud-detector.production",
            facets={
                "jobType": job_type_job.JobTypeJobFacet(
                    processingType="BATCH", integration="LOCKGATE", jobType="PROMOTION", producer=PRODUCER
                ),
                "ownership": ownership_job.OwnershipJobFacet(
                    owners=[ownership_job.Owner(name="team:payments-ml")], producer=PRODUCER
                ),
            },
        ),
        inputs=[
            InputDataset(namespace="lockgate", name="fraud-detector/1.4.0", facets=version(PROMOTION.digest)),
            InputDataset(namespace="lockgate:mlflow", name=DATASET.name, facets=version(DATASET.digest)),
        ],
        outputs=[
            OutputDataset(
                namespace="lockgate",
                name="fraud-detector@production",
                facets={**version(PROMOTION.digest), "lifecycleStateChange": changed} if complete else {},
            )
        ],
    )
    written: dict[str, Any] = parse_json(Serde.to_json(event).encode(), bytes_max=100_000)
    return written


def test_events_are_what_the_library_writes() -> None:
    """Start and end are, field by field, the JSON that OpenLineage's own client makes of the same facts."""
    start, end = run_events(PROMOTION, lineage_of())

    assert start == library_event(RunState.START, NOW)
    assert end == library_event(RunState.COMPLETE, ENDED)


@pytest.mark.parametrize("state", list(PromotionState))
def test_each_state_has_its_end_or_none(state: PromotionState) -> None:
    """A promotion that goes on has only begun; one that came to its end ended as COMPLETE, FAIL or ABORT."""
    ended = {"confirmed": "COMPLETE", "denied": "FAIL", "rejected": "FAIL", "failed": "FAIL"}
    aborted = {"withdrawn": "ABORT", "expired": "ABORT", "superseded": "ABORT"}

    events = run_events(replace(PROMOTION, state=state.value), None)

    assert [event["eventType"] for event in events] == ["START", *filter(None, [{**ended, **aborted}.get(state.value)])]
    assert set(END_BY_STATE) <= {each.value for each in PromotionState}


def test_an_end_that_nobody_knows_the_time_of_is_not_told() -> None:
    """An event without its time would be a false one."""
    assert len(run_events(replace(PROMOTION, ended=None), None)) == 1


def test_the_facet_is_of_the_schema_that_it_names() -> None:
    """What `_schemaURL` names is the schema that ships, and the facet keeps it."""
    (start, _) = run_events(PROMOTION, None)
    facet = start["run"]["facets"]["lockgate_promotion"]

    check_schema("v1/openlineage/lockgate_promotion", facet)

    assert facet["_schemaURL"] == load_schema("v1/openlineage/lockgate_promotion")["$id"]


def test_only_what_has_a_digest_has_a_version() -> None:
    """A dataset whose digest nobody said, and a team that nobody named, are left without that facet."""
    lineage = lineage_of(run=replace(RUN, datasets=(replace(DATASET, digest=""),)))

    (start, _) = run_events(replace(PROMOTION, owner=""), lineage)

    assert start["inputs"][1]["facets"] == {}
    assert set(start["job"]["facets"]) == {"jobType"}
    check_schema("v1/api/lineage", {"model": "m", "version": "1", "events": [start]})
