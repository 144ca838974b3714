"""The log's checkpoints once more, in a file outside its database.

The file is the log's own witness: a database that was restored from a backup, or lost its tail, cannot take the file
back with it, so the log refuses to grow from there (C2SP tlog-checkpoint: never sign what contradicts what was signed).

Each signed note is written as it is, with an empty line before the next. It is written before a receipt leaves, and
given to the disk once a second while records come, and by each readiness probe: a power cut may take the last notes
from the file, never from the database, and a file that is behind its database is no contradiction. Who wants it to be
as durable as the database has each note given to the disk before its receipts leave; that doubles the cost of a commit.
"""

import math
import os
import re
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

from lockgate.audit.errors import AuditError, CheckpointFileError, LogForeignError
from lockgate.audit.formats.checkpoints import Checkpoint, open_known_checkpoint
from lockgate.audit.formats.notes import NOTE_BYTES_MAX, VerifierKey

SYNC_EVERY_S: Final = 1.0  # a synced write costs as much as the commit itself; one a second costs nothing
_TAIL_BYTES: Final = 2 * NOTE_BYTES_MAX  # holds the newest whole note, and several processes write within a few notes
# A note of three lines and its signatures, wherever it begins: a torn write before it does not hide it.
_NOTE: Final = re.compile(rb"(?m)^[^\n]+\n[0-9]{1,16}\n[A-Za-z0-9+/]{43}=\n\n(?:\xe2\x80\x94 [^\n]+\n)+")
_NO_FILE: Final = (0, 0)

CheckpointSync: TypeAlias = Literal["second", "each"]
"""When the file is given to the disk: once a second, or with each note."""


class CheckpointFile:
    """One log's file; several processes of one machine may share it."""

    def __init__(self, path: Path, sync: CheckpointSync = "second") -> None:
        """Take the path; the file is made by the first checkpoint."""
        self.path: Final = path
        self.sync: Final = sync
        self._lock = threading.Lock()
        self._unwritten = b""  # a note that could not be written yet
        self._unsynced = False
        self._synced_s = -math.inf
        self._seen = _NO_FILE  # inode and length of the file when this process last knew all of it
        self._read_to = 0  # where in it the last whole note ends that was read: the next one begins behind
        self._newest: Checkpoint | None = None  # the largest in it, but for our own
        self._own = b""  # our own largest, not looked at yet

    def has_nothing_beyond(self, size: int) -> bool:
        """Tell whether all that was written to the file is known, and is of this size at most; costs a microsecond."""
        return self._is_as_seen() and (self._newest is None or self._newest.size <= size)

    def _is_as_seen(self) -> bool:
        try:
            found = self.path.stat()
        except OSError:
            return False
        return (found.st_ino, found.st_size) == self._seen

    def newest(self, keys: Sequence[VerifierKey]) -> Checkpoint | None:
        """Return the checkpoint of the largest size among the last ones, or None if there never was a file.

        Args:
            keys: The log's own keys.

        Raises:
            CheckpointFileError: The file cannot be read.
            LogForeignError: None of them is signed by one of the keys.
        """
        with self._lock:
            notes, self._own = ([self._own] if self._own else []), b""
            seen, read_to = self._seen, self._read_to
            if not self._is_as_seen():
                seen, read_to, found = self._read(seen, read_to)
                notes += found
            self._seen, self._read_to = _NO_FILE, 0  # until what is in it is believed
            if notes or seen != _NO_FILE:
                note = self._largest_note(notes, keys, 0 if self._newest is None else self._newest.size + 1)
                self._newest = self._newest if note is None else open_known_checkpoint(note, tuple(keys))
            self._seen, self._read_to = seen, read_to
            return self._newest

    def newest_note(self, keys: Sequence[VerifierKey]) -> bytes | None:
        """Return the same checkpoint as it was signed; the arguments and errors are those of `newest`."""
        seen, _, notes = self._read(_NO_FILE, 0)
        return None if seen == _NO_FILE else self._largest_note(notes, keys, 0)

    def _read(self, seen: tuple[int, int], read_to: int) -> tuple[tuple[int, int], int, list[bytes]]:
        """Return what the file now is, where its last whole note ends, and the notes behind what was read before."""
        try:
            with self.path.open("rb") as file:
                found = os.fstat(file.fileno())
                is_longer = found.st_ino == seen[0] and found.st_size >= read_to
                begin = max(found.st_size - _TAIL_BYTES, read_to if is_longer else 0, 0)
                file.seek(begin)
                tail = file.read(found.st_size - begin)
        except FileNotFoundError:
            return _NO_FILE, 0, []
        except OSError as exc:
            raise CheckpointFileError(f"cannot read {self.path}: {exc.strerror}") from exc
        notes = list(_NOTE.finditer(tail))
        # Not to the end of the file: the last note may be there in part only, while another process writes it.
        end = begin + notes[-1].end() if notes else begin
        return (found.st_ino, found.st_size), end, [note[0] for note in notes]

    def _largest_note(self, notes: list[bytes], keys: Sequence[VerifierKey], size_min: int) -> bytes | None:
        # By size, not by place: processes that share the file write in no certain order.
        for note in sorted(notes, key=_claimed_size, reverse=True):
            if _claimed_size(note) >= size_min and _is_signed(note, keys):
                return note
        if size_min:
            return None
        raise LogForeignError(f"want checkpoints of this log in {self.path}, got none that our key signed")

    def write(self, note: bytes) -> None:
        """Add a checkpoint.

        Raises:
            CheckpointFileError: It could not be written; `settle` tries again.
        """
        with self._lock:
            self._unwritten = note
            self._write_rest()

    def settle(self, *, sync: bool = False) -> None:
        """Write what could not be written before, if anything.

        Args:
            sync: Also give the disk what it has not got yet.

        Raises:
            CheckpointFileError: It still cannot.
        """
        if self._unwritten or (sync and self._unsynced):
            with self._lock:
                self._write_rest(sync=sync)

    def _write_rest(self, *, sync: bool = False) -> None:
        data = b"\n" + self._unwritten if self._unwritten else b""
        try:
            # Opened anew each time: whoever moves the file away to keep it finds a new one in its place.
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            try:
                before = os.fstat(descriptor)
                if os.write(descriptor, data) != len(data):
                    raise CheckpointFileError(f"cannot write {self.path}: the disk took only a part")
                self._note_own_write(before, os.fstat(descriptor), len(data))
                now_s = time.monotonic()
                self._unsynced = True
                if sync or self.sync == "each" or now_s - self._synced_s >= SYNC_EVERY_S:
                    os.fdatasync(descriptor)
                    self._unsynced, self._synced_s = False, now_s
            finally:
                os.close(descriptor)
        except OSError as exc:
            raise CheckpointFileError(f"cannot write {self.path}: {exc.strerror}") from exc
        self._unwritten = b""

    def _note_own_write(self, before: os.stat_result, after: os.stat_result, length: int) -> None:
        # Only if nobody else wrote since we looked: what they wrote is still to be read.
        known = (before.st_ino, before.st_size) == self._seen or before.st_size == 0
        if known and after.st_size == before.st_size + length:
            self._seen, self._read_to = (after.st_ino, after.st_size), after.st_size
            self._own = max(self._own, self._unwritten, key=_claimed_size)


def _claimed_size(note: bytes) -> int:
    return int(note.split(b"\n", 2)[1]) if note else -1


def _is_signed(note: bytes, keys: Sequence[VerifierKey]) -> bool:
    try:
        open_known_checkpoint(note, tuple(keys))
    except AuditError:
        return False
    return True
