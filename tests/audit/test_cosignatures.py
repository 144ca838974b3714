"""Cosignatures: only what a known witness said of exactly this checkpoint counts."""

import base64
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.audit.errors import KeyInvalidError, NoteMalformedError, SignatureInvalidError
from lockgate.audit.formats.checkpoints import Checkpoint, open_checkpoint, sign_checkpoint
from lockgate.audit.formats.cosignatures import (
    TIME_S_MAX,
    add_cosignatures,
    cosign,
    keep_signatures,
    parse_witness_key,
    verify_cosignatures,
    witness_key_of,
)
from lockgate.audit.formats.notes import make_signer, parse_verifier_key, signature_line
from lockgate.clock import EpochNs

LOG = make_signer("gate.example/audit", bytes(range(32)))
WITNESS = make_signer("witness.example/w1", bytes(31) + b"\x01")
OTHER = make_signer("witness.example/w2", bytes(31) + b"\x02")
KEY, OTHER_KEY = witness_key_of(WITNESS), witness_key_of(OTHER)
NOTE = sign_checkpoint(Checkpoint(origin="gate.example/audit", size=7, root=bytes(range(32))), LOG)
LARGER = sign_checkpoint(Checkpoint(origin="gate.example/audit", size=8, root=bytes(32)), LOG)
NOW = EpochNs(1_700_000_000_123_456_789)
COSIGNED = add_cosignatures(NOTE, [cosign(NOTE, WITNESS, NOW)])


def _claim(time_s: int, signature: bytes) -> bytes:
    return NOTE + signature_line(KEY, time_s.to_bytes(8, "big") + signature).encode()


def _signed_at(time_s: int) -> bytes:
    text = NOTE.partition(b"\n\n")[0].decode() + "\n"
    return _claim(time_s, WITNESS.sign(f"cosignature/v1\ntime {time_s}\n{text}".encode()))


def test_cosignature_is_of_its_witness_and_second() -> None:
    """A cosignature is read back with its witness and its time, cut to the second."""
    (cosignature,) = verify_cosignatures(COSIGNED, [OTHER_KEY, KEY])

    assert (cosignature.key, cosignature.time) == (KEY, 1_700_000_000_000_000_000)
    assert NOTE + cosignature.line.encode() == COSIGNED


def test_cosigned_checkpoint_is_still_the_logs() -> None:
    """A cosignature line does not disturb a reader who knows only the log."""
    assert open_checkpoint(COSIGNED, [LOG.verifier_key]).size == 7


def test_layout_is_that_of_the_specification() -> None:
    """Key ID, time and signed message are byte for byte those of C2SP tlog-cosignature."""
    data = base64.b64decode(COSIGNED.split(b" ")[-1])
    text = NOTE.partition(b"\n\n")[0] + b"\n"

    assert data[:4] == hashlib.sha256(b"witness.example/w1\n\x04" + KEY.public_key).digest()[:4]
    assert data[4:12] == (1_700_000_000).to_bytes(8, "big")
    assert data[12:] == WITNESS.sign(b"cosignature/v1\ntime 1700000000\n" + text)


def test_unknown_witnesses_are_ignored() -> None:
    """A line of an unknown witness, or of another type, neither helps nor hurts."""
    post_quantum = f"— witness.example/w1 {base64.b64encode(bytes(4) + bytes(2428)).decode()}\n"

    assert verify_cosignatures(COSIGNED + post_quantum.encode(), [KEY]) == verify_cosignatures(COSIGNED, [KEY])
    assert verify_cosignatures(COSIGNED, [OTHER_KEY]) == ()
    assert verify_cosignatures(NOTE, [KEY]) == ()


def test_key_id_alone_does_not_make_a_known_witness() -> None:
    """A line with a known name and another key ID is of an unknown key."""
    line = signature_line(WITNESS.verifier_key, bytes(64))  # type 0x01: same name, same key, other ID

    assert verify_cosignatures(NOTE + line.encode(), [KEY]) == ()


def test_name_and_key_id_together_make_a_known_witness() -> None:
    """A line with a known key ID and another name is of an unknown key."""
    line = cosign(NOTE, WITNESS, NOW).line.replace("w1", "w9")

    assert verify_cosignatures(NOTE + line.encode(), [KEY]) == ()


