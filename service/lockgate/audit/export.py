"""Writing an export: one snapshot of the log, whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Connection, Engine

from lockgate.audit import store
from lockgate.audit.errors import ExportError, LogForeignError
from lockgate.audit.verification.export_folder import ATTACHMENTS, CHECKPOINT, CHECKPOINTS, RECORDS
from lockgate.storage import read_transaction


def export_log(engine: Engine, log: str, out: Path) -> int:
    """Write a log to a new folder, in the form of `lockgate.audit.verification.export_folder`.

    Args:
        engine: The database.
        log: The log's origin.
        out: The folder to make; it must not exist, its parent must.

    Returns:
        The number of records.

    Raises:
        ExportError: The folder exists or cannot be written; nothing is left at `out`.
        LogForeignError: The database holds no such log.
        StorageError: The database cannot be read.
    """
    if out.exists() or out.is_symlink():
        raise ExportError(f"want a folder that does not exist yet: {out}")
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        try:
            with read_transaction(engine) as connection:
                size = _write(connection, log, draft)
            draft.rename(out)
            _sync(out.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as exc:
        raise ExportError(f"cannot write the export: {exc.strerror}") from exc
    return size


def _write(connection: Connection, log: str, folder: Path) -> int:
    head = store.read_head(connection, log)
    newest = store.read_last_checkpoint(connection, log)
    if head is None or newest is None:
        raise LogForeignError(f"the database holds no log {log!r}")
    _write_file(folder / RECORDS, (entry.body + b"\n" for entry in store.stream_entries(connection, log)))
    notes = store.stream_checkpoints(connection, log)
    _write_file(folder / CHECKPOINTS, (b"\n" * (place > 0) + note for place, note in enumerate(notes)))
    _write_file(folder / CHECKPOINT, [newest])
    (folder / ATTACHMENTS).mkdir()
    for sha256, body in store.stream_attachments(connection, log):
        _write_file(folder / ATTACHMENTS / sha256, [body])
    return head.size


def _write_file(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("xb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
