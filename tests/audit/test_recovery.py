"""After a restored backup: the missing records come back byte for byte, or nothing happens at all."""

import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.audit import (
    Actor,
    AuditError,
    LogBehindError,
    LogInconsistentError,
    Outcome,
    RecordUnknownError,
    open_checkpoint,
)
from lockgate.audit.errors import ErasedError, RecoveryError
from lockgate.audit.formats.checkpoints import read_checkpoint, sign_checkpoint
from lockgate.audit.formats.kind_names import RECOVER
from lockgate.audit.formats.log_policy import LogKey, LogPolicy
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.audit.formats.records import Columns, parse_record
from lockgate.audit.keeping.erasing import erase
from lockgate.audit.keeping.key_changes import rotate_key
from lockgate.audit.keeping.log_writer import LogWriter
from lockgate.audit.keeping.recovery import STEP_RECORDS, Recovery, recover_log
from lockgate.audit.types import RecordFilter
from lockgate.audit.verification.export_folder import CHECKPOINT, CHECKPOINTS, RECORDS, ExportFolder
from lockgate.digests import sha256_hex
from lockgate.storage import open_engine, postgresql
from support.audit_logs import ORIGIN, LogStand, make_event, make_stand, verify_export
from support.databases import NewDatabase
from support.keyed_logs import log_under

OPERATOR = Actor(type="system", id="command-line")
NEW = make_signer(ORIGIN, bytes(31) + b"\x01")


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[LogStand]:
    """A log with nothing but its genesis record; every test here runs on both databases."""
    made = make_stand(tmp_path, database_url)
    yield made
    made.engine.dispose()


def _recover(stand: LogStand, export: Path | ExportFolder, *signers: SeedSigner, elsewhere: bool = False) -> Recovery:
    keys = signers or (stand.signer,)
    return recover_log(
        LogWriter(
            engine=stand.engine,
            signers=keys,
            clock=stand.clock,
            instance="test",
            checkpoint_file=None if elsewhere else stand.checkpoint_file,
        ),
        ExportFolder(export) if isinstance(export, Path) else export,
        LogPolicy(logs=tuple(LogKey(key=key.verifier_key) for key in dict.fromkeys((*keys, stand.signer)))),
        reason="the disk failed",
        actor=OPERATOR,
    )


def _size(stand: LogStand) -> int:
    return open_checkpoint(stand.log.checkpoint(), [stand.signer.verifier_key, NEW.verifier_key]).size


def _append_together(stand: LogStand, count: int) -> None:
    events = tuple(make_event() for _ in range(count))
    stand.log.transact(lambda _: Outcome(value=None, events=events))


