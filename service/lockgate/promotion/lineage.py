"""The lineage that a promotion is decided with: the newest snapshot when it was asked for, frozen from then on."""

from lockgate.digests import sha256_of
from lockgate.lineage.snapshots import parse_snapshot
from lockgate.policy import DatasetFact, FeatureServiceFact, FeatureViewFact, LineageFacts


def lineage_facts(snapshot: bytes) -> LineageFacts | None:
    """Return what policy is told of a snapshot; None where there is none that this version of Lockgate can read."""
    lineage = parse_snapshot(snapshot)
    if lineage is None:
        return None
    service = lineage.feature_service
    return LineageFacts(
        digest=sha256_of(snapshot),
        collected_at=lineage.collected,
        artifact=lineage.artifact,
        run=lineage.run.id,
        code_commit=lineage.run.code_commit,
        datasets=tuple(
            DatasetFact(name=read.name, digest=read.digest, context=read.context) for read in lineage.run.datasets
        ),
        feature_service=FeatureServiceFact(status=service.status, project=service.project, name=service.name),
        feature_views=tuple(
            FeatureViewFact(
                project=view.project,
                name=view.name,
                found=view.found,
                owner=view.owner,
                deprecated=view.deprecated,
                pii=view.pii,
                definition_sha256=view.definition_sha256,
            )
            for view in lineage.feature_views
        ),
        truncated=lineage.truncated,
        score=lineage.score,
    )
