"""Writing an export: one snapshot of the log, whole or not at all, a few records in memory at a time."""

import itertools
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson
from sqlalchemy import Connection, Engine

from lockgate.audit import store
from lockgate.audit.errors import AuditError, ExportError, LogForeignError, LogInconsistentError
from lockgate.audit.formats.key_history import KEY_KINDS, policy_of
from lockgate.audit.formats.log_policy import LogKey, LogPolicy, format_log_policy
from lockgate.audit.formats.merkle import nodes_of
from lockgate.audit.formats.notes import VerifierKey
from lockgate.audit.formats.records import parse_record
from lockgate.audit.formats.tiles import TILE_WIDTH, Tile, encode_entries, hash_tiles
from lockgate.audit.kinds import OWN_KINDS
from lockgate.audit.reading import query_store
from lockgate.audit.reading.queries import each_record
from lockgate.audit.reading.tiling import read_tile
from lockgate.audit.types import RecordFilter
from lockgate.audit.verification.export_folder import ATTACHMENTS, CHECKPOINT, CHECKPOINTS, COSIGNED, RECORDS
from lockgate.audit.verification.pruned import PRUNED
from lockgate.schemas import SchemaError, check_schema
from lockgate.storage import read_transaction

POLICY: Final = "policy"
TILES: Final = "tile"
_POLICY_HEADING: Final = "# The keys that the log names for itself. Compare each with what you were given elsewhere.\n"
_SHA256_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)

Advance = Callable[[int], object]
"""Is told how many records more are written."""


def export_log(  # noqa: PLR0913 - each argument is one thing an export can be given
    engine: Engine,
    log: str,
    out: Path,
    *,
    tiles: bool = False,
    key: VerifierKey | None = None,
    advance: Advance = lambda _: None,
) -> int:
    """Write a log to a new folder, in the form of `docs/formats/tiles-and-exports.md`.

    Args:
        engine: The database.
        log: The log's origin.
        out: The folder to make; it must not exist, its parent must.
        tiles: Whether the tree of tiles is written too, for readers of C2SP tlog-tiles. A log that lacks a part of its
            tree can be exported only without.
        key: The log's key now, for the policy file where pruning took every record that names a key.
        advance: Is told how many records more are written.

    Returns:
        The number of records that the log has had, pruned ones too.

    Raises:
        ExportError: The folder exists or cannot be written; nothing is left at `out`.
        LogForeignError: The database holds no such log.
        LogInconsistentError: The stored log lacks a part of what was asked for.
        StorageError: The database cannot be read.
    """
    with new_place(out) as draft, read_transaction(engine) as connection:
        draft.mkdir(mode=0o700)  # evidence and names: who else may read it is the operator's to say
        head = store.read_head(connection, log)
        newest = store.read_last_checkpoint(connection, log)
        if head is None or newest is None:
            raise LogForeignError(f"the database holds no log {log!r}")
        _write_records(connection, log, draft, advance, tiles=tiles)
        _write_checkpoints(connection, log, draft, newest)
        (draft / ATTACHMENTS).mkdir()
        for sha256, body in store.stream_attachments(connection, log):
            if not _SHA256_HEX.fullmatch(str(sha256)):  # a damaged row's could lead out of the folder, or be bytes
                raise LogInconsistentError(f"want attachments kept under 64 hex digits, got {sha256[:80]!r}")
            write_file(draft / ATTACHMENTS / sha256, [body])
        write_file(draft / POLICY, [_POLICY_HEADING.encode(), _policy(connection, log, key).encode()])
        if head.first_seq:
            write_file(draft / PRUNED, [_pruned(connection, log, head.first_seq)])
        if tiles:
            for tile in hash_tiles(head.size, head.first_seq):
                _write_tile(draft, tile, read_tile(connection, log, tile))
    return head.size


@contextmanager
def new_place(out: Path) -> Iterator[Path]:
    """Give a path to write to; what is there at the end of the block appears at `out`, or nothing does.

    Raises:
        ExportError: There is something at `out`, or it cannot be written.
    """
    if out.exists() or out.is_symlink():
        raise ExportError(f"want a path where nothing is yet: {out}")
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            yield folder / out.name
            (folder / out.name).rename(out)
            sync_folder(out.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as exc:
        raise ExportError(f"cannot write the export: {exc.strerror}") from exc


def write_file(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a new file, durably."""
    with path.open("xb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make durable which files are in a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_records(connection: Connection, log: str, folder: Path, advance: Advance, *, tiles: bool) -> None:
    # The file takes the rows as they are, also those of a damaged log: it is the evidence. Tiles need a whole one.
    entries = store.stream_entries(connection, log)

    def lines() -> Iterator[bytes]:
        while bundle := list(itertools.islice(entries, TILE_WIDTH)):
            if tiles:
                first = bundle[0].columns.seq
                if first % TILE_WIDTH or [entry.columns.seq - first for entry in bundle] != list(range(len(bundle))):
                    raise LogInconsistentError(f"a record is missing near {first}; the log has no tiles")
                tile = Tile(level=None, index=first // TILE_WIDTH, width=len(bundle))
                _write_tile(folder, tile, encode_entries(entry.body for entry in bundle))
            yield from (entry.body + b"\n" for entry in bundle)
            advance(len(bundle))

    write_file(folder / RECORDS, lines())


def _write_checkpoints(connection: Connection, log: str, folder: Path, newest: bytes) -> None:
    notes = store.stream_checkpoints(connection, log)
    write_file(folder / CHECKPOINTS, (b"\n" * (place > 0) + note for place, note in enumerate(notes)))
    write_file(folder / CHECKPOINT, [newest])
    cosigned = store.read_newest_cosigned(connection, log)
    if cosigned is not None:
        write_file(folder / COSIGNED, [cosigned])


def _write_tile(folder: Path, tile: Tile, data: bytes) -> None:
    path = folder / TILES / tile.path
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, [data])


def _policy(connection: Connection, log: str, key: VerifierKey | None) -> str:
    records = []
    try:
        for kind in KEY_KINDS:
            for stored in each_record(connection, log, RecordFilter(kind=kind)):
                record = parse_record(stored.body)
                check_schema(OWN_KINDS[kind], record["body"])
                records.append(record)
        history = policy_of(sorted(records, key=lambda record: record["seq"]))
        text = format_log_policy(history)
    except (AuditError, SchemaError):
        # A damaged log is exported as it is, and what it says of its keys is not worth saying.
        history = LogPolicy(logs=())
        text = format_log_policy(history)
    return text if history.logs or key is None else format_log_policy(LogPolicy(logs=(LogKey(key=key),)))


def _pruned(connection: Connection, log: str, first_seq: int) -> bytes:
    # The C2SP minimum index, and what a verifier needs to begin there: the chain's last link and the tree's edge.
    edge = nodes_of((0, first_seq))
    nodes = store.read_nodes(connection, log, edge)
    leaf = query_store.read_prev(connection, log, first_seq)
    if leaf is None or len(nodes) != len(edge):
        raise LogInconsistentError("a part of the log at the place where it was pruned is missing")
    document = {
        "schema_version": 1,
        "before": first_seq,
        "leaf": f"sha256:{leaf.hex()}",
        "edge": [f"sha256:{nodes[node].hex()}" for node in edge],
    }
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
