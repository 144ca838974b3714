"""The witness's promise: no two of its cosignatures contradict each other, in any order, at once, after a restart."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.cosignatures import Cosignature, verify_cosignatures, witness_key_of
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.formats.submissions import Submission, format_submission
from lockgate.storage import StorageError
from lockgate.witness import Refusal, StateForeignError
from lockgate.witness.store import create_state, hash_origin, open_state
from support.logs_of_others import ORIGIN, PaperLog
from support.witnesses import WITNESS_SIGNER, WitnessStand, make_witness_stand

FORKS = (PaperLog(), *(PaperLog(fork=f"fork at {place}", fork_at=place) for place in (0, 1, 2, 5, 8)))


def _contradict(one: tuple[PaperLog, int], other: tuple[PaperLog, int]) -> bool:
    common = min(one[1], other[1])
    return one[0].root(0, common) != other[0].root(0, common)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(FORKS), st.integers(0, 12), st.integers(1, 12), st.booleans()), max_size=25))
def test_no_order_of_requests_makes_it_contradict_itself(requests: list[tuple[PaperLog, int, int, bool]]) -> None:
    """Whatever logs that fork submit, in whatever order, what was cosigned is one log that only grew."""
    with TemporaryDirectory() as folder:
        stand = make_witness_stand(Path(folder))
        cosigned: list[tuple[PaperLog, int]] = []
        for log, old, size, knows in requests:
            # Some ask with the size that the witness has, as a log does after a 409; others with any.
            asked = min(cosigned[-1][1] if cosigned else 0, size) if knows else old
            proof = log.proof(asked, size) if asked <= size else ()
            data = format_submission(Submission(old_size=asked, proof=proof, note=log.checkpoint(size)))
            if isinstance(stand.witness.add_checkpoint(data), Cosignature):
                cosigned.append((log, size))
        stand.engine.dispose()

    assert [size for _, size in cosigned] == sorted(size for _, size in cosigned)
    assert not any(_contradict(one, other) for one, other in itertools.combinations(cosigned, 2))


def test_threads_at_once(stand: WitnessStand) -> None:
    """Of many that submit different trees from one old size at once, exactly one is cosigned, in each round."""
    logs = [PaperLog(fork=f"fork {number}", fork_at=0) for number in range(6)]
    winner = None
    with ThreadPoolExecutor(max_workers=len(logs)) as pool:
        for size in range(1, 6):
            barrier = threading.Barrier(len(logs))

            def submit(log: PaperLog, size: int = size, barrier: threading.Barrier = barrier) -> bool:
                barrier.wait()
                return isinstance(stand.witness.add_checkpoint(log.submission(size - 1, size)), Cosignature)

            won = [log for log, cosigned in zip(logs, pool.map(submit, logs), strict=True) if cosigned]
            assert len(won) == 1
            assert winner in {None, won[0]}  # the others' proofs do not lead from the tree that was cosigned
            winner = won[0]


def test_two_openings_of_one_state_at_once(stand: WitnessStand) -> None:
    """Two witnesses on one state, as two processes have it, are one witness: growth and rollback never both win."""
    twin, log = stand.restart(), PaperLog()
    for old in range(1, 30, 2):
        stand.witness.add_checkpoint(log.submission(max(old - 2, 0), old))
        barrier = threading.Barrier(2)

        def submit(
            which: WitnessStand, size: int, old: int = old, barrier: threading.Barrier = barrier
        ) -> Cosignature | Refusal:
            barrier.wait()
            return which.witness.add_checkpoint(log.submission(old, size))

        with ThreadPoolExecutor(max_workers=2) as pool:
            answers = list(pool.map(submit, (stand, twin), (old + 1, old + 2)))

        sizes = [old + 1, old + 2]
        cosigned = [size for size, one in zip(sizes, answers, strict=True) if isinstance(one, Cosignature)]
        assert len(cosigned) == 1
        (refusal,) = [one for one in answers if isinstance(one, Refusal)]
        assert (refusal.code, refusal.size) == ("old_size_stale", cosigned[0])
        kept = stand.witness.cosigned(hash_origin(ORIGIN))
        assert kept is not None
        assert read_checkpoint(kept).size == cosigned[0]
        if cosigned[0] == old + 1:
            assert isinstance(twin.witness.add_checkpoint(log.submission(old + 1, old + 2)), Cosignature)
    twin.engine.dispose()


def test_restart_keeps_the_state(stand: WitnessStand) -> None:
    """What was cosigned is remembered by the next process."""
    log = PaperLog()
    stand.witness.add_checkpoint(log.submission(0, 5))
    stand.engine.dispose()
    again = stand.restart()

    refusal = again.witness.add_checkpoint(PaperLog(fork="false").submission(0, 5))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.size) == ("old_size_stale", 5)
    assert isinstance(again.witness.add_checkpoint(log.submission(5, 6)), Cosignature)
    again.engine.dispose()


def test_nothing_is_cosigned_that_is_not_durable(stand: WitnessStand) -> None:
    """When the state cannot take the checkpoint no cosignature comes out, and the state is as it was."""
    log = PaperLog()
    stand.witness.add_checkpoint(log.submission(0, 5))
    kept = stand.witness.cosigned(hash_origin(ORIGIN))
    with stand.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TRIGGER full BEFORE INSERT ON witness_cosigned BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
    with pytest.raises(StorageError):
        stand.witness.add_checkpoint(log.submission(5, 6))

    assert stand.witness.cosigned(hash_origin(ORIGIN)) == kept


def test_each_log_has_its_own_size(tmp_path: Path) -> None:
    """Two logs are followed side by side; what one does does not move the other."""
    one, other = PaperLog(), PaperLog(signer=make_signer("other.example/audit", bytes(32)))
    stand = make_witness_stand(tmp_path, one.signer, other.signer)
    assert isinstance(stand.witness.add_checkpoint(one.submission(0, 5)), Cosignature)
    assert isinstance(stand.witness.add_checkpoint(other.submission(0, 3)), Cosignature)
    assert isinstance(stand.witness.add_checkpoint(one.submission(5, 6)), Cosignature)

    for log, size in ((one, 6), (other, 3)):
        kept = stand.witness.cosigned(hash_origin(log.signer.verifier_key.name))
        assert kept is not None
        assert read_checkpoint(kept).size == size
        assert len(verify_cosignatures(kept, [stand.key])) == 1
    stand.engine.dispose()


def test_state_belongs_to_one_key(stand: WitnessStand, tmp_path: Path) -> None:
    """A state that is missing, another witness's or no state at all is refused, and none is made."""
    other = witness_key_of(make_signer("witness.example/w1", bytes(32)))
    empty = tmp_path / "empty.db"
    empty.touch()
    text = tmp_path / "text.db"
    text.write_text("not a database " * 100)
    for path, key in ((stand.state, other), (empty, stand.key), (text, stand.key), (tmp_path / "absent.db", stand.key)):
        with pytest.raises(StateForeignError):
            open_state(path, key)

    assert not (tmp_path / "absent.db").exists()


def test_state_is_never_made_over_another(stand: WitnessStand) -> None:
    """Making a state where there is a file is refused, and the file stays."""
    stand.witness.add_checkpoint(PaperLog().submission(0, 5))
    with pytest.raises(StorageError):
        create_state(stand.state, witness_key_of(WITNESS_SIGNER))

    assert stand.witness.cosigned(hash_origin(ORIGIN)) is not None