@pytest.mark.parametrize(
    "note",
    [
        LARGER + COSIGNED.removeprefix(NOTE),
        _claim(1_700_000_001, cosign(NOTE, WITNESS, NOW).line.encode()[-64:]),
        _claim(1_700_000_000, OTHER.sign(b"cosignature/v1\n")),
        _claim(1_700_000_000, WITNESS.sign(NOTE.partition(b"\n\n")[0] + b"\n")),
        _signed_at(0),
        _signed_at(TIME_S_MAX + 1),
        _claim(1_700_000_000, bytes(63)),
        _claim(1_700_000_000, bytes(65)),
        NOTE + signature_line(KEY, b"\x00").encode(),
        COSIGNED + _claim(1_700_000_000, bytes(64)).removeprefix(NOTE),
    ],
    ids=[
        "of another checkpoint",
        "of another time",
        "of another key",
        "plain signature of the checkpoint",
        "time zero",
        "time that cannot be written",
        "too short",
        "too long",
        "one byte",
        "a false one beside a good one",
    ],
)
def test_false_cosignature_is_refused(note: bytes) -> None:
    """A line that names a known witness and is not his cosignature of this checkpoint makes the note worthless."""
    with pytest.raises(SignatureInvalidError):
        verify_cosignatures(note, [KEY])


def test_last_second_counts() -> None:
    """The last time that can be written is accepted."""
    assert verify_cosignatures(_signed_at(TIME_S_MAX), [KEY])[0].time == TIME_S_MAX * 10**9


def test_newest_of_a_witness_counts() -> None:
    """Of several cosignatures of one witness the newest is told, wherever it stands."""
    older, newer = cosign(NOTE, WITNESS, NOW), cosign(NOTE, WITNESS, EpochNs(NOW + 5 * 10**9))

    assert verify_cosignatures(add_cosignatures(NOTE, [newer, older]), [KEY]) == (newer,)
    assert verify_cosignatures(add_cosignatures(NOTE, [older, newer]), [KEY]) == (newer,)


def test_log_key_is_no_witness_key() -> None:
    """A key's type stands in its text: neither kind is read as the other."""
    with pytest.raises(KeyInvalidError):
        parse_witness_key(str(WITNESS.verifier_key))
    with pytest.raises(KeyInvalidError):
        parse_verifier_key(str(KEY))
    assert parse_witness_key(str(KEY)) == KEY


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31), b"\xff" * 32])
def test_worthless_witness_key_is_refused(point: bytes) -> None:
    """A key of low order, or that is no point, is no witness's key."""
    key_id = hashlib.sha256(b"witness.example/w1\n\x04" + point).hexdigest()[:8]
    with pytest.raises(KeyInvalidError):
        parse_witness_key(f"witness.example/w1+{key_id}+{base64.b64encode(chr(4).encode() + point).decode()}")


def test_only_checkpoints_are_cosigned() -> None:
    """What is no checkpoint gets no cosignature, and has none."""
    with pytest.raises(NoteMalformedError):
        cosign(NOTE.replace(b"\n7\n", b"\n07\n"), WITNESS, NOW)
    with pytest.raises(NoteMalformedError):
        verify_cosignatures(b"x\n", [KEY])


def test_kept_note_has_only_known_lines_once() -> None:
    """Keeping a note drops unknown lines and all but the first of a key, and refuses one without a known line."""
    stranger = cosign(NOTE, OTHER, NOW)
    line = NOTE.partition(b"\n\n")[2]
    padded = add_cosignatures(NOTE + line, [stranger, cosign(NOTE, WITNESS, NOW)])
    padded = add_cosignatures(padded, [cosign(NOTE, WITNESS, EpochNs(NOW + 10**9))])

    assert keep_signatures(padded, [LOG.verifier_key]) == NOTE
    assert keep_signatures(padded, [LOG.verifier_key, KEY]) == COSIGNED
    with pytest.raises(NoteMalformedError):
        keep_signatures(NOTE, [KEY])


def test_two_keys_sign_while_they_change() -> None:
    """A checkpoint signed by two keys is believed under either of them."""
    new = make_signer("gate.example/audit", bytes(32))
    checkpoint = Checkpoint(origin="gate.example/audit", size=7, root=bytes(32))
    note = sign_checkpoint(checkpoint, LOG, new)

    assert note.count("— ".encode()) == 2
    assert open_checkpoint(note, [LOG.verifier_key]) == checkpoint
    assert open_checkpoint(note, [new.verifier_key]) == checkpoint


@settings(deadline=None, max_examples=200)
@given(
    st.builds(
        lambda place, new, old: COSIGNED[:place] + new + COSIGNED[place + old :],
        st.integers(0, len(COSIGNED)),
        st.binary(max_size=4),
        st.integers(0, 4),
    )
)
def test_mangled_note_gives_our_errors_or_the_same_cosignature(note: bytes) -> None:
    """Whatever is done to a cosigned note, no other cosignature comes out of it, and no error without a code."""
    try:
        found = verify_cosignatures(note, [KEY])
    except (NoteMalformedError, SignatureInvalidError):
        return
    assert found in {(), verify_cosignatures(COSIGNED, [KEY])}
