"""Snapshots of lineage in the database, newest last. Every function works inside its caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from lockgate.clock import EpochNs
from lockgate.digests import Sha256Hex
from lockgate.storage.tables import lineage as lineage_table
from lockgate.storage.tables import model as model_table
from lockgate.storage.tables import model_version


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSnapshot:
    """A snapshot's bytes and their SHA-256 as the row has them; neither is believed without the log's record."""

    sha256: Sha256Hex
    body: bytes


def insert_snapshot(
    connection: Connection, *, model: str, version: str, snapshot: StoredSnapshot, collected: EpochNs
) -> None:
    """Keep a snapshot."""
    connection.execute(
        lineage_table.insert().values(
            model=model, version=version, sha256=snapshot.sha256, body=snapshot.body, collected_ns=collected
        )
    )


def newest_snapshot(connection: Connection, model: str, version: str) -> StoredSnapshot | None:
    """Return the newest snapshot of a version, or None."""
    columns = lineage_table.c
    statement = (
        select(columns.sha256, columns.body)
        .where(columns.model == model, columns.version == version)
        .order_by(columns.number.desc())
        .limit(1)
    )
    row = connection.execute(statement).first()
    return None if row is None else StoredSnapshot(sha256=Sha256Hex(row.sha256), body=row.body)


def versions_without_snapshot(connection: Connection, after: int, limit: int) -> Sequence[tuple[int, str, str]]:
    """Return (number, model, version) of registered versions that were never collected, retired ones left out."""
    versions, snapshots = model_version.c, lineage_table.c
    collected = and_(snapshots.model == versions.model, snapshots.version == versions.version)
    statement = (
        select(versions.number, versions.model, versions.version)
        .join(model_table, model_table.c.name == versions.model)
        .outerjoin(lineage_table, collected)
        .where(
            snapshots.number.is_(None),
            versions.retired_ns.is_(None),
            model_table.c.retired_ns.is_(None),
            versions.number > after,
        )
        .order_by(versions.number)
        .limit(limit)
    )
    return [(row.number, row.model, row.version) for row in connection.execute(statement)]
