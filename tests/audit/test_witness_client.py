"""Asking witnesses: a cosignature that verifies, or a reason; from the real witness, and from peers of every kind."""

import base64
import gzip
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from lockgate.audit.errors import LogInconsistentError
from lockgate.audit.formats.cosignatures import (
    Cosignature,
    add_cosignatures,
    cosign,
    verify_cosignatures,
    witness_key_of,
)
from lockgate.audit.formats.log_policy import LogKey, LogPolicy, Witness
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.keeping.witness_client import (
    ANSWER_BYTES_MAX,
    Collection,
    WitnessRefusal,
    ask_witness,
    collect_cosignatures,
)
from lockgate.clock import EpochNs
from lockgate.outbound import OutboundError, OutboundRequest, exchange
from support.audit_logs import LogStand
from support.logs_of_others import PaperLog
from support.misbehaving_server import Behaviour, answer, misbehaving_server
from support.witnesses import WITNESS_SIGNER, WitnessStand, make_witness_stand, serve_witness

LOG = PaperLog()
KEY = witness_key_of(WITNESS_SIGNER)
NOW = EpochNs(1_700_000_000_000_000_000)
SIZE = "Content-Type: text/x.tlog.size"


def _ask(
    url: str, size: int, old: int = 0, log: PaperLog = LOG, timeout_s: float = 5.0
) -> Cosignature | WitnessRefusal:
    return ask_witness(
        url, KEY, log.checkpoint(size), old, lambda old_size: log.proof(old_size, size), timeout_s=timeout_s
    )


def _ask_peer(behaviour: Behaviour) -> WitnessRefusal:
    with misbehaving_server(behaviour) as server:
        got = _ask(f"http://{server.address.host}:{server.address.port}", 7)
    assert isinstance(got, WitnessRefusal)
    return got


@pytest.fixture
def witness(tmp_path: Path) -> WitnessStand:
    """A witness that follows the paper log."""
    folder = tmp_path / "witness"
    folder.mkdir()
    return make_witness_stand(folder)


def test_witness_cosigns(witness: WitnessStand) -> None:
    """A log that grows gets a verified cosignature each time, whether it knows the old size or not."""
    with serve_witness(witness) as url:
        for old, size in ((0, 3), (3, 7), (0, 9), (9, 9)):
            got = _ask(url + "/", size, old)

            assert isinstance(got, Cosignature)
            assert verify_cosignatures(add_cosignatures(LOG.checkpoint(size), [got]), [KEY]) == (got,)


FORK = PaperLog(fork="false", fork_at=3)


@pytest.mark.parametrize(
    ("log", "size", "old", "refusal"),
    [
        (LOG, 5, 0, ("audit.witness_ahead", 7)),
        (FORK, 7, 7, ("audit.witness_root_differs", None)),
        (FORK, 9, 7, ("audit.witness_proof_refused", None)),
        (FORK, 9, 0, ("audit.witness_proof_refused", None)),
    ],
    ids=["shortened", "rewritten", "forked", "forked, size unknown"],
)
def test_witness_contradicts(
    witness: WitnessStand, log: PaperLog, size: int, old: int, refusal: tuple[str, int | None]
) -> None:
    """What does not go on from the tree that was cosigned is refused under a code that says so."""
    with serve_witness(witness) as url:
        assert isinstance(_ask(url, 7), Cosignature)
        got = _ask(url, size, old, log)

    assert isinstance(got, WitnessRefusal)
    assert ((got.code, got.size), got.contradicts) == (refusal, True)


@pytest.mark.parametrize(
    ("log", "code"),
    [
        (PaperLog(signer=make_signer("other.example", bytes(32))), "audit.witness_log_unknown"),
        (PaperLog(signer=make_signer("gate.example/audit", bytes(32))), "audit.witness_key_unknown"),
    ],
)
def test_stranger_is_refused(witness: WitnessStand, log: PaperLog, code: str) -> None:
    """An unknown log and an unknown key are told apart, and accuse nobody."""
    with serve_witness(witness) as url:
        got = _ask(url, 7, 0, log)

    assert isinstance(got, WitnessRefusal)
    assert (got.code, got.contradicts) == (code, False)


