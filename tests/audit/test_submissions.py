"""What a log sends to a witness: one spelling."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.audit.errors import SubmissionMalformedError
from lockgate.audit.formats.submissions import Submission, format_submission, parse_submission
from support.logs_of_others import PaperLog

LOG = PaperLog()
SUBMISSION = Submission(old_size=3, proof=LOG.proof(3, 7), note=LOG.checkpoint(7))
DATA = format_submission(SUBMISSION)
LINE = DATA.split(b"\n")[1] + b"\n"


def test_submission_round_trips() -> None:
    """A submission is read as it was written, and knows its checkpoint."""
    assert parse_submission(DATA) == SUBMISSION
    assert parse_submission(LOG.submission(0, 1)) == Submission(old_size=0, proof=(), note=LOG.checkpoint(1))
    assert (SUBMISSION.checkpoint.size, SUBMISSION.checkpoint.root) == (7, LOG.root(0, 7))


def test_longest_proof_is_read() -> None:
    """Sixty-three hashes are read."""
    assert len(parse_submission(DATA.replace(b"old 3\n", b"old 3\n" + LINE * (63 - len(SUBMISSION.proof)))).proof) == 63


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"old 0",
        b"old 0\n\n",
        DATA[1:],
        DATA[:-1],
        DATA.replace(b"old 3", b"old 03"),
        DATA.replace(b"old 3", b"old -3"),
        DATA.replace(b"old 3", b"old +3"),
        DATA.replace(b"old 3", b"old  3"),
        DATA.replace(b"old 3", b"old 3 "),
        DATA.replace(b"old 3", b"Old 3"),
        DATA.replace(b"old 3", b"old"),
        DATA.replace(b"old 3", "old ٣".encode()),
        DATA.replace(b"old 3", b"old " + b"9" * 17),
        DATA.replace(b"\n", b"\r\n"),
        DATA.replace(b"old 3\n", b"old 3\n\n"),
        DATA.replace(LINE, b"AAAA\n"),
        DATA.replace(LINE, LINE.rstrip(b"=\n") + b"\n"),
        DATA.replace(LINE, b" " + LINE),
        DATA.replace(LINE, b"!" * 44 + b"\n"),
        DATA.replace(LINE, "é".encode() * 22 + b"\n"),
        DATA.replace(b"old 3\n", b"old 3\n" + LINE * 64),
        DATA.replace(b"\n7\n", b"\n07\n"),
        DATA + b"x" * 70_000,
    ],
)
def test_other_spelling_is_refused(data: bytes) -> None:
    """What is not a submission in its one spelling is none."""
    with pytest.raises(SubmissionMalformedError):
        parse_submission(data)


def test_endless_submission_is_not_taken_apart() -> None:
    """What is longer than any submission is refused before its lines are looked at."""
    with pytest.raises(SubmissionMalformedError, match="at most 69632 bytes, got 70004"):
        parse_submission(b"old " + b"9" * 70_000)


@settings(deadline=None, max_examples=200)
@given(
    st.binary(max_size=100)
    | st.builds(
        lambda place, new, old: DATA[:place] + new + DATA[place + old :],
        st.integers(0, len(DATA)),
        st.binary(max_size=4),
        st.integers(0, 4),
    )
)
def test_hostile_bytes_are_a_submission_or_our_error(data: bytes) -> None:
    """Whatever the bytes, they are refused by name, or are written back the same."""
    try:
        submission = parse_submission(data)
    except SubmissionMalformedError:
        return
    assert format_submission(submission) == data
