"""Signed notes, keys, checkpoints and proofs: one spelling, and nothing unsigned believed."""

import base64
import hashlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.audit.errors import (
    KeyInvalidError,
    NoteMalformedError,
    NoteUnverifiedError,
    ProofInvalidError,
    SignatureInvalidError,
)
from lockgate.audit.formats.checkpoints import Checkpoint, open_checkpoint, read_checkpoint, sign_checkpoint
from lockgate.audit.formats.notes import (
    VerifierKey,
    format_signer,
    make_signer,
    open_note,
    parse_signer,
    parse_verifier_key,
    sign_note,
)
from lockgate.audit.formats.proofs import InclusionProof, format_proof, parse_proof
from lockgate.audit.keys import create_key_file, load_key_file

SIGNER = make_signer("gate.example/audit", bytes(range(32)))
OTHER = make_signer("gate.example/audit", bytes(32))
CHECKPOINT = Checkpoint(origin="gate.example/audit", size=7, root=bytes(range(32)))
NOTE = sign_checkpoint(CHECKPOINT, SIGNER)
PROOF = format_proof(InclusionProof(index=3, path=(bytes(32), bytes(range(32))), checkpoint=NOTE))
# The worked example of golang.org/x/mod/sumdb/note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
P = 2**255 - 19
ORDER_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"


def _key_text(public_key: bytes) -> str:
    key_id = hashlib.sha256(b"gate.example/audit\n\x01" + public_key).hexdigest()[:8]
    encoded = base64.b64encode(b"\x01" + public_key).decode()
    return f"gate.example/audit+{key_id}+{encoded}"


def test_go_example_verifies() -> None:
    """A note and key made by Go's note package are read."""
    assert open_note(GO_NOTE.encode(), [parse_verifier_key(GO_KEY)]).startswith("If you think")


def test_key_texts_round_trip() -> None:
    """What a key writes is what it is read from."""
    assert parse_verifier_key(str(SIGNER.verifier_key)) == SIGNER.verifier_key
    assert parse_signer(format_signer(SIGNER)) == SIGNER


def test_every_mangled_key_is_refused() -> None:
    """No part of a key's text and no key with one character changed is a key."""
    for start in range(len(GO_KEY)):
        for end in range(start, len(GO_KEY)):
            with pytest.raises(KeyInvalidError):
                parse_verifier_key(GO_KEY[start + (end == len(GO_KEY)) : end])
    for place in range(len(GO_KEY)):
        mangled = GO_KEY[:place] + chr(ord(GO_KEY[place]) + 1) + GO_KEY[place + 1 :]
        with pytest.raises(KeyInvalidError):
            parse_verifier_key(mangled)


@pytest.mark.parametrize("sign", [0, 1 << 255])
@pytest.mark.parametrize(
    "y",
    [
        0,
        1,
        P - 1,
        P,
        P + 1,
        int.from_bytes(bytes.fromhex(ORDER_8), "little"),
        P - int.from_bytes(bytes.fromhex(ORDER_8), "little"),
        2,
        2**255 - 1,
    ],
)
def test_worthless_public_key_is_refused(y: int, sign: int) -> None:
    """Low-order points, other spellings of a point and what is no point are no keys."""
    with pytest.raises(KeyInvalidError):
        parse_verifier_key(_key_text((y | sign).to_bytes(32, "little")))


@pytest.mark.parametrize(
    "text",
    ["", "PRIVATE+KEY+a+b", format_signer(SIGNER) + "\n", format_signer(SIGNER).replace("gate", "date"), "+" * 9],
)
def test_bad_private_key_is_refused_without_echo(text: str) -> None:
    """A private key's error never repeats any of it."""
    with pytest.raises(KeyInvalidError) as caught:
        parse_signer(text)

    assert "AAECAw" not in str(caught.value)


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"text\n",
        b"text\n\n",
        NOTE[:-1],
        b"\x01" + NOTE,
        b"\xff" + NOTE,
        NOTE.replace(b"\n\n", b"\n"),
        NOTE + b"Unexpected line.\n",
        NOTE.replace("— ".encode(), b"- "),
        NOTE.replace(b"\n\n", b"\r\n\r\n"),
        NOTE + b"\n",
        NOTE.partition(b"\n\n")[0] + b"\n\n" + (NOTE.partition(b"\n\n")[2] * 101),
        b"x" * 70_000 + NOTE,
    ],
)
def test_malformed_note_is_refused(note: bytes) -> None:
    """What is not a note in its one spelling is no note."""
    with pytest.raises(NoteMalformedError):
        open_note(note, [SIGNER.verifier_key])


def test_unknown_signature_is_ignored() -> None:
    """A signature of an unknown key neither helps nor hurts."""
    extra = sign_note("x\n", OTHER).partition(b"\n\n")[2]

    assert open_checkpoint(NOTE + extra, [SIGNER.verifier_key]) == CHECKPOINT
    with pytest.raises(NoteUnverifiedError):
        open_checkpoint(NOTE, [OTHER.verifier_key])
    with pytest.raises(NoteUnverifiedError):
        open_checkpoint(NOTE, [])


