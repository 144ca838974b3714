"""What the main log says of snapshots: without a record none counts. Who can write the table cannot write the log."""

from typing import Final

from sqlalchemy import Engine

from lockgate.audit import AuditLog, RecordPrunedError, RecordUnknownError
from lockgate.canonical_json import parse_canonical
from lockgate.digests import sha256_hex
from lockgate.lineage.snapshots import record_id
from lockgate.lineage.store import newest_snapshot
from lockgate.storage import read_transaction

LINEAGE: Final = "registry.lineage"  # a snapshot was collected


def find_snapshot(database: Engine, log: AuditLog, model: str, version: str) -> bytes:
    """Return the newest snapshot of a version's lineage; empty where there is none that the log knows of.

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
    recorded = record["kind"] == LINEAGE and collected == (model, version, f"sha256:{sha256_hex(stored.body)}")
    return stored.body if recorded else b""
