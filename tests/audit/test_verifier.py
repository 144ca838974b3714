"""Every way to change a log is found and named; nothing harmless is."""

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockgate.audit import ExportError, Outcome, Verification, store, verify_log
from lockgate.audit.formats.checkpoints import Checkpoint, read_checkpoint, sign_checkpoint
from lockgate.audit.formats.merkle import GrowingTree, leaf_hash
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.storage import read_transaction
from support.audit_logs import ORIGIN, LogStand, make_event, make_stand, verify_export

SIZE = 8


@pytest.fixture
def export(stand: LogStand) -> Path:
    """An export of eight records and one attachment."""
    stand.fill(SIZE - 2)
    stand.log.transact(lambda _: Outcome(value=0, events=(make_event(attachments=(b"document",)),)))
    return stand.export()


def _lines(export: Path) -> list[bytes]:
    return (export / "records.jsonl").read_bytes().splitlines()


def _rewrite(export: Path, lines: list[bytes]) -> None:
    (export / "records.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))


def _found(verification: Verification) -> tuple[str, int | None, set[str]]:
    codes = {problem.code for problem in verification.problems}
    return verification.verdict, verification.first_bad_seq, codes


def _verify_database(stand: LogStand) -> Verification:
    with read_transaction(stand.engine) as connection:
        return verify_log(
            records=((entry.body, entry.columns) for entry in store.stream_entries(connection, ORIGIN)),
            checkpoints=store.stream_checkpoints(connection, ORIGIN),
            keys=[stand.signer.verifier_key],
            attachments=partial(store.read_attachment, connection, ORIGIN),
        )


def test_untouched_export_is_valid(stand: LogStand, export: Path) -> None:
    """An export verifies, and so does the database."""
    verification = verify_export(export, stand.signer)

    assert _found(verification) == ("valid", None, set())
    assert (verification.log, verification.size, verification.checkpoint_size) == (ORIGIN, SIZE, SIZE)
    assert _found(_verify_database(stand)) == ("valid", None, set())


@pytest.mark.parametrize("seq", [0, 3, SIZE - 1])
def test_every_flipped_byte_is_found_at_its_record(stand: LogStand, export: Path, seq: int) -> None:
    """One bit flipped in any one byte of the first, a middle or the last record: tampered, at that record."""
    lines, folder = _lines(export), ExportFolder(export)
    notes = list(folder.checkpoints())
    for place in range(len(lines[seq])):
        flipped = lines[seq][:place] + bytes([lines[seq][place] ^ 1 << place % 8]) + lines[seq][place + 1 :]
        verification = verify_log(
            records=((line, None) for line in [*lines[:seq], flipped, *lines[seq + 1 :]]),
            checkpoints=notes,
            keys=[stand.signer.verifier_key],
        )
        verdict, first_bad, _ = _found(verification)

        assert verdict == "tampered", place
        assert first_bad in ({seq} if seq else {0, 1}), place


def _delete(lines: list[bytes]) -> list[bytes]:
    return lines[:3] + lines[4:]


def _insert(lines: list[bytes]) -> list[bytes]:
    return [*lines[:4], lines[3], *lines[4:]]


def _reorder(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[4], lines[3], *lines[5:]]


def _edit(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[3].replace(b"tested", b"forged"), *lines[4:]]


def _respell(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[3].replace(b'":', b'": ', 1), *lines[4:]]


def _join(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[3] + lines[4], *lines[5:]]


@pytest.mark.parametrize(
    ("change", "first_bad", "code"),
    [
        (_delete, 3, "seq_mismatch"),
        (_insert, 4, "seq_mismatch"),
        (_reorder, 3, "seq_mismatch"),
        (_edit, 3, "root_mismatch"),
        (_respell, 3, "record_malformed"),
        (_join, 3, "record_malformed"),
        (lambda lines: lines[:5], 5, "truncated"),
        (lambda lines: lines[:-1], SIZE - 1, "truncated"),
        (lambda _: [], 0, "truncated"),
        (lambda lines: [*lines, b"{}"], SIZE, "record_malformed"),
    ],
)
def test_changed_records_are_found(
    stand: LogStand, export: Path, change: Callable[[list[bytes]], list[bytes]], first_bad: int, code: str
) -> None:
    """Deleting, inserting, reordering, editing, respelling and shortening: tampered, at the right record."""
    _rewrite(export, change(_lines(export)))
    verdict, seq, codes = _found(verify_export(export, stand.signer))

    assert (verdict, seq) == ("tampered", first_bad)
    assert code in codes


def test_prev_alone_betrays_an_edit(stand: LogStand, export: Path) -> None:
    """Without the checkpoint of its size, an edit is found by the next record's `prev` and laid to the edited one."""
    _rewrite(export, _edit(_lines(export)))
    folder = ExportFolder(export)
    verification = verify_log(
        records=folder.records(), checkpoints=[folder.newest_checkpoint()], keys=[stand.signer.verifier_key]
    )

    assert _found(verification) == ("tampered", 3, {"prev_mismatch"})


def test_edited_prev_is_laid_to_its_own_record(stand: LogStand, export: Path) -> None:
    """Where a checkpoint vouches for the record before, a false `prev` is the later record's fault."""
    lines = _lines(export)
    prev = lines[4].partition(b'"prev":"sha256:')[2][:64]
    lines[4] = lines[4].replace(prev, b"0" * 64)
    _rewrite(export, lines)

    assert _found(verify_export(export, stand.signer)) == ("tampered", 4, {"prev_mismatch"})


def test_shortened_log_is_found_by_a_held_checkpoint(stand: LogStand, export: Path) -> None:
    """A log cut back together with its checkpoints is whole in itself; only a checkpoint kept elsewhere tells."""
    held = (export / "checkpoint").read_bytes()
    _rewrite(export, _lines(export)[:5])
    notes = [note for note in ExportFolder(export).checkpoints() if read_checkpoint(note).size <= 5]
    (export / "checkpoints.txt").write_bytes(b"\n".join(notes))
    (export / "checkpoint").write_bytes(notes[-1])

    assert _found(verify_export(export, stand.signer)) == ("valid", None, set())
    assert _found(verify_export(export, stand.signer, held=(held,))) == ("tampered", 5, {"truncated"})


def test_rewritten_log_is_found_by_a_held_checkpoint(stand: LogStand, export: Path) -> None:
    """Whoever has the key can write another history, but not one that agrees with a checkpoint given out before."""
    held = (export / "checkpoint").read_bytes()
    (stand.folder / "other").mkdir()
    other = make_stand(stand.folder / "other")
    other.fill(SIZE + 2)
    rewritten = other.export()
    other.engine.dispose()

    assert verify_export(rewritten, stand.signer).verdict == "valid"
    assert _found(verify_export(rewritten, stand.signer, held=(held,)))[::2] == ("tampered", {"root_mismatch"})


def test_forged_checkpoint_is_found(stand: LogStand, export: Path) -> None:
    """A checkpoint whose text was changed has a false signature."""
    note = (export / "checkpoint").read_bytes()
    (export / "checkpoint").write_bytes(note.replace(b"\n8\n", b"\n9\n"))

    assert _found(verify_export(export, stand.signer)) == ("tampered", None, {"signature_invalid"})


def test_checkpoint_of_another_tree_is_found(stand: LogStand, export: Path) -> None:
    """A rightly signed checkpoint over another tree accuses the records."""
    false = sign_checkpoint(Checkpoint(origin=ORIGIN, size=6, root=bytes(32)), stand.signer)

    assert _found(verify_export(export, stand.signer, held=(false,))) == ("tampered", 5, {"root_mismatch"})


def test_missing_key_is_unverifiable(stand: LogStand, export: Path) -> None:
    """Under another key, or under none, nothing is proved and nobody accused."""
    for signers in ((), (make_signer(ORIGIN, bytes(32)),), (make_signer("other.example", bytes(32)),)):
        verdict, _, codes = _found(verify_export(export, *signers))
        assert (verdict, codes) == ("unverifiable", {"key_unknown", "no_checkpoint"})
    assert verify_export(export, stand.signer, make_signer(ORIGIN, bytes(32))).verdict == "valid"


def test_records_beyond_the_last_checkpoint_are_unverifiable(stand: LogStand, export: Path) -> None:
    """Records that no checkpoint covers are not vouched for."""
    notes = list(ExportFolder(export).checkpoints())
    verification = verify_log(
        records=ExportFolder(export).records(), checkpoints=notes[:6], keys=[stand.signer.verifier_key]
    )

    assert _found(verification) == ("unverifiable", 6, {"unsigned_tail"})


def test_unreadable_and_unordered_checkpoints_are_unverifiable(stand: LogStand, export: Path) -> None:
    """What is no checkpoint, or stands in the wrong place, proves nothing."""
    notes = list(ExportFolder(export).checkpoints())
    for wrong, code in (
        ([*notes, b"x"], "checkpoint_malformed"),
        ([notes[1], notes[0], *notes[2:]], "checkpoint_order"),
    ):
        verification = verify_log(
            records=ExportFolder(export).records(), checkpoints=wrong, keys=[stand.signer.verifier_key]
        )
        assert _found(verification) == ("unverifiable", None, {code})


def test_changed_attachment_is_found(stand: LogStand, export: Path) -> None:
    """An attachment with other bytes than its name says is tampered with."""
    next((export / "attachments").iterdir()).write_bytes(b"documenT")

    assert _found(verify_export(export, stand.signer)) == ("tampered", SIZE - 1, {"attachment_mismatch"})


def test_removed_attachment_is_found(stand: LogStand, export: Path) -> None:
    """A document that a record names and that is not there any more is named with its record."""
    next((export / "attachments").iterdir()).unlink()

    assert _found(verify_export(export, stand.signer)) == ("tampered", SIZE - 1, {"attachment_missing"})


def test_foreign_file_among_the_attachments_harms_nothing(stand: LogStand, export: Path) -> None:
    """A file that no record names is not part of the log."""
    (export / "attachments" / "notes.txt").write_text("mine")

    assert _found(verify_export(export, stand.signer)) == ("valid", None, set())


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("kind", "gate.decision"),
        ("actor", "mallory"),
        ("ts", "2020-01-01T00:00:00.000000Z"),
        ("id", "00000000-0000-0000-0000-000000000000"),
        ("leaf", bytes(32)),
        ("prev", b"\1" * 32),
    ],
)
def test_edited_column_is_found(stand: LogStand, export: Path, column: str, value: object) -> None:
    """A query column that differs from the record's bytes is tampered with."""
    assert export.is_dir()
    stand.edit(f"UPDATE audit_entry SET {column} = ? WHERE seq = 3", value)  # noqa: S608 - the column is the test's own

    assert _found(_verify_database(stand)) == ("tampered", 3, {"column_mismatch"})


