"""The lineage that a promotion is decided with: the newest snapshot when it was asked for, frozen from then on."""

from typing import Final

from sqlalchemy import Engine

from lockgate.audit import AuditLog, RecordPrunedError, RecordUnknownError
from lockgate.canonical_json import parse_canonical
from lockgate.digests import sha256_hex, sha256_of
from lockgate.lineage.snapshots import Lineage, parse_lineage, record_id
from lockgate.lineage.store import newest_snapshot
from lockgate.policy import DatasetFact, FeatureServiceFact, FeatureViewFact, LineageFacts
from lockgate.registry.errors import RegistryAnswerError
from lockgate.storage import read_transaction

KIND: Final = "registry.lineage"  # of the record that a snapshot counts by


def find_snapshot(database: Engine, log: AuditLog, model: str, version: str) -> bytes:
    """Return the newest snapshot of a version; empty where there is none.

    It counts only if the main log says that it was collected: whoever can write the table cannot write the log.

    Args:
        database: Where snapshots are kept.
        log: The main one.
        model: The model.
        version: Its version.

    Raises:
        AuditError: The log cannot be read.
        StorageError: The database cannot be read.
    """
    with read_transaction(database) as connection:
        stored = newest_snapshot(connection, model, version)
    if stored is None:
        return b""
    try:
        record = parse_canonical(log.record_by_id(record_id(stored.sha256)).body)
    except (RecordUnknownError, RecordPrunedError):
        return b""
    body = record["body"]
    collected = (body.get("model"), body.get("version"), body.get("snapshot"))
    recorded = record["kind"] == KIND and collected == (model, version, f"sha256:{sha256_hex(stored.body)}")
    return stored.body if recorded else b""


def parse_snapshot(snapshot: bytes) -> Lineage | None:
    """Read a snapshot; None where there is none that this version of Lockgate can read."""
    if not snapshot:
        return None
    try:
        return parse_lineage(snapshot)
    except RegistryAnswerError:
        return None


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
