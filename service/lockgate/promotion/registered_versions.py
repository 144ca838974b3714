"""What was registered as a version: what the main log says, and what the table says where the log has no such word."""

from sqlalchemy import Engine

from lockgate.audit import AuditLog, RecordPrunedError, RecordUnknownError
from lockgate.canonical_json import parse_canonical
from lockgate.registry import store
from lockgate.registry.metadata import VERSION_KIND, version_record_id
from lockgate.storage import read_transaction


def find_registered_digest(database: Engine, log: AuditLog, model: str, version: str) -> str:
    """Return the digest that was registered as a version, retired since or not; "" where nothing was.

    Versions of before their records had ids that can be found, or whose records were pruned, count as the table has
    them: at worst that denies a promotion.

    Args:
        database: Where versions are kept.
        log: The main one.
        model: As promotions name it.
        version: Its version.

    Raises:
        StorageError: The database cannot be read.
    """
    try:
        record = parse_canonical(log.record_by_id(version_record_id(model, version)).body)
    except (RecordUnknownError, RecordPrunedError):
        record = {"kind": ""}
    if record["kind"] == VERSION_KIND:
        digest: str = record["body"]["digest"]
        return digest
    with read_transaction(database) as connection:
        row = store.read_version(connection, model, version)
    return "" if row is None else str(row.digest)
