"""A flipped bit or a fault of the program is found before it is signed, while it can still be mended."""

import hashlib
import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from lockgate.audit import LogInconsistentError, Outcome
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.merkle import Node, leaf_hash
from lockgate.audit.formats.notes import VerifierKey
from lockgate.audit.store import read_head
from lockgate.audit.writing.appending import Ending, check_ending, grow
from lockgate.storage import read_transaction
from support.audit_logs import LogStand, make_event, make_stand, verify_export

_FLIPS_A_BIT = {
    "sqlite": (
        """
        CREATE TRIGGER flip AFTER INSERT ON audit_entry BEGIN
            UPDATE audit_entry SET body = CAST(replace(CAST(body AS TEXT), 'tested', 'uested') AS BLOB)
            WHERE log = NEW.log AND seq = NEW.seq;
        END
        """,
    ),
    "postgresql": (
        """
        CREATE FUNCTION flip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.body := set_bit(NEW.body, 80, 1 - get_bit(NEW.body, 80));
            RETURN NEW;
        END $$
        """,
        "CREATE TRIGGER flip BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION flip()",
    ),
}


def test_what_the_disk_changed_is_not_signed(tmp_path: Path, database_url: str) -> None:
    """A record that is stored as other bytes than those that were hashed is refused, and the log goes on without it."""
    stand = make_stand(tmp_path, database_url)
    stand.fill(3)
    before = stand.log.checkpoint()
    for statement in _FLIPS_A_BIT[stand.engine.dialect.name]:
        stand.edit(statement)

    with pytest.raises(LogInconsistentError, match="gave back other records"):
        stand.log.append(make_event())
    assert stand.log.checkpoint() == before
    stand.edit("SELECT 1")  # drops every trigger
    stand.fill(1)
    assert read_checkpoint(stand.log.checkpoint()).size == 5
    stand.engine.dispose()


def _ending(stand: LogStand) -> Ending:
    key: VerifierKey = stand.signer.verifier_key
    with read_transaction(stand.engine) as connection:
        return check_ending(connection, read_head(connection, key.name), [key])


@pytest.mark.parametrize("node", [(2, 0), (1, 2), (0, 6)])
def test_a_tree_that_forgot_is_not_signed(stand: LogStand, node: Node) -> None:
    """A tree that does not begin with the signed one is refused, whichever of its hashes was spoilt in memory."""
    stand.fill(6)
    ending = _ending(stand)
    spoilt = bytes([ending.edge[node][0] ^ 1]) + ending.edge[node][1:]

    assert grow(ending, [leaf_hash(b"next")]).size == 8
    with pytest.raises(LogInconsistentError, match="does not begin with the signed one"):
        grow(replace(ending, edge={**ending.edge, node: spoilt}), [leaf_hash(b"next")])


class _Digest:
    """What a processor gives back with one bit flipped."""

    def __init__(self, data: bytes) -> None:
        self._digest = hashlib.sha256(data).digest()

    def digest(self) -> bytes:
        return bytes([self._digest[0] ^ 1]) + self._digest[1:]


class _FaultyHashlib:
    """SHA-256 on a processor that gets one hash wrong, the one at `place`."""

    def __init__(self, place: int) -> None:
        self.left = place  # right ones still to come; negative once the wrong one was given

    def sha256(self, data: bytes) -> object:
        self.left -= 1
        return _Digest(data) if self.left == -1 else hashlib.sha256(data)


def _grow_faultily(monkeypatch: pytest.MonkeyPatch, ending: Ending, leaves: list[bytes], place: int) -> bool:
    faulty = _FaultyHashlib(place)
    with monkeypatch.context() as patch:
        patch.setattr("lockgate.audit.formats.merkle.hashlib", faulty)
        grow(ending, leaves)
    return faulty.left < 0


@pytest.mark.parametrize(("filled", "count"), [(0, 5), (4, 1), (6, 1), (6, 3), (7, 9)])
def test_one_wrong_hash_spoils_one_of_two_ways(
    stand: LogStand, monkeypatch: pytest.MonkeyPatch, filled: int, count: int
) -> None:
    """Whichever one hash of all that lead to the new root is computed wrongly, the root is refused."""
    stand.fill(filled)
    ending, leaves = _ending(stand), [leaf_hash(bytes([number])) for number in range(count)]
    for place in itertools.count():
        try:
            reached = _grow_faultily(monkeypatch, ending, leaves, place)
        except LogInconsistentError:
            continue
        break

    assert not reached  # only where the fault would come after the last hash was nothing refused
    assert place >= 3


def test_one_wrong_hash_is_never_signed(stand: LogStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that gets any one hash of an append wrong costs at most this batch; the log stays valid."""
    stand.fill(
        7
    )  # and batches of eight: the proof that the old tree is in the new one needs none of the new ones' nodes
    refused = 0
    for place in itertools.count():
        faulty = _FaultyHashlib(place)
        with monkeypatch.context() as patch:
            patch.setattr("lockgate.audit.formats.merkle.hashlib", faulty)
            try:
                stand.log.transact(lambda _: Outcome(value=0, events=tuple(make_event() for _ in range(8))))
            except LogInconsistentError:
                refused += 1
        if faulty.left >= 0:
            break
    stand.reopened().append(make_event())

    assert refused > 0
    assert verify_export(stand.export(), stand.signer).verdict == "valid"
