"""`open_log`: a module's own log in a folder."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from lockgate.audit import (
    Actor,
    Event,
    KeyInvalidError,
    KindInvalidError,
    LogBehindError,
    LogForeignError,
    load_key_file,
    open_log,
    verify_receipt,
)
from lockgate.audit.formats.kind_names import GENESIS, KIND
from lockgate.audit.formats.records import parse_record
from lockgate.audit.reading.export import export_log
from support.audit_logs import verify_export

ORIGIN = "reviews.example.org/audit"
SCHEMA = b'{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["account"]}'
KINDS = {"access.review": SCHEMA}


def review(account: str = "ann") -> Event:
    """Make an event of the module's kind."""
    actor = Actor(type="user", id="rita")
    return Event(id=str(uuid.uuid4()), kind="access.review", actor=actor, body={"account": account})


def kinds_in(folder: Path) -> list[str]:
    """Return the kind of each record of the log in a folder."""
    return [parse_record(record.body)["kind"] for record in open_log(folder, ORIGIN, {}).records()]


def test_the_first_opening_makes_the_log(tmp_path: Path) -> None:
    """One call makes the folder, for its owner alone, the key, the log, and registers the kinds."""
    folder = tmp_path / "var" / "log"
    receipt = open_log(folder, ORIGIN, KINDS).append(review())
    record = verify_receipt(receipt, [load_key_file(folder / "log.key").verifier_key])

    assert (folder.stat().st_mode & 0o777, (folder / "log.key").stat().st_mode & 0o777) == (0o700, 0o600)
    assert (record["log"], record["seq"], record["body"]) == (ORIGIN, 2, {"account": "ann"})
    assert kinds_in(folder) == [GENESIS, KIND, "access.review"]


def test_later_openings_change_nothing(tmp_path: Path) -> None:
    """The same key goes on; only a schema that changed is recorded."""
    first = open_log(tmp_path, ORIGIN, KINDS).append(review())
    again = open_log(tmp_path, ORIGIN, KINDS)
    second = again.append(review())
    open_log(tmp_path, ORIGIN, {"access.review": SCHEMA + b"\n"})
    signer = load_key_file(tmp_path / "log.key")
    export_log(again._engine, ORIGIN, tmp_path / "export")

    assert (first.seq, second.seq) == (2, 3)
    assert kinds_in(tmp_path) == [GENESIS, KIND, "access.review", "access.review", KIND]
    assert verify_export(tmp_path / "export", signer).verdict == "valid"


@pytest.mark.parametrize(
    ("origin", "kinds", "error"),
    [
        ("two words", {}, KeyInvalidError),
        ("", {}, KeyInvalidError),
        (ORIGIN, {"gate.decision": SCHEMA}, KindInvalidError),
        (ORIGIN, {"access.review": b"{}"}, KindInvalidError),
    ],
)
def test_what_cannot_be_a_log_is_refused(
    tmp_path: Path, origin: str, kinds: dict[str, bytes], error: type[Exception]
) -> None:
    """A bad name or a bad schema is refused by name, and can be mended."""
    with pytest.raises(error):
        open_log(tmp_path, origin, kinds)

    assert open_log(tmp_path, ORIGIN, KINDS).append(review()).seq == 2


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    """A file in the folder's place is named."""
    (tmp_path / "file").touch()
    with pytest.raises(KeyInvalidError, match="folder"):
        open_log(tmp_path / "file" / "log", ORIGIN, {})


def test_another_origin_is_refused(tmp_path: Path) -> None:
    """A log keeps its name."""
    open_log(tmp_path, ORIGIN, {})
    with pytest.raises(LogForeignError, match="want the origin"):
        open_log(tmp_path, "other.example/audit", {})


@pytest.mark.parametrize("lost", ["log.key", "log.db"])
def test_a_log_that_lost_a_part_is_not_begun_anew(tmp_path: Path, lost: str) -> None:
    """A missing key or database is never replaced by a new one: the log would lose its past without a word."""
    open_log(tmp_path, ORIGIN, KINDS).append(review())
    (tmp_path / lost).unlink()
    for leftover in tmp_path.glob(f"{lost}-*"):
        leftover.unlink()
    with pytest.raises(LogForeignError):
        open_log(tmp_path, ORIGIN, KINDS)

    assert lost == "log.db" or not (tmp_path / lost).exists()


def test_a_restored_backup_is_refused(tmp_path: Path) -> None:
    """The checkpoint file outside the database betrays a database of before."""
    log = open_log(tmp_path, ORIGIN, KINDS)
    log._engine.dispose()
    backup = (tmp_path / "log.db").read_bytes()
    log.append(review())
    log._engine.dispose()
    (tmp_path / "log.db").write_bytes(backup)
    with pytest.raises(LogBehindError):
        open_log(tmp_path, ORIGIN, KINDS)


_WRITER = """
import sys, uuid
from pathlib import Path
from lockgate.audit import Actor, Event, open_log
log = open_log(Path(sys.argv[1]), sys.argv[2], {"access.review": sys.argv[3].encode()})
for _ in range(5):
    event = Event(
        id=str(uuid.uuid4()), kind="access.review", actor=Actor(type="user", id="rita"), body={"account": "ann"}
    )
    print(log.append(event).seq)
"""


def test_processes_that_start_together_make_one_log(tmp_path: Path) -> None:
    """Four processes open a folder that is not there yet and write: one key, one chain, no record lost."""
    folder = tmp_path / "log"
    command = [sys.executable, "-c", _WRITER, str(folder), ORIGIN, SCHEMA.decode()]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    positions = [seq for process in processes for seq in process.communicate(timeout=60)[0].split()]
    log = open_log(folder, ORIGIN, KINDS)
    export_log(log._engine, ORIGIN, tmp_path / "export")
    verification = verify_export(tmp_path / "export", load_key_file(folder / "log.key"))

    assert [process.returncode for process in processes] == [0] * 4
    assert len(set(positions)) == 20
    assert verification.verdict == "valid"
    assert kinds_in(folder).count("access.review") == 20


def test_a_log_opened_after_a_fork_writes(tmp_path: Path) -> None:
    """A child that opens the log for itself writes beside its parent."""
    log = open_log(tmp_path, ORIGIN, KINDS)
    log.append(review())
    log._engine.dispose()
    child = os.fork()
    if child == 0:
        os._exit(0 if open_log(tmp_path, ORIGIN, KINDS).append(review()).seq == 3 else 1)
    ended = os.waitpid(child, 0)[1]

    assert os.waitstatus_to_exitcode(ended) == 0
    assert log.append(review()).seq == 4
