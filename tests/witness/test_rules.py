"""When a witness cosigns: a failing case for each rule, and the two cases that pass."""

import pytest

from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.cosignatures import add_cosignatures, cosign
from lockgate.audit.formats.log_policy import LogKey, LogPolicy
from lockgate.audit.formats.merkle import EMPTY_ROOT
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.formats.submissions import Submission, format_submission
from lockgate.clock import EpochNs
from lockgate.witness.rules import Refusal, check_growth, open_submission
from support.logs_of_others import ORIGIN, PaperLog

LOG = PaperLog()
POLICY = LogPolicy(logs=(LogKey(key=LOG.signer.verifier_key, last_size=100),))
FORK = PaperLog(fork="false", fork_at=3)
STRANGER = make_signer(ORIGIN, bytes(32))


def _last(size: int) -> Checkpoint:
    return Checkpoint(origin=ORIGIN, size=size, root=LOG.root(0, size))


def _open(data: bytes) -> Submission:
    submission = open_submission(data, POLICY)
    assert isinstance(submission, Submission)
    return submission


def _signed(size: int, root: bytes, old: int = 0, proof: tuple[bytes, ...] = ()) -> Submission:
    note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=root), LOG.signer)
    return _open(format_submission(Submission(old_size=old, proof=proof, note=note)))


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 7), (4, 8), (7, 7), (6, 33), (32, 33)])
def test_growth_is_cosigned(old: int, new: int) -> None:
    """A tree that only grew, or did not move, has nothing against it."""
    assert check_growth(_open(LOG.submission(old, new)), _last(old)) is None


def test_first_checkpoint_is_taken_on_trust() -> None:
    """A log that was never cosigned may begin at any size."""
    assert check_growth(_open(LOG.submission(0, 7)), None) is None
    assert check_growth(_signed(0, EMPTY_ROOT), None) is None
    assert check_growth(_open(LOG.submission(0, 7)), Checkpoint(origin=ORIGIN, size=0, root=EMPTY_ROOT)) is None


def test_rule_1_request_is_malformed() -> None:
    """What is no submission is refused before anything else is looked at."""
    refusal = open_submission(b"old 0\n\nnothing\n", POLICY)

    assert isinstance(refusal, Refusal)
    assert refusal.code == "malformed"


def test_rule_2_log_is_unknown() -> None:
    """A log that the witness does not follow is refused, whoever signed."""
    other = PaperLog(signer=make_signer("other.example", bytes(range(32))))
    refusal = open_submission(other.submission(0, 1), POLICY)

    assert isinstance(refusal, Refusal)
    assert refusal.code == "log_unknown"


@pytest.mark.parametrize(
    "data",
    [
        PaperLog(signer=STRANGER).submission(0, 1),
        LOG.submission(0, 1).replace(b"\n1\n", b"\n2\n"),
        LOG.submission(0, 1) + LOG.checkpoint(2).partition(b"\n\n")[2],
        LOG.submission(0, 101),
    ],
    ids=["another key", "another text", "a false line beside a good one", "beyond the key's sizes"],
)
def test_rule_3_signature_is_not_trusted(data: bytes) -> None:
    """A checkpoint that no trusted key signed for its size, or that a false line names one for, is refused."""
    refusal = open_submission(data, POLICY)

    assert isinstance(refusal, Refusal)
    assert refusal.code == "signature_untrusted"


def test_lines_of_strangers_are_dropped() -> None:
    """What the witness keeps has the lines of trusted keys alone."""
    note = LOG.checkpoint(1)
    padded = add_cosignatures(note, [cosign(note, STRANGER, EpochNs(10**18))] * 5)
    data = LOG.submission(0, 1).removesuffix(note) + padded

    assert _open(data).note == note


def test_rule_4_old_size_is_above() -> None:
    """An old size above the new one is refused, whatever the witness remembers."""
    data = format_submission(Submission(old_size=8, proof=(), note=LOG.checkpoint(7)))
    for last in (None, _last(7), _last(8)):
        refusal = check_growth(_open(data), last)

        assert refusal is not None
        assert (refusal.code, refusal.size) == ("old_size_above", None)


@pytest.mark.parametrize(("old", "last_size"), [(0, 5), (4, 5), (6, 5), (7, 8), (0, 8)])
def test_rule_5_old_size_is_stale(old: int, last_size: int) -> None:
    """An old size that is not the one cosigned last is refused, and the right one told."""
    refusal = check_growth(_open(LOG.submission(old, 7)), _last(last_size))

    assert refusal is not None
    assert (refusal.code, refusal.size) == ("old_size_stale", last_size)


def test_rule_5_holds_without_a_checkpoint() -> None:
    """A log that was never cosigned has the size 0."""
    refusal = check_growth(_open(LOG.submission(3, 7)), None)

    assert refusal is not None
    assert (refusal.code, refusal.size) == ("old_size_stale", 0)


def test_rule_6_root_differs() -> None:
    """Another root for the size cosigned last is refused, and its signed checkpoint kept as evidence."""
    submission = _open(format_submission(Submission(old_size=7, proof=(), note=FORK.checkpoint(7))))
    refusal = check_growth(submission, _last(7))

    assert refusal is not None
    assert (refusal.code, refusal.evidence) == ("root_differs", FORK.checkpoint(7))


@pytest.mark.parametrize(
    ("submission", "last"),
    [
        (_open(FORK.submission(5, 7)), _last(5)),
        (_signed(7, LOG.root(0, 7), 5, LOG.proof(4, 7)), _last(5)),
        (_signed(7, LOG.root(0, 7), 5), _last(5)),
        (_signed(7, LOG.root(0, 7), 5, (*LOG.proof(5, 7), bytes(32))), _last(5)),
        (_signed(7, LOG.root(0, 7), 7, (bytes(32),)), _last(7)),
        (_signed(7, LOG.root(0, 7), 0, (bytes(32),)), None),
        (_signed(0, bytes(32)), None),
    ],
    ids=[
        "fork",
        "proof from another size",
        "no proof",
        "proof too long",
        "proof between equal sizes",
        "proof from size 0",
        "another root of the empty tree",
    ],
)
def test_rule_7_proof_is_invalid(submission: Submission, last: Checkpoint | None) -> None:
    """A proof that does not lead from the last root to the new one is refused, and the checkpoint kept as evidence."""
    refusal = check_growth(submission, last)

    assert refusal is not None
    assert (refusal.code, refusal.evidence) == ("proof_invalid", submission.note)
