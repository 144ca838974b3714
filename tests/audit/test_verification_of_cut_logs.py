"""Logs that were cut back: what still tells that there was more."""

import pytest

from lockgate.audit.formats.checkpoints import read_checkpoint, sign_checkpoint
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.verification.verifier import Trust
from support.written_logs import ORIGIN, WrittenLog, found, only


@pytest.mark.parametrize("every_signature", [False, True])
@pytest.mark.parametrize("right", [4, 6, 9])
def test_a_cut_log_is_found_by_any_right_checkpoint(right: int, *, every_signature: bool) -> None:
    """Of ten checkpoints of a log cut to three records, the one that is right tells that there were more."""
    log = WrittenLog().fill(10)
    stranger = make_signer(ORIGIN, bytes(31) + b"\x09")
    strange = [sign_checkpoint(read_checkpoint(note), stranger) for note in log.notes]
    log.notes[3:] = [note if size == right else strange[size - 1] for size, note in enumerate(log.notes[3:], start=4)]
    del log.lines[3:]
    verification = log.verify(Trust(policy=only(), every_signature=every_signature))

    assert found(verification) == ("tampered", 3, {"truncated", "key_unknown"})
    assert f"signed over {right} records" in verification.problems[-1].detail


def test_a_cut_log_whose_later_checkpoints_are_all_by_strangers_cannot_be_decided() -> None:
    """Where nothing of what lies behind the end was rightly signed, nobody is accused."""
    log = WrittenLog().fill(10)
    stranger = make_signer(ORIGIN, bytes(31) + b"\x09")
    log.notes[3:] = [sign_checkpoint(read_checkpoint(note), stranger) for note in log.notes[3:]]
    del log.lines[3:]

    assert found(log.verify())[::2] == ("unverifiable", {"key_unknown"})
