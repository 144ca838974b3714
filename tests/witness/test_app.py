"""The witness over HTTP: each status of C2SP tlog-witness, from the real application on a real state."""

import pytest
from werkzeug.test import TestResponse

from lockgate.audit.formats.checkpoints import open_checkpoint
from lockgate.audit.formats.cosignatures import verify_cosignatures
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.formats.submissions import SUBMISSION_BYTES_MAX, Submission, format_submission
from lockgate.witness.store import hash_origin
from support.logs_of_others import ORIGIN, PaperLog
from support.witnesses import WitnessStand

LOG = PaperLog()
FORK = PaperLog(fork="false", fork_at=3)
MONITOR = f"/{hash_origin(ORIGIN)}/checkpoint"


def _submit(stand: WitnessStand, data: bytes) -> TestResponse:
    return stand.client.post("/add-checkpoint", data=data)


def test_200_is_a_cosignature(stand: WitnessStand) -> None:
    """What only grew gets a line that verifies, and the witness shows it from then on."""
    for old, new in ((0, 3), (3, 8), (8, 8)):
        answer = _submit(stand, LOG.submission(old, new))

        assert answer.status_code == 200
        (cosignature,) = verify_cosignatures(LOG.checkpoint(new) + answer.data, [stand.key])
        assert answer.data == cosignature.line.encode()
        assert cosignature.time == stand.clock.now // 10**9 * 10**9
        shown = stand.client.get(MONITOR)
        assert (shown.status_code, shown.data) == (200, LOG.checkpoint(new) + answer.data)
        assert open_checkpoint(shown.data, [LOG.signer.verifier_key]).size == new


def test_same_checkpoint_is_cosigned_anew(stand: WitnessStand) -> None:
    """A checkpoint that was cosigned gets a fresher cosignature, and is kept with that one alone."""
    first = _submit(stand, LOG.submission(0, 3))
    stand.clock.now += 60 * 10**9
    second = _submit(stand, LOG.submission(3, 3))

    assert (first.status_code, second.status_code) == (200, 200)
    assert first.data != second.data
    assert stand.client.get(MONITOR).data == LOG.checkpoint(3) + second.data


@pytest.mark.parametrize("data", [b"", b"old 0\n\nx\n", b"\xff" * 100, LOG.submission(0, 3)[:-1]])
def test_400_is_malformed(stand: WitnessStand, data: bytes) -> None:
    """What is no submission is a bad request."""
    answer = _submit(stand, data)

    assert answer.status_code == 400
    assert answer.text.startswith("malformed: ")


def test_400_is_an_old_size_above(stand: WitnessStand) -> None:
    """An old size above the checkpoint's is a bad request."""
    answer = _submit(stand, format_submission(Submission(old_size=4, proof=(), note=LOG.checkpoint(3))))

    assert answer.status_code == 400
    assert answer.text.startswith("old_size_above: ")


def test_403_is_an_untrusted_signature(stand: WitnessStand) -> None:
    """A known log's checkpoint under an unknown key is forbidden."""
    assert _submit(stand, PaperLog(signer=make_signer(ORIGIN, bytes(32))).submission(0, 3)).status_code == 403


def test_404_is_an_unknown_log(stand: WitnessStand) -> None:
    """A log that the witness does not follow is not found."""
    assert _submit(stand, PaperLog(signer=make_signer("other.example", bytes(32))).submission(0, 3)).status_code == 404


@pytest.mark.parametrize("old", [0, 4, 6])
def test_409_tells_the_size(stand: WitnessStand, old: int) -> None:
    """A stale old size is a conflict whose body is the size cosigned last, in a content type of its own."""
    _submit(stand, LOG.submission(0, 5))
    answer = _submit(stand, LOG.submission(old, 8))

    assert answer.status_code == 409
    assert answer.headers["Content-Type"] == "text/x.tlog.size"
    assert answer.data == b"5\n"


def test_409_of_an_unknown_beginning_is_zero(stand: WitnessStand) -> None:
    """Before the first cosignature the size is 0."""
    answer = _submit(stand, LOG.submission(3, 8))

    assert (answer.status_code, answer.data) == (409, b"0\n")


def test_409_is_a_second_root(stand: WitnessStand) -> None:
    """Another root of the same size is a conflict that no size can mend."""
    _submit(stand, LOG.submission(0, 5))
    answer = _submit(stand, format_submission(Submission(old_size=5, proof=(), note=FORK.checkpoint(5))))

    assert answer.status_code == 409
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith("root_differs: ")


def test_422_is_an_invalid_proof(stand: WitnessStand) -> None:
    """A proof that does not hold is unprocessable, and the state stays where it was."""
    kept = _submit(stand, LOG.submission(0, 5)).data
    answer = _submit(stand, FORK.submission(5, 8))

    assert answer.status_code == 422
    assert answer.text.startswith("proof_invalid: ")
    assert stand.client.get(MONITOR).data == LOG.checkpoint(5) + kept


def test_413_is_a_body_too_long(stand: WitnessStand) -> None:
    """A body above the limit is not read."""
    assert _submit(stand, b"x" * (SUBMISSION_BYTES_MAX + 1)).status_code == 413


@pytest.mark.parametrize("path", [MONITOR, "/" + "0" * 64 + "/checkpoint", "/" + "0" * 63 + "/checkpoint", "/", "/x"])
def test_unseen_log_is_not_shown(stand: WitnessStand, path: str) -> None:
    """A log of which nothing was cosigned is not found, nor is any other path."""
    answer = stand.client.get(path)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_other_methods_are_refused(stand: WitnessStand) -> None:
    """Only POST submits, only GET reads."""
    assert stand.client.get("/add-checkpoint").status_code == 405
    assert stand.client.post(MONITOR).status_code == 405
    assert stand.client.options("/add-checkpoint").status_code == 405


def test_503_when_the_state_cannot_be_written(stand: WitnessStand) -> None:
    """Without a durable state there is no cosignature; the answer says to try again and nothing of the inside."""
    _submit(stand, LOG.submission(0, 3))
    with stand.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE witness_cosigned")
    answer = _submit(stand, LOG.submission(3, 5))

    assert answer.status_code == 503
    assert answer.text == "the witness cannot answer now; try again\n"


def test_logs_are_kept_apart(stand: WitnessStand) -> None:
    """A witness keeps one checkpoint for each log."""
    assert _submit(stand, LOG.submission(0, 3)).status_code == 200
    assert stand.client.get(f"/{hash_origin('other.example')}/checkpoint").status_code == 404
