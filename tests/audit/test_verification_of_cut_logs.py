"""Logs that were cut back: what still tells that there was more."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lockgate.audit.formats.checkpoints import read_checkpoint, sign_checkpoint
from lockgate.audit.formats.notes import VerifierKey, format_signer, make_signer
from lockgate.audit.verification import own_checkpoints
from lockgate.audit.verification.verifier import Trust
from lockgate.audit.writing.checkpoint_file import CheckpointFile
from lockgate.canonical_json import parse_json
from lockgate.cli.audit import audit
from support.audit_logs import LogStand, make_event, make_stand
from support.written_logs import ORIGIN, SIGNER, WrittenLog, found, only


@pytest.mark.parametrize("every_signature", [False, True])
@pytest.mark.parametrize("right", [{4}, {6}, {9}, {4, 6, 9}], ids=str)
def test_a_cut_log_is_found_by_any_right_checkpoint(right: set[int], *, every_signature: bool) -> None:
    """Of ten checkpoints of a log cut to three records, the largest that is right tells how many there were."""
    log = WrittenLog().fill(10)
    stranger = make_signer(ORIGIN, bytes(31) + b"\x09")
    strange = [sign_checkpoint(read_checkpoint(note), stranger) for note in log.notes]
    log.notes[3:] = [note if size in right else strange[size - 1] for size, note in enumerate(log.notes[3:], start=4)]
    del log.lines[3:]
    verification = log.verify(Trust(policy=only(), every_signature=every_signature))

    assert found(verification) == ("tampered", 3, {"truncated", "key_unknown"})
    assert f"signed over {max(right)} records" in verification.problems[-1].detail


def test_a_cut_log_whose_later_checkpoints_are_all_by_strangers_cannot_be_decided() -> None:
    """Where nothing of what lies behind the end was rightly signed, nobody is accused."""
    log = WrittenLog().fill(10)
    stranger = make_signer(ORIGIN, bytes(31) + b"\x09")
    log.notes[3:] = [sign_checkpoint(read_checkpoint(note), stranger) for note in log.notes[3:]]
    del log.lines[3:]

    assert found(log.verify())[::2] == ("unverifiable", {"key_unknown"})


def test_many_strange_checkpoints_at_the_end_do_not_hide_a_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are by strangers, one that is right further to the front tells that there was more."""
    monkeypatch.setattr(own_checkpoints, "BEYOND_BACKWARDS_MAX", 2)
    log = WrittenLog().fill(10)
    stranger = make_signer(ORIGIN, bytes(31) + b"\x09")
    log.notes[6:] = [sign_checkpoint(read_checkpoint(note), stranger) for note in log.notes[6:]]
    del log.lines[3:]

    assert found(log.verify()) == ("tampered", 3, {"truncated", "key_unknown"})


@pytest.mark.parametrize("every_signature", [False, True])
def test_broken_signature_behind_the_end_is_found_on_demand(*, every_signature: bool) -> None:
    """Between the first and the last checkpoint behind the end, a signature is looked at where all of them are."""
    log = WrittenLog().fill(10)
    log.notes[6] = log.notes[6].replace(log.notes[6].split(b"\n")[2], log.notes[7].split(b"\n")[2])
    del log.lines[3:]
    codes = found(log.verify(Trust(policy=only(), every_signature=every_signature)))[2]

    assert codes == ({"truncated", "signature_invalid"} if every_signature else {"truncated"})


# The gate's own file of checkpoints, beside its database.


@pytest.fixture
def gate(database_url: str, tmp_path: Path) -> Iterator[LogStand]:
    """A gate's data folder with a log of six records; every test that asks for it runs on both databases."""
    stand = make_stand(tmp_path, database_url)
    path = tmp_path / "log.key"
    path.write_text(format_signer(stand.signer) + "\n")
    path.chmod(0o600)
    stand.fill(5)
    yield stand
    stand.engine.dispose()


