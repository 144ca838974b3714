"""What an export looks like, and reading one. No database.

records.jsonl       each record's exact bytes and a newline, by seq
checkpoints.txt     every signed checkpoint, exact bytes, by size, an empty line between two
checkpoint          the newest of them
attachments/        documents, each named by its SHA-256
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from lockgate.audit.errors import ExportError
from lockgate.audit.formats.notes import NOTE_BYTES_MAX
from lockgate.audit.formats.records import ATTACHMENT_BYTES_MAX, Columns
from lockgate.canonical_json import RECORD_BYTES_MAX

RECORDS: Final = "records.jsonl"
CHECKPOINTS: Final = "checkpoints.txt"
CHECKPOINT: Final = "checkpoint"
ATTACHMENTS: Final = "attachments"


class ExportFolder:
    """An export to be read; nothing in it is believed.

    Every method raises `ExportError` when a file is missing or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def records(self) -> Iterator[tuple[bytes, Columns | None]]:
        """Return each line of the records, in the order of the file."""
        try:
            with (self._path / RECORDS).open("rb") as file:
                # A longer line cannot be a record; it comes in pieces, and the first piece is refused as malformed.
                while line := file.readline(RECORD_BYTES_MAX + 2):
                    yield line.removesuffix(b"\n"), None
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
                note = b""
                for line in itertools.chain(iter(lambda: file.readline(NOTE_BYTES_MAX), b""), [b"\n"]):
                    # A note has one empty line, after its text; the next one ends it.
                    if line == b"\n" and b"\n\n" in note:
                        yield note
                        note = b""
                    elif len(note) <= NOTE_BYTES_MAX:  # a longer one is cut, and then refused as malformed
                        note += line
                if note.strip():
                    yield note
        except OSError as exc:
            raise ExportError(f"cannot read {CHECKPOINTS}: {exc.strerror}") from exc

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
