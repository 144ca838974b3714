"""Processes take turns: each believes what the others added only when it leads to what was signed."""

from dataclasses import replace

import pytest

from lockgate.audit import LogInconsistentError, SignatureInvalidError
from lockgate.audit.errors import NoteUnverifiedError
from lockgate.audit.formats.checkpoints import open_known_checkpoint
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.writing import appending
from support.audit_logs import LogStand, make_event, verify_export
from support.large_logs import cut_front, lengthen


def _spoilt(body: bytes) -> bytes:
    return body.replace(b"tested", b"uested")


def test_the_last_record_is_looked_at_before_each_signature(stand: LogStand) -> None:
    """A last record that was changed since it was written is not built on, not even by who wrote it."""
    stand.fill(2)
    before = stand.log.checkpoint()
    stand.change("audit_entry", "body", "seq = 2", _spoilt)
    with pytest.raises(LogInconsistentError, match="do not hash to the log's head"):
        stand.log.append(make_event())

    assert stand.log.checkpoint() == before


@pytest.mark.parametrize(
    ("changed", "why"), [(3, "what was added"), (4, "what was added"), (5, "do not hash to the log's head")]
)
def test_what_others_added_leads_to_the_signed_root(stand: LogStand, changed: int, why: str) -> None:
    """A process that wrote before finds each record that others added and somebody changed."""
    stand.fill(2)
    other = stand.reopened()
    for _ in range(3):
        other.append(make_event())
    stand.change("audit_entry", "body", f"seq = {changed}", _spoilt)
    with pytest.raises(LogInconsistentError, match=why):
        stand.log.append(make_event())


def test_memory_that_was_spoilt_is_not_signed(stand: LogStand) -> None:
    """A process whose memory of the tree went wrong does not go on from there when others have written."""
    stand.fill(2)
    stand.reopened().append(make_event())
    known = stand.log._known
    assert known is not None
    node, *_ = known.edge
    stand.log._known = replace(known, edge={**known.edge, node: bytes(32)})
    with pytest.raises(LogInconsistentError):
        stand.log.append(make_event())


def test_a_process_that_is_far_behind_goes_on(stand: LogStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether few or many records were added, a process takes over, and the log stays whole."""
    monkeypatch.setattr(appending, "FOLLOWED_MAX", 2)
    other = stand.reopened()
    for added in (1, 2, 3, 5):
        stand.fill(1)
        for _ in range(added):
            other.append(make_event())
    stand.fill(1)

    assert verify_export(stand.export(), stand.signer).verdict == "valid"


@pytest.mark.parametrize("followed_max", [appending.FOLLOWED_MAX, 10_000])
def test_a_process_goes_on_behind_what_was_pruned(
    stand: LogStand, monkeypatch: pytest.MonkeyPatch, followed_max: int
) -> None:
    """Records that others added and pruned meanwhile are not missed: the tree above them is there."""
    monkeypatch.setattr(appending, "FOLLOWED_MAX", followed_max)
    stand.fill(2)
    lengthen(stand.engine, stand.signer, 600)
    cut_front(stand.engine, 512)

    assert stand.log.append(make_event()).seq == 600


def test_a_checkpoint_is_believed_once_and_doubted_each_time(stand: LogStand) -> None:
    """What was verified is remembered for its bytes and keys alone; what was refused is refused again."""
    note, key = stand.log.checkpoint(), stand.signer.verifier_key
    stranger = make_signer(key.name, bytes(32)).verifier_key
    broken = note[:-8] + b"AAAAAA=\n"
    for _ in range(2):
        assert open_known_checkpoint(note, (key,)).size == 1
        with pytest.raises(NoteUnverifiedError):
            open_known_checkpoint(note, (stranger,))
        with pytest.raises(SignatureInvalidError):
            open_known_checkpoint(broken, (key,))
