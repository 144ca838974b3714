"""The checkpoints outside the database: the newest is found whatever lies around it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lockgate
from lockgate.audit.errors import CheckpointFileError, LogForeignError
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.writing.checkpoint_file import CheckpointFile

SIGNER = make_signer("gate.example/audit", bytes(range(32)))
KEYS = [SIGNER.verifier_key]

PROGRAM = """
import os, sys
from pathlib import Path
from lockgate.audit.writing import checkpoint_file
from support.audit_logs import make_event, make_stand
folder, sync = Path(sys.argv[1]), sys.argv[2]
stand = make_stand(folder)
log = stand.reopened(checkpoint_sync=sync)
def act(name, seconds):  # what a second is, so that nobody need wait for one
    checkpoint_file.SYNC_EVERY_S = seconds
    os.write(1, f"{name}\\n".encode())
    return log.append(make_event())
act("first", 3600)
act("soon", 3600)
act("late", 0)
act("soon", 3600)
os.write(1, b"ready\\n")
log.check_head()
os.write(1, b"ready\\n")
log.check_head()
os.write(1, b"end\\n")
"""


def _note(size: int, seed: bytes = bytes(range(32))) -> bytes:
    signer = make_signer("gate.example/audit", seed)
    return sign_checkpoint(Checkpoint(origin="gate.example/audit", size=size, root=bytes([size % 256]) * 32), signer)


def test_nothing_is_known_without_a_file(tmp_path: Path) -> None:
    """Before the first checkpoint there is no file and no newest checkpoint."""
    assert CheckpointFile(tmp_path / "checkpoints.txt").newest(KEYS) is None


def test_the_largest_counts_wherever_it_stands(tmp_path: Path) -> None:
    """Processes that share a file write in no certain order; the largest size is the newest."""
    file = CheckpointFile(tmp_path / "checkpoints.txt")
    for size in (1, 3, 2):
        file.write(_note(size))
    newest = file.newest(KEYS)

    assert newest is not None
    assert newest.size == 3


@pytest.mark.parametrize("torn", [b"\ngate.example/au", b"\ngate.example/audit\n9\nAAAA", b"\n\n\n", b"\xff\xfe junk"])
def test_a_torn_write_hides_nothing(tmp_path: Path, torn: bytes) -> None:
    """A note before and a note after a torn one are found."""
    path = tmp_path / "checkpoints.txt"
    file = CheckpointFile(path)
    file.write(_note(1))
    path.write_bytes(path.read_bytes() + torn)
    before = file.newest(KEYS)
    file.write(_note(2))
    after = file.newest(KEYS)

    assert before is not None
    assert after is not None
    assert (before.size, after.size) == (1, 2)


def test_a_long_file_is_read_at_its_end(tmp_path: Path) -> None:
    """The newest is found in a file that is longer than what is read of it."""
    path = tmp_path / "checkpoints.txt"
    path.write_bytes(b"".join(b"\n" + _note(size) for size in range(1, 1200)))
    newest = CheckpointFile(path).newest(KEYS)

    assert newest is not None
    assert newest.size == 1199


@pytest.mark.parametrize("there", [1, 30, 100, -1])
def test_a_note_that_is_still_being_written_is_read_later(tmp_path: Path, there: int) -> None:
    """What was there in part when a process looked is found whole when it looks again."""
    path = tmp_path / "checkpoints.txt"
    file, note = CheckpointFile(path), b"\n" + _note(2)
    file.write(_note(1))
    with path.open("ab", buffering=0) as other:
        other.write(note[:there])
        before = file.newest(KEYS)
        other.write(note[there:])
        after = file.newest(KEYS)

    assert before is not None
    assert after is not None
    assert (before.size, after.size) == (1, 2)


def test_what_was_read_once_is_not_forgotten(tmp_path: Path) -> None:
    """A file that was emptied and filled anew, or put in the place of the old, takes nothing back."""
    path = tmp_path / "checkpoints.txt"
    file, other = CheckpointFile(path), CheckpointFile(path)
    other.write(_note(1))
    other.write(_note(9))
    sizes = [file.newest(KEYS)]
    path.write_bytes(_note(2))
    sizes.append(file.newest(KEYS))
    path.unlink()
    path.write_bytes(_note(3))
    sizes.append(file.newest(KEYS))
    path.write_bytes(_note(3) + b"\n" + _note(12))
    sizes.append(file.newest(KEYS))

    assert [newest and newest.size for newest in sizes] == [9, 9, 9, 12]


def test_what_another_key_signed_does_not_count(tmp_path: Path) -> None:
    """A note with a larger size that our key did not sign is passed over; a file of nothing else is refused."""
    path = tmp_path / "checkpoints.txt"
    file = CheckpointFile(path)
    file.write(_note(9, seed=bytes(32)))
    with pytest.raises(LogForeignError, match="got none that our key signed"):
        file.newest(KEYS)
    file.write(_note(2))
    newest = file.newest(KEYS)

    assert newest is not None
    assert newest.size == 2


def test_what_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    """A note that finds no room is kept and written when there is."""
    path = tmp_path / "folder" / "checkpoints.txt"
    file = CheckpointFile(path)
    with pytest.raises(CheckpointFileError):
        file.write(_note(1))
    with pytest.raises(CheckpointFileError):
        file.settle()
    path.parent.mkdir()
    file.settle()
    file.settle()

    assert path.read_bytes() == b"\n" + _note(1)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """A file that is there and cannot be read is not taken for none."""
    (tmp_path / "checkpoints.txt").mkdir()
    with pytest.raises(CheckpointFileError, match=r"cannot read .*checkpoints\.txt"):
        CheckpointFile(tmp_path / "checkpoints.txt").newest(KEYS)


def _disk_calls(strace: str, folder: Path, sync: str) -> list[str]:
    """Return what the program says on its output, and what it does to the disk between, in order."""
    trace = folder / "trace"
    path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(lockgate.__file__).parents[1])])
    command = [strace, "-f", "-y", "-e", "trace=write,fdatasync", "-o", str(trace)]
    command += [sys.executable, "-c", PROGRAM, str(folder), sync]
    subprocess.run(command, check=True, capture_output=True, env={"PYTHONPATH": path})
    calls = []
    for call, file, said in re.findall(r'(\w+)\(\d+<([^>]*)>(?:, "(\w+)\\n")?', trace.read_text()):
        if file.endswith("/checkpoints.txt"):
            calls.append(call)
        elif file.endswith("/lockgate.db-wal") or said:
            calls.append(said or "commit")
    return calls[calls.index("first") : calls.index("end")]


DISK_CALLS = {
    "second": """
        first commit write fdatasync soon commit write late commit write fdatasync soon commit write
        ready write fdatasync ready
    """,
    "each": """
        first commit write fdatasync soon commit write fdatasync late commit write fdatasync soon commit write fdatasync
        ready ready
    """,
}


@pytest.mark.parametrize("sync", DISK_CALLS)
def test_what_is_written_is_given_to_the_disk(tmp_path: Path, strace: str, sync: str) -> None:
    """After each commit the note is written, and given to the disk: once a second and by a readiness probe, or always.

    The program's `soon` is within the second of the sync before, its `late` is after it.
    """
    assert _disk_calls(strace, tmp_path, sync) == DISK_CALLS[sync].split()