def test_time_going_backwards_is_found(stand: LogStand) -> None:
    """A rightly signed log whose time goes backwards is not one that this program wrote."""
    stand.fill(2)
    lines = [record.body for record in stand.log.records()]
    lines[2] = lines[2].replace(lines[2].partition(b'"ts":"')[2][:4], b"1999", 1)
    tree = GrowingTree()
    for line in lines:
        tree.append(leaf_hash(line))
    note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=3, root=tree.root()), stand.signer)
    verification = verify_log(
        records=((line, None) for line in lines), checkpoints=[note], keys=[stand.signer.verifier_key]
    )

    assert _found(verification) == ("tampered", 2, {"ts_backwards"})


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["append", "batch", "reopen", "clock_back", "attach", "refused"]), max_size=8))
def test_harmless_operations_never_alarm(tmp_path: Path, operations: list[str]) -> None:
    """Whatever a healthy log goes through, it verifies: as database and as export."""
    folder = tmp_path / "case"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    stand = make_stand(folder)
    for operation in operations:
        match operation:
            case "append":
                stand.fill(1)
            case "batch":
                stand.log.transact(
                    lambda _: Outcome(value=0, events=(make_event("ü\u202e"), make_event(), make_event()))
                )
            case "reopen":
                stand.log.create()
            case "clock_back":
                stand.clock.now -= 5 * 10**9
            case "attach":
                stand.log.transact(lambda _: Outcome(value=0, events=(make_event(attachments=(b"a", b"b")),)))
            case _:
                with pytest.raises(ZeroDivisionError):
                    stand.log.transact(lambda _: 1 // 0)  # type: ignore[arg-type,return-value]
    verdicts = {_verify_database(stand).verdict, verify_export(stand.export(), stand.signer).verdict}
    stand.engine.dispose()

    assert verdicts == {"valid"}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda export: (export / "checkpoints.txt").write_bytes(b""),
        lambda export: (export / "checkpoint").write_bytes(next(ExportFolder(export).checkpoints())),
        lambda export: (export / "records.jsonl").write_bytes((export / "records.jsonl").read_bytes()[:-1]),
    ],
    ids=["no checkpoints", "an older checkpoint", "no last newline"],
)
def test_export_that_is_not_whole_is_refused(stand: LogStand, export: Path, spoil: Callable[[Path], object]) -> None:
    """Checkpoints left out, an older one put first, a last line cut: an export is whole or is not read."""
    spoil(export)
    with pytest.raises(ExportError) as caught:
        verify_export(export, stand.signer)

    assert caught.value.code == "audit.export_failed"
