"""Putting tiles together from the stored records and tree. The caller holds the transaction."""

from typing import Final

from sqlalchemy import Connection

from lockgate.audit.errors import LogInconsistentError
from lockgate.audit.formats.tiles import Tile, encode_entries
from lockgate.audit.reading import query_store
from lockgate.audit.types import RecordFilter

_EVERY_RECORD: Final = RecordFilter()


def read_tile(connection: Connection, log: str, tile: Tile) -> bytes:
    """Return a tile that the log has: of hashes 32 bytes each, of records as `encode_entries` writes them.

    Raises:
        LogInconsistentError: A hash or record of it is missing.
    """
    places = range(tile.first, tile.first + tile.width)
    if tile.level is None:
        records = query_store.read_records(connection, log, places, wanted=_EVERY_RECORD, limit=tile.width)
        parts, data = len(records), encode_entries(record.body for record in records)
    else:
        hashes = query_store.read_row_of_nodes(connection, log, tile.tree_level, places)
        parts, data = len(hashes), b"".join(hashes)
    if parts != tile.width:
        raise LogInconsistentError(f"want {tile.width} parts of tile {tile.path}, got {parts}")
    return data