def test_false_signature_of_a_known_key_is_refused() -> None:
    """A note is refused whole when a known key is named falsely, even beside a good signature."""
    false = sign_checkpoint(Checkpoint(origin=CHECKPOINT.origin, size=8, root=bytes(32)), OTHER).partition(b"\n\n")[2]
    with pytest.raises(SignatureInvalidError):
        open_checkpoint(NOTE + false, [SIGNER.verifier_key, OTHER.verifier_key])


def test_key_of_another_log_is_refused() -> None:
    """A checkpoint counts only under a key that bears its origin as name."""
    stranger = make_signer("other.example", bytes(range(32)))
    with pytest.raises(NoteUnverifiedError):
        open_checkpoint(sign_checkpoint(CHECKPOINT, stranger), [stranger.verifier_key])


@pytest.mark.parametrize(
    "text",
    [
        "gate.example/audit\n07\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "gate.example/audit\n-7\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "gate.example/audit\n٧\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "gate.example/audit\n7\n" + base64.b64encode(bytes(31)).decode() + "\n",
        "gate.example/audit\n7\n" + base64.b64encode(bytes(32)).decode().rstrip("=") + "\n",
        "gate.example/audit\n7\n" + base64.b64encode(bytes(32)).decode() + "\nextension\n",
        "gate.example/audit\n9999999999999999999\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "gate.example/audit\n7\n",
    ],
)
def test_malformed_checkpoint_is_refused(text: str) -> None:
    """A signed text that is no checkpoint in its one spelling is refused."""
    with pytest.raises(NoteMalformedError):
        read_checkpoint(sign_note(text, SIGNER))


@pytest.mark.parametrize(
    "text",
    [
        "",
        PROOF.replace("index 3", "index 03"),
        PROOF.replace("index 3", "index -3"),
        PROOF.replace("index 3", "index"),
        PROOF.replace("@v1", "@v2"),
        PROOF.replace("index 3", "extra AAAA\nindex 3"),
        PROOF.replace("\n\n", "\n"),
        PROOF.replace("AAAA=\n", "AAAB=\n"),
        PROOF.replace("index 3\n", "index 3\nAAAA\n"),
        PROOF.replace("index 3\n", "index 3\n" + "A" * 43 + "=\n" * 80),
        PROOF.replace("\n", "\r\n"),
        "x" * 80_000,
    ],
)
def test_malformed_proof_is_refused(text: str) -> None:
    """What is not a tlog-proof in its one spelling is no proof."""
    with pytest.raises(ProofInvalidError):
        parse_proof(text)


def test_proof_round_trips() -> None:
    """A proof is read as it was written."""
    assert format_proof(parse_proof(PROOF)) == PROOF


@settings(deadline=None, max_examples=200)
@given(
    st.binary(max_size=300)
    | st.builds(
        lambda head, place: NOTE[:place] + head + NOTE[place:], st.binary(max_size=4), st.integers(0, len(NOTE))
    )
)
def test_hostile_bytes_raise_only_our_errors(data: bytes) -> None:
    """Whatever the bytes, reading them ends in a value that the key signed or in an error with a code."""
    try:
        checkpoint = open_checkpoint(data, [SIGNER.verifier_key])
    except (NoteMalformedError, NoteUnverifiedError, SignatureInvalidError):
        return
    assert checkpoint == CHECKPOINT


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=200))
def test_hostile_key_raises_only_our_error(text: str) -> None:
    """Whatever the text, reading a key gives a key or the key error."""
    try:
        key = parse_verifier_key(text)
    except KeyInvalidError:
        return
    assert isinstance(key, VerifierKey)


def test_key_file_is_private_and_never_replaced(tmp_path: Path) -> None:
    """A key file is readable by its owner alone, loads again, and a second one is not made over it."""
    path = tmp_path / "log.key"
    signer = create_key_file(path, "gate.example/audit")

    assert path.stat().st_mode & 0o777 == 0o600
    assert load_key_file(path) == signer
    with pytest.raises(KeyInvalidError):
        create_key_file(path, "gate.example/audit")
    assert load_key_file(path) == signer
    assert [item.name for item in tmp_path.iterdir()] == ["log.key"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"PRIVATE+KEY+a+00000000+AAAA\n"])
def test_bad_key_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that holds no key is refused, as is a missing one and one open to everybody."""
    path = tmp_path / "log.key"
    with pytest.raises(KeyInvalidError):
        load_key_file(path)
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyInvalidError):
        load_key_file(path)


def test_open_key_file_is_refused(tmp_path: Path) -> None:
    """A key file that others can read is refused."""
    path = tmp_path / "log.key"
    create_key_file(path, "gate.example/audit")
    path.chmod(0o604)
    with pytest.raises(KeyInvalidError):
        load_key_file(path)
