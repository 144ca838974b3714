"""The log's checkpoints once more, in a file outside its database.

The file is the log's own witness: a database that was restored from a backup, or lost its tail, cannot take the file
back with it, so the log refuses to grow from there (C2SP tlog-checkpoint: never sign what contradicts what was signed).

Each signed note is written as it is, with an empty line before the next. It is written before a receipt leaves, and
given to the disk at most a second later: a power cut may take the last notes from the file, never from the database,
and a file that is behind its database is no contradiction.
"""

import os
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lockgate.audit.errors import AuditError, CheckpointFileError, LogForeignError
from lockgate.audit.formats.checkpoints import Checkpoint, open_checkpoint
from lockgate.audit.formats.notes import NOTE_BYTES_MAX, VerifierKey

SYNC_EVERY_S: Final = 1.0  # a synced write costs as much as the commit itself; one a second costs nothing
_TAIL_BYTES: Final = 2 * NOTE_BYTES_MAX  # holds the newest whole note, and several processes write within a few notes
# A note of three lines and its signatures, wherever it begins: a torn write before it does not hide it.
_NOTE: Final = re.compile(rb"[^\n]+\n[0-9]{1,16}\n[A-Za-z0-9+/]{43}=\n\n(?:\xe2\x80\x94 [^\n]+\n)+")


class CheckpointFile:
    """One log's file; several processes of one machine may share it."""

    def __init__(self, path: Path) -> None:
        """Take the path; the file is made by the first checkpoint."""
        self._path = path
        self._lock = threading.Lock()
        self._unwritten = b""  # a note that could not be written yet
        self._synced_s = 0.0

    def newest(self, keys: Sequence[VerifierKey]) -> Checkpoint | None:
        """Return the checkpoint of the largest size among the last ones, or None if there is no file yet.

        Args:
            keys: The log's own keys.

        Raises:
            CheckpointFileError: The file cannot be read.
            LogForeignError: None of them is signed by one of the keys.
        """
        note = self.newest_note(keys)
        return None if note is None else open_checkpoint(note, keys)

    def newest_note(self, keys: Sequence[VerifierKey]) -> bytes | None:
        """Return the same checkpoint as it was signed; the arguments and errors are those of `newest`."""
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
                tail = file.read()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise CheckpointFileError(f"cannot read {self._path}: {exc.strerror}") from exc
        # By size, not by place: processes that share the file write in no certain order.
        notes: list[bytes] = _NOTE.findall(tail)
        for note in sorted(notes, key=_claimed_size, reverse=True):
            if _is_signed(note, keys):
                return note
        raise LogForeignError(f"want checkpoints of this log in {self._path}, got none that our key signed")

    def write(self, note: bytes) -> None:
        """Add a checkpoint.

        Raises:
            CheckpointFileError: It could not be written; `settle` tries again.
        """
        with self._lock:
            self._unwritten = note
            self._write_rest()

    def settle(self) -> None:
        """Write what could not be written before, if anything.

        Raises:
            CheckpointFileError: It still cannot.
        """
        if self._unwritten:
            with self._lock:
                self._write_rest()

    def _write_rest(self) -> None:
        data = b"\n" + self._unwritten
        try:
            # Opened anew each time: whoever moves the file away to keep it finds a new one in its place.
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            try:
                if os.write(descriptor, data) != len(data):
                    raise CheckpointFileError(f"cannot write {self._path}: the disk took only a part")
                now_s = time.monotonic()
                if now_s - self._synced_s >= SYNC_EVERY_S:
                    os.fdatasync(descriptor)
                    self._synced_s = now_s
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise CheckpointFileError(f"cannot write {self._path}: {exc.strerror}") from exc
        self._unwritten = b""


def _claimed_size(note: bytes) -> int:
    return int(note.split(b"\n", 2)[1])


def _is_signed(note: bytes, keys: Sequence[VerifierKey]) -> bool:
    try:
        open_checkpoint(note, keys)
    except AuditError:
        return False
    return True
