"""What a witness is for: a real log that is shortened, forked, restored or rewritten with its own key."""

import shutil
from pathlib import Path

import pytest

from lockgate.audit.formats.log_policy import LogKey, LogPolicy, Witness, open_cosigned
from lockgate.audit.keeping.witness_client import Collection, collect_cosignatures
from support.audit_logs import LogStand, make_stand
from support.witnesses import WitnessStand, make_witness_stand, serve_witness


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.fixture
def log(tmp_path: Path) -> LogStand:
    """A log with nothing but its genesis record."""
    return make_stand(_folder(tmp_path / "log"))


@pytest.fixture
def witness(tmp_path: Path, log: LogStand) -> WitnessStand:
    """A witness that follows it."""
    return make_witness_stand(_folder(tmp_path / "witness"), log.signer)


def _ask(log: LogStand, witness: WitnessStand, previous: bytes | None = None) -> Collection:
    kept: list[bytes] = []
    with serve_witness(witness) as url:
        policy = LogPolicy(
            logs=(LogKey(key=log.signer.verifier_key),),
            witnesses=(Witness(name="w1", key=witness.key, url=url),),
            quorum="w1",
        )
        return collect_cosignatures(log.log, policy, lambda _size, note: kept.append(note), previous=previous)


def _codes(collection: Collection) -> list[tuple[str, bool]]:
    return [(refusal.code, refusal.contradicts) for _, refusal in collection.refusals]


def _copy(log: LogStand, to: Path) -> LogStand:
    log.engine.dispose()
    shutil.copytree(log.folder, to)
    copy = make_stand(to)
    copy.clock.now = log.clock.now + 3_600_000_000_000
    return copy


def test_honest_log_is_cosigned_as_it_grows(log: LogStand, witness: WitnessStand) -> None:
    """Each newer checkpoint of a log that only grows is cosigned, and meets the quorum."""
    previous = None
    for count in (1, 5, 20, 0):
        log.fill(count)
        collection = _ask(log, witness, previous)
        previous = collection.note

        assert (collection.quorum_met, collection.refusals) == (True, ())
        policy = LogPolicy(
            logs=(LogKey(key=log.signer.verifier_key),), witnesses=(Witness(name="w1", key=witness.key),), quorum="w1"
        )
        assert (
            open_cosigned(collection.note, policy).checkpoint.size == log.log.records(after=-1, limit=1000)[-1].seq + 1
        )


def test_restored_backup_is_refused(log: LogStand, witness: WitnessStand, tmp_path: Path) -> None:
    """Delete tail: a log that came back shorter, with all its own files, is told that it was longer."""
    log.fill(5)
    backup = _copy(log, tmp_path / "backup")
    log.fill(3)
    noted = _ask(log, witness)
    assert noted.quorum_met

    for previous in (None, noted.note):
        collection = _ask(backup, witness, previous)
        assert _codes(collection) == [("audit.witness_ahead", True)]
        assert collection.refusals[0][1].size == 9
        assert not collection.quorum_met


def test_restored_backup_that_went_on_is_refused(log: LogStand, witness: WitnessStand, tmp_path: Path) -> None:
    """Fork: a log that came back shorter and then outgrew what was cosigned is refused for ever."""
    log.fill(5)
    backup = _copy(log, tmp_path / "backup")
    log.fill(3)
    noted = _ask(log, witness)
    for count, code in ((3, "audit.witness_root_differs"), (10, "audit.witness_proof_refused")):
        backup.fill(count)
        for previous in (None, noted.note):
            assert _codes(_ask(backup, witness, previous)) == [(code, True)]


def test_split_view_is_refused(log: LogStand, witness: WitnessStand, tmp_path: Path) -> None:
    """Split view: of two tales of one log under one key, the witness vouches for the one that it heard first."""
    log.fill(2)
    other = _copy(log, tmp_path / "other")
    log.fill(2)
    other.fill(4)
    assert _ask(log, witness).quorum_met
    assert _codes(_ask(other, witness)) == [("audit.witness_proof_refused", True)]
    log.fill(1)
    assert _ask(log, witness).quorum_met


def test_log_rewritten_with_its_own_key_is_refused(log: LogStand, witness: WitnessStand, tmp_path: Path) -> None:
    """Rewrite everything: a new log under the old key is flawless in itself, and gets no cosignature."""
    log.fill(5)
    assert _ask(log, witness).quorum_met
    rewritten = make_stand(_folder(tmp_path / "rewritten"))
    for count, code in ((2, "ahead"), (3, "root_differs"), (4, "proof_refused")):
        rewritten.fill(count)
        collection = _ask(rewritten, witness)

        assert _codes(collection) == [(f"audit.witness_{code}", True)]
        assert not collection.quorum_met


def test_log_that_the_witness_never_saw_begins_anywhere(log: LogStand, witness: WitnessStand) -> None:
    """The first checkpoint is taken on trust, whatever its size."""
    log.fill(30)

    assert _ask(log, witness).quorum_met
