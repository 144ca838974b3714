"""Publishing a log as files for any web server or object store: its tiles, and a checkpoint that is put there last.

A folder with the paths of C2SP tlog-tiles, `checkpoint` and `tile/…`. What is new is added to it, so that it can be
done every minute; whoever reads meanwhile finds the tiles of the checkpoint that he has. Files whose name begins with a
dot are the publisher's own.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from lockgate.audit import store
from lockgate.audit.errors import ExportError, LogBehindError, LogForeignError, LogInconsistentError, ProofInvalidError
from lockgate.audit.formats.checkpoints import Checkpoint, open_checkpoint, read_checkpoint
from lockgate.audit.formats.merkle import check_consistency
from lockgate.audit.formats.notes import NOTE_BYTES_MAX, VerifierKey
from lockgate.audit.formats.tiles import new_tiles, partial_tiles
from lockgate.audit.reading.export import TILES, sync_folder, write_file
from lockgate.audit.reading.reader import LogReader
from lockgate.audit.verification.export_folder import CHECKPOINT
from lockgate.storage import read_transaction

_BEFORE: Final = ".before"  # the checkpoint that was published before the one that is
_DRAFT: Final = ".draft"  # a file that is being written


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What was published."""

    size: int  # how many records the log has had, pruned ones too
    tiles: int  # how many tiles were written


def publish_log(engine: Engine, key: VerifierKey, out: Path) -> Publication:
    """Add to a folder what the log has become since it was published there last.

    The steps:
      (1) The folder is a publication or empty, and nobody else publishes into it at the moment.
      (2) The newest checkpoint is signed by the log's key, and goes on from the published one.
      (3) Partial tiles that were whole already when it was published last are removed: nobody reads them any more.
      (4) Each new tile is put there, whole or not at all; one that is there stays, and must be the same.
      (5) The checkpoint is put in the place of the one before.

    If it is stopped in between, the folder is a publication all the same, and the next one goes on.

    Args:
        engine: The log's database.
        key: The log's public key; its name is the log's.
        out: The folder. Made, readable by its owner alone, if it is not there; its parent is.

    Raises:
        ExportError: The folder cannot be used: it holds something else, or lacks records that were pruned meanwhile.
        LogForeignError: The database holds no such log.
        NoteUnverifiedError: Another key signed the newest checkpoint.
        LogBehindError: The log is shorter than what was published: a restored backup, say.
        LogInconsistentError: The log does not begin with what was published, or lacks a part of a tile.
        StorageError: The database cannot be read.
    """
    reader = LogReader(engine, key.name)
    try:
        out.mkdir(mode=0o700, exist_ok=True)  # names: who else may read it is the operator's to say
        with _alone_in(out):
            # (1) The folder is ours.
            published = _read(out / CHECKPOINT)
            if published is None and any(path.name not in {TILES, _DRAFT} for path in out.iterdir()):
                raise ExportError(f"want an empty folder, or one that was published into, got {out}")
            # (2) The log goes on from there.
            note, first_seq = _newest(engine, reader)
            now = open_checkpoint(note, [key])
            before = None if published is None else read_checkpoint(published)
            if before is not None:
                _check_growth(reader, before, now, first_seq)
            # (3) What nobody needs.
            _remove_partial_tiles(out)
            # (4) The tiles.
            written = _write_tiles(reader, out, 0 if before is None else before.size, now.size, first_seq)
            # (5) The checkpoint.
            if note != published:
                _put_checkpoint(out, note, published)
    except OSError as exc:
        raise ExportError(f"cannot publish into {out}: {exc.strerror}") from exc
    return Publication(size=now.size, tiles=written)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # the lock goes with the descriptor
        yield
    finally:
        os.close(descriptor)


def _newest(engine: Engine, reader: LogReader) -> tuple[bytes, int]:
    with read_transaction(engine) as connection:
        head = store.read_head(connection, reader.origin)
    if head is None:
        raise LogForeignError(f"the database holds no log {reader.origin!r}")
    return reader.published_checkpoint(), head.first_seq


def _check_growth(reader: LogReader, before: Checkpoint, now: Checkpoint, first_seq: int) -> None:
    if before.origin != now.origin:
        raise ExportError(f"want a folder of the log {now.origin!r}, got one of {before.origin[:80]!r}")
    if before.size > now.size:
        raise LogBehindError(f"want at least the {before.size} records that were published, got {now.size}")
    if before.size < first_seq:
        raise ExportError(f"records before {first_seq} were pruned and not published before; want a new folder")
    proof = reader.consistency_proof(before.size, now.size)
    try:
        check_consistency(before.size, now.size, before.root, now.root, proof)
    except ProofInvalidError as exc:
        raise LogInconsistentError(f"the log does not begin with the {before.size} records published") from exc


def _write_tiles(reader: LogReader, out: Path, before: int, size: int, first_seq: int) -> int:
    touched: set[Path] = set()
    written = 0
    for tile in new_tiles(before, size, first_seq):
        path, data = out / TILES / tile.path, reader.tile(tile)
        if path.exists():  # a publication before this one was stopped
            if path.read_bytes() != data:
                raise LogInconsistentError(f"want tile {tile.path} as it was published, got another")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        _put(out, path, data)
        touched.update(folder for folder in path.parents if folder.is_relative_to(out))
        written += 1
    for folder in touched:
        sync_folder(folder)
    return written


def _put_checkpoint(out: Path, note: bytes, published: bytes | None) -> None:
    if published is not None:
        _put(out, out / _BEFORE, published)
    _put(out, out / CHECKPOINT, note)
    sync_folder(out)


def _remove_partial_tiles(out: Path) -> None:
    # Those of the publication before the one that is there: by that one's checkpoint somebody may be reading now.
    notes = [_read(out / name) for name in (_BEFORE, CHECKPOINT)]
    older, newer = (0 if note is None else read_checkpoint(note).size for note in notes)
    for tile in partial_tiles(older):
        if (tile.index + 1) << (tile.tree_level + 8) <= newer:
            shutil.rmtree((out / TILES / tile.path).parent, ignore_errors=True)


def _put(out: Path, path: Path, data: bytes) -> None:
    draft = out / _DRAFT
    draft.unlink(missing_ok=True)
    write_file(draft, [data])
    draft.rename(path)


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(NOTE_BYTES_MAX + 1)
    except FileNotFoundError:
        return None