def _state(stand: LogStand) -> list[list[tuple[Any, ...]]]:
    """Return every row of the log: its head, records, tree, checkpoints and documents."""
    with stand.engine.connect() as connection:
        return [
            [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY {order}")]  # noqa: S608 - the test's own names
            for table, order in (
                ("audit_head", "log"),
                ("audit_entry", "seq"),
                ("audit_node", "level, idx"),
                ("audit_checkpoint", "size"),
                ("audit_attachment", "sha256"),
            )
        ]


@pytest.mark.parametrize(("size", "cut"), [(12, 2), (2 * STEP_RECORDS + 9, 66)])
def test_missing_records_come_back_byte_for_byte(stand: LogStand, size: int, cut: int) -> None:
    """Records, tree, checkpoints and documents are those of before; one more record says what was put back."""
    stand.log.append(make_event(attachments=(b"early",)))
    while _size(stand) < size - 2:
        _append_together(stand, min(64, size - 2 - _size(stand)))
    stand.log.append(make_event(attachments=(b"late", b"early")))
    stand.fill(1)
    receipts = [stand.log.receipt(seq) for seq in range(0, size, 61)]
    export, before = stand.export(), _state(stand)
    stand.cut(cut)
    stand.edit("DELETE FROM audit_attachment WHERE seq >= ?", cut)
    with pytest.raises(LogBehindError):
        stand.reopened().append(make_event())
    done = _recover(stand, export)

    assert (done.from_size, done.to_size, done.seq) == (cut, size, size)
    assert done.kinds == {"app.event": size - cut}
    record = parse_record(stand.log.records(after=size - 1)[0].body)
    assert (record["kind"], record["actor"]["id"]) == (RECOVER, "command-line")
    assert record["body"] == {"from_size": cut, "to_size": size, "reason": "the disk failed"}
    assert [stand.log.receipt(seq) for seq in range(0, size, 61)] == receipts
    after = _state(stand)
    for rows_before, rows_after in zip(before[1:], after[1:], strict=True):
        assert set(rows_before) <= set(rows_after)
    assert stand.log.attachment(sha256_hex(b"late")) == b"late"


def test_log_goes_on_and_verifies(stand: LogStand) -> None:
    """After it other processes append again, and the whole log is valid with every checkpoint that was ever signed."""
    stand.fill(9)
    held = stand.log.checkpoint()
    export = stand.export()
    stand.cut(4)
    _recover(stand, export)
    stand.reopened().append(make_event())
    stand.log.check_head()

    assert verify_export(stand.export("after"), stand.signer, held=(held,)).verdict == "valid"


def test_empty_database_is_filled(stand: LogStand, new_database: NewDatabase) -> None:
    """Without any backup the whole log comes back from an export."""
    stand.fill(5)
    export = stand.export()
    other = replace(stand, engine=open_engine(new_database()))
    done = _recover(other, export)

    assert (done.from_size, done.to_size) == (0, 6)
    assert other.reopened().append(make_event()).seq == 7
    other.engine.dispose()


def _refuse(stand: LogStand, export: Path, said: str, *, elsewhere: bool = False) -> None:
    before = _state(stand)
    with pytest.raises(RecoveryError, match=said):
        _recover(stand, export, elsewhere=elsewhere)
    assert _state(stand) == before


def test_export_that_is_too_short(stand: LogStand) -> None:
    """An export that does not reach what was signed mends nothing, and the message says what is left."""
    stand.fill(6)
    export = stand.export()
    stand.fill(1)
    stand.cut(3)

    _refuse(stand, export, "begin another in a new database")


def test_nothing_is_missing(stand: LogStand) -> None:
    """A log that is whole, or ahead of the export, is left alone."""
    stand.fill(3)
    _refuse(stand, stand.export(), "lacks nothing")
    export = stand.export("older")
    stand.fill(2)
    for elsewhere in (False, True):
        _refuse(stand, export, "lacks nothing", elsewhere=elsewhere)


@pytest.mark.parametrize("file", [RECORDS, CHECKPOINTS, CHECKPOINT])
@pytest.mark.parametrize("place", [0.1, 0.9])
def test_changed_export(stand: LogStand, file: str, place: float) -> None:
    """An export in which one byte was changed puts nothing back."""
    stand.fill(8)
    export = stand.export()
    stand.cut(3)
    data = bytearray((export / file).read_bytes())
    data[int(len(data) * place)] ^= 1
    (export / file).write_bytes(data)
    before = _state(stand)

    with pytest.raises(AuditError) as caught:
        _recover(stand, export)
    assert caught.value.code in {"audit.recovery_refused", "audit.note_malformed", "audit.export_failed"}
    assert _state(stand) == before


def test_log_that_went_on_another_way(stand: LogStand) -> None:
    """Where somebody wrote after the backup was restored there are two histories, and neither is overwritten."""
    stand.fill(6)
    export = stand.export()
    stand.cut(3)
    stand.reopened(elsewhere=True).append(make_event("a fork"))

    _refuse(stand, export, "another way", elsewhere=True)
    _refuse(stand, export, "another way")


def test_export_of_a_fork(stand: LogStand) -> None:
    """An export that contradicts the checkpoint file is refused, though the log's own key signed every bit of it."""
    stand.fill(6)
    stand.cut(3)
    fork = stand.reopened(elsewhere=True)
    for _ in range(9):
        fork.append(make_event("a fork"))
    export = stand.export("fork")
    stand.cut(3)
    before = _state(stand)

    with pytest.raises(LogInconsistentError, match="first 7 records"):
        _recover(stand, export)
    assert _state(stand) == before


@pytest.mark.parametrize("what", ["record", "document", "end"])
def test_export_that_changes_while_it_is_read(stand: LogStand, what: str) -> None:
    """What is put back is what was signed, whatever becomes of the export after it was verified."""
    stand.fill(3)
    stand.log.append(make_event(attachments=(b"document",)))
    export = stand.export()
    stand.cut(2)

    class Changing(ExportFolder):
        is_verified = False  # the records are read again after that

        def records(self) -> Iterator[tuple[bytes, Columns | None]]:
            self.is_verified = True
            records = list(super().records())
            if what == "record":
                records[-1] = (records[-1][0].replace(b"tested", b"tasted"), None)
            yield from records[: -1 if what == "end" else None]

        def attachment(self, sha256: str) -> bytes | None:
            return b"another" if what == "document" and self.is_verified else super().attachment(sha256)

    before = _state(stand)
    with pytest.raises(RecoveryError):
        _recover(stand, Changing(export))
    assert _state(stand) == before


def test_export_of_another_log(stand: LogStand, tmp_path: Path) -> None:
    """Neither an export of another name nor one of another key with the same name is taken."""
    stand.fill(3)
    (tmp_path / "b").mkdir()
    other = make_stand(tmp_path / "b")
    other.fill(9)
    stand.cut(2)

    _refuse(stand, other.export(), "another way")
    other.engine.dispose()
    text = (other.folder / "export" / CHECKPOINT).read_text().replace(ORIGIN, "other.example/audit")
    (other.folder / "export" / CHECKPOINT).write_text(text)
    _refuse(stand, other.folder / "export", "want an export of")


def test_unknown_key(stand: LogStand) -> None:
    """An export that a stranger signed is not believed, whatever its records."""
    stand.fill(3)
    export = stand.export()
    stand.cut(2)
    stranger = make_signer(ORIGIN, bytes(32))
    notes = [sign_checkpoint(read_checkpoint(note), stranger) for note in ExportFolder(export).checkpoints()]
    (export / CHECKPOINTS).write_bytes(b"\n".join(notes))
    (export / CHECKPOINT).write_bytes(notes[-1])

    _refuse(stand, export, "unverifiable")


def test_other_damage_is_not_mended(stand: LogStand) -> None:
    """A log that contradicts itself is not a log that lacks its end."""
    stand.fill(6)
    export = stand.export()
    stand.cut(4)
    stand.change("audit_entry", "body", "seq = 3", lambda body: body.replace(b"tested", b"tasted"))
    before = _state(stand)

    with pytest.raises(LogInconsistentError):
        _recover(stand, export)
    assert _state(stand) == before


def test_what_was_erased_stays_erased(stand: LogStand) -> None:
    """A backup brings erased documents back; the recovery erases them again, also from an older export's copies."""
    stand.log.append(make_event(attachments=(b"personal", b"other")))
    older = stand.export("older")
    sha256 = sha256_hex(b"personal")
    erase(stand.engine, stand.log, [sha256], reason="asked to", actor=OPERATOR)
    stand.fill(1)
    export = stand.export()
    assert not (export / "attachments" / sha256).exists()
    shutil.copy(older / "attachments" / sha256, export / "attachments" / sha256)
    stand.cut(1)
    stand.edit("DELETE FROM audit_erased")
    stand.edit("DELETE FROM audit_attachment")
    _recover(stand, export)

    with pytest.raises(ErasedError):
        stand.log.attachment(sha256)
    assert stand.log.attachment(sha256_hex(b"other")) == b"other"
    assert verify_export(stand.export("after"), stand.signer).verdict == "valid"


def test_recovery_under_a_new_key(stand: LogStand) -> None:
    """A backup from before the key was changed is recovered under the new key, with the old one known."""
    stand.fill(4)
    both = log_under(stand, NEW, stand.signer)
    rotate_key(both, stand.signer.verifier_key, NEW.verifier_key, OPERATOR, stand.clock.now_ns())
    log_under(stand, NEW).append(make_event())
    export = stand.export()
    stand.cut(3)
    with pytest.raises(LogBehindError):
        log_under(stand, NEW).append(make_event())
    done = _recover(stand, export, NEW)
    log_under(stand, NEW).append(make_event())

    assert (done.from_size, done.to_size) == (3, 7)
    assert verify_export(stand.export("after"), stand.signer, NEW).verdict == "valid"


def test_nothing_is_put_back_without_the_record(stand: LogStand) -> None:
    """When the last step fails, the log is as short as before: what was put back goes with it."""
    stand.fill(4)
    export = stand.export()
    stand.cut(2)

    class Failing(SeedSigner):
        def sign(self, text: bytes) -> bytes:
            raise RecordUnknownError(f"no signature of {len(text)} bytes")

    before = _state(stand)
    with pytest.raises(RecordUnknownError):
        _recover(stand, export, Failing(verifier_key=stand.signer.verifier_key, seed=stand.signer.seed))
    assert _state(stand) == before
    assert _recover(stand, export).to_size == 5
    assert len(stand.log.find(RecordFilter(kind=RECOVER))) == 1


@settings(max_examples=10, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=5), cut=st.integers(1, 40))
def test_any_batches_any_cut(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], cut: int) -> None:
    """Wherever a backup was made, the log that comes back is the log that was."""
    stand = make_stand(tmp_path_factory.mktemp("log"))
    ends = [1]
    for size in sizes:
        _append_together(stand, size)
        ends.append(ends[-1] + size)
    export, before = stand.export(), _state(stand)
    stand.cut(ends[cut % (len(ends) - 1)])
    _recover(stand, export)

    assert all(set(rows) <= set(now) for rows, now in zip(before[1:], _state(stand)[1:], strict=True))
    assert verify_export(stand.export("after"), stand.signer).verdict == "valid"
    stand.engine.dispose()


class _SlowFolder(ExportFolder):
    """An export whose records take a while to read."""

    def records(self) -> Iterator[tuple[bytes, Columns | None]]:
        """Return each line, after a while."""
        time.sleep(1.2)
        yield from super().records()


def test_a_long_way_through_the_export_is_no_idling(tmp_path: Path, postgresql_url: str) -> None:
    """PostgreSQL does not end the transaction while the records that the log has are passed by."""
    stand = make_stand(tmp_path, postgresql_url)
    stand.fill(4)
    export = stand.export()
    stand.cut(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgresql, "_BEGIN_WRITE", postgresql._BEGIN_WRITE.replace("'10s'", "'500ms'"))
        done = _recover(stand, _SlowFolder(export))

    assert (done.from_size, done.to_size) == (3, 5)
    stand.engine.dispose()