def _verify(gate: LogStand, *source: object) -> tuple[int, Any]:
    words = ["verify", *source, "--key", gate.signer.verifier_key, "--output", "json"]
    settings = {"LOCKGATE_DATABASE_URL": gate.url}
    done = CliRunner(env=settings).invoke(audit, [str(word) for word in words])
    return done.exit_code, parse_json(done.stdout_bytes, bytes_max=1_000_000) if done.stdout_bytes else done.stderr


def _codes(found: Any) -> set[str]:
    return {each["code"] for each in found}


def test_restored_backup_is_found_by_the_checkpoints_beside_it(gate: LogStand) -> None:
    """A database set back to an older state is whole in itself, but shorter than its gate's own checkpoints say."""
    whole, before = _verify(gate, "--data-dir", gate.folder)
    gate.cut(3)
    alone, _ = _verify(gate, "--database", gate.url)
    code, verification = _verify(gate, "--data-dir", gate.folder)

    assert (whole, before["completeness"], alone) == (0, "unverifiable", 0)
    assert "file_not_compared" not in _codes(before["notes"])
    assert (code, verification["integrity"], verification["completeness"]) == (1, "valid", "tampered")
    assert (_codes(verification["problems"]), verification["first_bad_seq"]) == ({"truncated"}, 3)


def test_other_records_than_those_signed_before_are_found(gate: LogStand) -> None:
    """A backup that was restored and written on contradicts the checkpoints that the file still has."""
    gate.cut(3)
    log = gate.reopened(elsewhere=True)
    for _ in range(9):
        log.append(make_event())
    code, verification = _verify(gate, "--data-dir", gate.folder)

    assert (code, _codes(verification["problems"])) == (1, {"root_mismatch"})
    assert _verify(gate, "--database", gate.url)[0] == 0


def test_log_that_is_being_written_raises_no_alarm(gate: LogStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that comes at the very moment when the file is read is in the database that is looked at."""
    newest_note = CheckpointFile.newest_note

    def append_first(file: CheckpointFile, keys: Sequence[VerifierKey]) -> bytes | None:
        gate.fill(1)
        return newest_note(file, keys)

    monkeypatch.setattr(CheckpointFile, "newest_note", append_first)
    code, verification = _verify(gate, "--data-dir", gate.folder)

    assert (code, verification["size"]) == (0, 7)


@pytest.mark.parametrize("content", [None, b"", b"junk"])
def test_missing_checkpoints_are_said(gate: LogStand, content: bytes | None) -> None:
    """Without the file, or with nothing in it that a known key signed, the database is judged alone, and that said."""
    gate.checkpoint_file.unlink()
    if content is not None:
        gate.checkpoint_file.write_bytes(content)
    code, verification = _verify(gate, "--data-dir", gate.folder)

    assert (code, "file_not_compared" in _codes(verification["notes"])) == (0, True)


def test_unreadable_checkpoints_decide_nothing(gate: LogStand) -> None:
    """A file that cannot be read is neither valid nor tampered."""
    gate.checkpoint_file.unlink()
    gate.checkpoint_file.mkdir()

    assert _verify(gate, "--data-dir", gate.folder)[0] == 2


def test_problem_of_a_checkpoint_says_which() -> None:
    """A strange or broken signature is named by the size that it covers, a strange one by its key ID too."""
    log = WrittenLog().fill(6)
    (unknown,) = (
        each
        for each in log.verify(Trust(policy=only(make_signer(ORIGIN, bytes(32))))).problems
        if each.code == "key_unknown"
    )
    log.notes[2] = log.notes[2].replace(log.notes[2].split(b"\n")[2], log.notes[3].split(b"\n")[2])
    (broken,) = log.verify().problems
    log.notes[2] = b"junk\n"
    (junk,) = log.verify().problems

    assert unknown.detail.startswith("checkpoint over ")
    assert unknown.detail.endswith(f"; its lines name the keys {SIGNER.verifier_key.key_id.hex()}")
    assert (broken.code, broken.detail.partition(":")[0]) == ("signature_invalid", "checkpoint over 3 records")
    assert (junk.code, junk.detail.partition(":")[0]) == ("checkpoint_malformed", "a checkpoint")
