"""What an export looks like, and reading one. No database.

records.jsonl       each record's exact bytes and a newline, by seq
checkpoints.txt     every signed checkpoint, exact bytes, by size, an empty line between two
checkpoint          the newest of them
attachments/        documents, each named by its SHA-256
cosigned            the newest checkpoint with witnesses' lines; absent where nobody witnesses
pruned.json         what is known of the records that were deleted; absent where none were

An export may hold more, for other readers: tiles, a policy. Neither is read here: whom to trust, no export can say.
"""

import functools
import io
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from lockgate.audit.errors import ExportError
from lockgate.audit.formats.notes import NOTE_BYTES_MAX
from lockgate.audit.formats.records import ATTACHMENT_BYTES_MAX, Columns
from lockgate.audit.verification.pruned import PRUNED, PRUNED_BYTES_MAX, Pruned, parse_pruned
from lockgate.audit.verification.stretches import stretch_records
from lockgate.canonical_json import RECORD_BYTES_MAX

RECORDS: Final = "records.jsonl"
CHECKPOINTS: Final = "checkpoints.txt"
CHECKPOINT: Final = "checkpoint"
ATTACHMENTS: Final = "attachments"
COSIGNED: Final = "cosigned"
_READ_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """Where a stretch of records lies in the file."""

    begin: int  # the first record's position in the log
    count: int  # lines
    offset: int  # of the first line, in bytes


class ExportFolder:
    """An export to be read; nothing in it is believed.

    Every method raises `ExportError` when a file is missing or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def path(self) -> Path:
        """The folder."""
        return self._path

    def records(self) -> Iterator[tuple[bytes, Columns | None]]:
        """Return each line of the records, in the order of the file."""
        return self._lines(0, None)

    def stretch(self, cut: Cut) -> Iterator[tuple[bytes, Columns | None]]:
        """Return the lines of one stretch."""
        return self._lines(cut.offset, cut.count)

    def _lines(self, offset: int, count: int | None) -> Iterator[tuple[bytes, Columns | None]]:
        try:
            with (self._path / RECORDS).open("rb", buffering=_READ_BYTES) as file:
                file.seek(offset)
                # A longer line cannot be a record; it comes in pieces, and the first piece is refused as malformed.
                lines = iter(functools.partial(file.readline, RECORD_BYTES_MAX + 2), b"")
                for line in itertools.islice(lines, count):
                    yield line.removesuffix(b"\n"), None
        except OSError as exc:
            raise ExportError(f"cannot read {RECORDS}: {exc.strerror}") from exc

    def cuts(self, begin: int) -> Iterator[Cut]:
        """Return where each stretch lies, in order: only newlines are looked at.

        Args:
            begin: The position of the first record in the file.
        """
        try:
            with (self._path / RECORDS).open("rb", buffering=0) as file:
                yield from _cuts(file, begin)
        except OSError as exc:
            raise ExportError(f"cannot read {RECORDS}: {exc.strerror}") from exc

    def size_bytes(self) -> int:
        """Return how long the records are, for showing progress."""
        try:
            return (self._path / RECORDS).stat().st_size
        except OSError as exc:
            raise ExportError(f"cannot read {RECORDS}: {exc.strerror}") from exc

    def checkpoints(self) -> Iterator[bytes]:
        """Return each signed checkpoint, in the order of the file."""
        try:
            with (self._path / CHECKPOINTS).open("rb") as file:
                yield from _notes(file)
        except OSError as exc:
            raise ExportError(f"cannot read {CHECKPOINTS}: {exc.strerror}") from exc

    def cosigned(self) -> tuple[bytes, ...]:
        """Return the newest checkpoint with witnesses' lines, or nothing."""
        path = self._path / COSIGNED
        return (read_checkpoint_file(path),) if path.exists() else ()

    def pruned(self) -> Pruned | None:
        """Return what is known of deleted records, or None if none were deleted."""
        path = self._path / PRUNED
        if not path.exists():
            return None
        try:
            with path.open("rb") as file:
                return parse_pruned(file.read(PRUNED_BYTES_MAX + 1))
        except OSError as exc:
            raise ExportError(f"cannot read {PRUNED}: {exc.strerror}") from exc

    def newest_checkpoint(self) -> bytes:
        """Return the newest signed checkpoint."""
        return read_checkpoint_file(self._path / CHECKPOINT)

    def check_whole(self) -> None:
        """Make sure that the files are those of one export: to be called when nothing else is wrong with them."""
        last = b""
        for note in self.checkpoints():
            last = note
        if last != self.newest_checkpoint():
            raise ExportError(f"{CHECKPOINT}: want the last checkpoint of {CHECKPOINTS}; one of the files was changed")
        try:
            with (self._path / RECORDS).open("rb") as file:
                file.seek(-1, os.SEEK_END)
                if file.read() != b"\n":
                    raise ExportError(f"{RECORDS}: want a newline behind each record; the file was cut")
        except OSError as exc:
            raise ExportError(f"cannot read {RECORDS}: {exc.strerror}") from exc

    def attachment(self, sha256: str) -> bytes | None:
        """Return a document by its SHA-256, 64 hex digits, or None if it is not there."""
        try:
            with (self._path / ATTACHMENTS / sha256).open("rb") as file:
                # Cut past the limit: a longer file hashes to something else.
                return file.read(ATTACHMENT_BYTES_MAX + 1)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise ExportError(f"cannot read {ATTACHMENTS}/{sha256}: {exc.strerror}") from exc


def _notes(file: BinaryIO) -> Iterator[bytes]:
    # A note has one empty line, after its text; the next one ends it. So every second piece is a note's text.
    rest = b""
    while block := file.read(_READ_BYTES):
        *pieces, rest = (rest + block).split(b"\n\n")
        if len(pieces) % 2:
            rest = pieces.pop() + b"\n\n" + rest
        for text, signatures in zip(pieces[::2], pieces[1::2], strict=True):
            yield text + b"\n\n" + signatures + b"\n"
        if len(rest) > 2 * NOTE_BYTES_MAX:  # no note is as long: it is cut, and then refused as malformed
            yield rest[: NOTE_BYTES_MAX + 1]
            rest = b""
    if rest.strip():
        yield rest


def _cuts(file: io.FileIO, begin: int) -> Iterator[Cut]:
    offset = start = found = 0  # of the block, of the stretch; lines of the stretch in earlier blocks
    is_whole = True  # whether the file so far ends with a newline
    block = bytearray(_READ_BYTES)  # one for all: to get fresh memory for each takes longer than to look through it
    while length := file.readinto(block):
        del block[length:]  # the last one is shorter
        lines, position = block.count(b"\n"), 0
        while found + lines >= (count := stretch_records(begin)):
            for _ in range(count - found):
                position = block.index(b"\n", position) + 1
            yield Cut(begin=begin, count=count, offset=start)
            lines -= count - found
            begin, start, found = begin + count, offset + position, 0
        found += lines
        offset += len(block)
        is_whole = block.endswith(b"\n")
    if start < offset:
        yield Cut(begin=begin, count=found + (not is_whole), offset=start)


def read_checkpoint_file(path: Path) -> bytes:
    """Return the bytes of a file that holds one signed checkpoint.

    Raises:
        ExportError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(NOTE_BYTES_MAX + 1)
    except OSError as exc:
        raise ExportError(f"cannot read the checkpoint file {path.name}: {exc.strerror}") from exc