def _hang(_connection: socket.socket) -> None:
    time.sleep(3)


def _trickle(connection: socket.socket) -> None:
    try:
        connection.sendall(b"HTTP/1.1 200 X\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(60):
            connection.sendall(b"x")
            time.sleep(0.05)
    except OSError:
        pass


GOOD = cosign(LOG.checkpoint(7), WITNESS_SIGNER, NOW).line.encode()
OF_ANOTHER = cosign(LOG.checkpoint(6), WITNESS_SIGNER, NOW).line.encode()
STRANGERS = cosign(LOG.checkpoint(7), make_signer("witness.example/w2", bytes(32)), NOW).line.encode()


ANSWERS = {
    "200 without a line": (answer(200, b""), "audit.witness_answer_invalid"),
    "200 with words": (answer(200, b"hello\n"), "audit.witness_answer_invalid"),
    "200 with a line cut short": (answer(200, GOOD[:-1]), "audit.witness_answer_invalid"),
    "200 with an empty line": (answer(200, b"\n" + GOOD), "audit.witness_answer_invalid"),
    "200 for another checkpoint": (answer(200, OF_ANOTHER), "audit.witness_answer_invalid"),
    "200 by another witness": (answer(200, STRANGERS), "audit.witness_answer_invalid"),
    "200 with a false line too": (answer(200, GOOD + OF_ANOTHER), "audit.witness_answer_invalid"),
    "200 with a whole note": (answer(200, LOG.checkpoint(7) + GOOD), "audit.witness_answer_invalid"),
    "201 with a good line": (answer(201, GOOD), "audit.witness_answer_invalid"),
    "204": (answer(204, b""), "audit.witness_answer_invalid"),
    "302": (answer(302, b"", "Location: http://127.0.0.1:9/"), "audit.witness_answer_invalid"),
    "401": (answer(401, b""), "audit.witness_answer_invalid"),
    "400": (answer(400, b""), "audit.witness_request_refused"),
    "403": (answer(403, b""), "audit.witness_key_unknown"),
    "404": (answer(404, b""), "audit.witness_log_unknown"),
    "409 without its content type": (answer(409, b"3\n"), "audit.witness_root_differs"),
    "409 again and again": (answer(409, b"3\n", SIZE), "audit.witness_size_moved"),
    "409 beyond ours": (answer(409, b"8\n", SIZE), "audit.witness_ahead"),
    "409 with leading zero": (answer(409, b"03\n", SIZE), "audit.witness_answer_invalid"),
    "409 without newline": (answer(409, b"3", SIZE), "audit.witness_answer_invalid"),
    "409 negative": (answer(409, b"-3\n", SIZE), "audit.witness_answer_invalid"),
    "409 beyond every size": (answer(409, b"9999999999999999\n", SIZE), "audit.witness_answer_invalid"),
    "409 with endless digits": (answer(409, b"9" * 5000 + b"\n", SIZE), "audit.witness_answer_invalid"),
    "422": (answer(422, b""), "audit.witness_proof_refused"),
    "429": (answer(429, b""), "audit.witness_unavailable"),
    "500": (answer(500, b""), "audit.witness_unavailable"),
    "503": (answer(503, b""), "audit.witness_unavailable"),
    "too long": (answer(200, b"x" * (ANSWER_BYTES_MAX + 1)), "audit.witness_unreachable"),
    "compressed": (answer(200, gzip.compress(GOOD), "Content-Encoding: gzip"), "audit.witness_unreachable"),
    "no HTTP": (lambda connection: connection.sendall(b"nonsense\r\n\r\n"), "audit.witness_unreachable"),
    "nothing": (lambda connection: connection.close(), "audit.witness_unreachable"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_every_other_answer_is_a_refusal(name: str) -> None:
    """Whatever a peer answers that is not this witness's cosignature has a code of its own and is not believed."""
    behaviour, code = ANSWERS[name]

    assert _ask_peer(behaviour).code == code


def test_lines_of_others_are_ignored() -> None:
    """Of several lines only the witness's own is taken."""
    with misbehaving_server(answer(200, STRANGERS + GOOD)) as server:
        got = _ask(f"http://{server.address.host}:{server.address.port}", 7)

    assert isinstance(got, Cosignature)
    assert got.line.encode() == GOOD


@pytest.mark.parametrize("behaviour", [_hang, _trickle])
def test_slow_peer_is_left_in_time(behaviour: Behaviour) -> None:
    """A peer that says nothing, or says it slowly, is left when the time is over."""
    with misbehaving_server(behaviour) as server:
        began = time.monotonic()
        got = _ask(f"http://{server.address.host}:{server.address.port}", 7, timeout_s=0.3)
        took_s = time.monotonic() - began

    assert isinstance(got, WitnessRefusal)
    assert got.code == "audit.witness_unreachable"
    assert took_s < 2  # both peers take longer to give up


def test_redirect_is_not_followed() -> None:
    """A peer that points elsewhere is asked once, and nobody else."""
    with misbehaving_server(answer(200, GOOD)) as other:
        location = f"Location: http://{other.address.host}:{other.address.port}/add-checkpoint"
        assert _ask_peer(answer(307, b"", location)).code == "audit.witness_answer_invalid"

        assert other.requests == []


def test_environment_gives_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxy settings of the process are not used."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    with misbehaving_server(answer(200, GOOD)) as server:
        assert isinstance(_ask(f"http://{server.address.host}:{server.address.port}", 7), Cosignature)


@pytest.mark.parametrize(
    "url",
    ["", "ftp://x/", "http://", "http://user:pw@127.0.0.1/", "http://[::1", "http://x:99999/", "file:///etc/passwd"],
)
def test_other_urls_are_not_asked(url: str) -> None:
    """Only http and https without credentials are asked."""
    got = _ask(url, 7)

    assert isinstance(got, WitnessRefusal)
    assert (got.code, got.detail[:11]) == ("audit.witness_unreachable", "want an htt")
    with pytest.raises(OutboundError, match="want an http or https URL"):
        exchange(OutboundRequest(url=url, body=b"", content_type="text/plain", timeout_s=1, answer_bytes_max=1))


def test_log_that_cannot_prove_says_so(witness: WitnessStand) -> None:
    """A proof that our own log cannot make is our refusal, and no accusation."""

    def broken(_old: int) -> Sequence[bytes]:
        raise LogInconsistentError("a node of the stored tree is missing")

    with serve_witness(witness) as url:
        assert isinstance(_ask(url, 3), Cosignature)
        got = ask_witness(url, KEY, LOG.checkpoint(7), 0, broken)

    assert isinstance(got, WitnessRefusal)
    assert (got.code, got.size, got.contradicts) == ("audit.witness_proof_missing", 3, False)


class Kept:
    """What a round stored."""

    def __init__(self) -> None:
        self.notes: list[tuple[int, bytes]] = []
        self.threads: set[int] = set()

    def __call__(self, size: int, note: bytes) -> None:
        """Keep a note."""
        self.notes.append((size, note))
        self.threads.add(threading.get_ident())


def _policy(stand: LogStand, url: str, other_url: str | None = None) -> LogPolicy:
    other = witness_key_of(make_signer("witness.example/w2", bytes(31) + b"\x09"))
    return LogPolicy(
        logs=(LogKey(key=stand.signer.verifier_key),),
        witnesses=(Witness(name="w1", key=KEY, url=url), Witness(name="w2", key=other, url=other_url)),
        quorum="w1",
    )


def _collect(stand: LogStand, policy: LogPolicy, kept: Kept, previous: bytes | None = None) -> Collection:
    return collect_cosignatures(stand.log, policy, kept, previous=previous, timeout_s=5)


def test_collecting_keeps_one_note_with_every_line(stand: LogStand, witness: WitnessStand) -> None:
    """A round asks who has a URL, keeps the checkpoint with the lines, and says who did not cosign and why."""
    stand.fill(3)
    kept = Kept()
    with serve_witness(witness) as url, misbehaving_server(answer(503, b"")) as broken:
        policy = _policy(stand, url, f"http://{broken.address.host}:{broken.address.port}")
        collection = _collect(stand, policy, kept)

    assert (collection.size, collection.quorum_met) == (4, True)
    assert [one.witness for one in collection.cosigned] == ["w1"]
    assert [(name, one.code) for name, one in collection.refusals] == [("w2", "audit.witness_unavailable")]
    assert kept.notes == [(4, collection.note)]
    assert kept.threads == {threading.get_ident()}
    assert collection.note.startswith(stand.log.checkpoint())


def test_next_round_asks_from_where_the_last_ended(stand: LogStand, witness: WitnessStand) -> None:
    """With the note of the last round one exchange is enough; without it, or with a spoilt one, it takes two."""
    kept = Kept()
    with serve_witness(witness) as url:
        policy = _policy(stand, url)
        for previous, exchanges in ((None, 1), ("last", 1), (None, 2), ("spoilt", 2)):
            stand.fill(2)
            asked = len(witness.requests)
            note = kept.notes[-1][1] if previous else None
            if note and previous == "spoilt":
                data = base64.b64decode(note.split()[-1])
                note = note.replace(note.split()[-1], base64.b64encode(data[:-1] + bytes([data[-1] ^ 1])))
            assert _collect(stand, policy, kept, note).quorum_met
            assert len(witness.requests) - asked == exchanges


def test_lines_of_the_same_checkpoint_stay(stand: LogStand, witness: WitnessStand) -> None:
    """Who cosigned this very checkpoint before counts on, although he is away now; nothing is stored anew then."""
    kept = Kept()
    with serve_witness(witness) as url:
        first = _collect(stand, _policy(stand, url), kept)
    again = _collect(stand, _policy(stand, "http://127.0.0.1:9"), kept, first.note)

    assert (again.quorum_met, again.note, len(kept.notes)) == (True, first.note, 1)
    stand.fill(1)
    later = _collect(stand, _policy(stand, "http://127.0.0.1:9"), kept, first.note)
    assert (later.quorum_met, later.note, len(kept.notes)) == (False, stand.log.checkpoint(), 1)


@pytest.mark.parametrize(
    ("beyond", "refusal"),
    [(0, ("audit.witness_size_moved", False)), (1, ("audit.witness_ahead", True))],
    ids=["the log grew", "the log is shorter"],
)
def test_log_that_grew_meanwhile_is_no_contradiction(stand: LogStand, beyond: int, refusal: tuple[str, bool]) -> None:
    """A witness that saw what the log has become meanwhile accuses nobody; one that saw more than that does."""

    def grow(connection: socket.socket) -> None:
        stand.fill(2)
        answer(409, f"{3 + beyond}\n".encode(), SIZE)(connection)

    kept = Kept()
    with misbehaving_server(grow) as server:
        collection = _collect(stand, _policy(stand, f"http://{server.address.host}:{server.address.port}"), kept)

    assert (collection.size, kept.notes) == (1, [])
    assert [(one.code, one.contradicts) for _, one in collection.refusals] == [refusal]
    assert [one.size for _, one in collection.refusals] == [3 + beyond]


def test_policy_without_witnesses_asks_nobody(stand: LogStand) -> None:
    """With `quorum none` a round is empty, and nobody vouches."""
    kept = Kept()
    policy = LogPolicy(logs=(LogKey(key=stand.signer.verifier_key),))
    collection = _collect(stand, policy, kept)

    assert (collection.cosigned, collection.refusals, collection.quorum_met, kept.notes) == ((), (), False, [])
