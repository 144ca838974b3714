"""Whatever the database's owner changes in a log's tables flips the verdict and names the record, on both databases."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lockgate.audit import Verification
from lockgate.audit.verification.verifier import Trust, trust_in_keys
from lockgate.storage import read_transaction
from support.audit_logs import LogStand, make_stand
from support.mutations import OF_DOCUMENTS, OF_RECORDS, mutated, verify_here
from support.retention import erase_documents, fill_quickly, keep, prune_log

FIRST, PLAIN, KEPT, SIZE = 256, 300, 303, 306
BLAMED: dict[str, Callable[[int], int | None]] = {
    "swap a record with the one before": lambda seq: seq - 1,
    "change the root in a checkpoint": lambda _: None,  # a false signature accuses no record
    "change the size in a checkpoint": lambda _: None,
}


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[LogStand]:
    """A log that was pruned, with a document, one that was erased, and records with a checkpoint each at its end."""
    made = make_stand(tmp_path, database_url)
    keep(made, b"name: Ann")
    fill_quickly(made, PLAIN - 3)
    made.fill(3)  # 299, 300, 301
    keep(made, b"name: Bob")
    keep(made, b"evidence")
    erase_documents(made, b"name: Bob")
    prune_log(made, FIRST, made.export())
    yield made
    made.engine.dispose()


def _trust(stand: LogStand, held: bytes) -> Trust:
    return Trust(policy=trust_in_keys([stand.signer.verifier_key]), held=(held,), every_signature=True)


def _verify(stand: LogStand, name: str, seq: int, number: int, held: bytes) -> Verification:
    with mutated(stand, name, seq, number) as connection:
        return verify_here(connection, _trust(stand, held))


def _check_unharmed(stand: LogStand, held: bytes) -> None:
    with read_transaction(stand.engine) as connection:
        verification = verify_here(connection, _trust(stand, held))

    assert (verification.verdict, verification.problems) == ("valid", ())
    assert (verification.verified_from_seq, verification.size) == (FIRST, SIZE)
    stand.log.check_head()


def test_every_mutation_is_found_at_its_record(stand: LogStand) -> None:
    """The verdict is tampered, and the first problem named is the record that was changed, or its checkpoint."""
    held = stand.log.checkpoint()
    for name, seq, number in itertools.product(OF_RECORDS, (PLAIN, KEPT, SIZE - 1), (0, 7, 4242)):
        verification = _verify(stand, name, seq, number, held)
        what = (name, seq, number, verification.problems)

        assert verification.verdict == "tampered", what
        assert verification.problems[0].seq == (BLAMED[name](seq) if name in BLAMED else seq), what
    _check_unharmed(stand, held)


@pytest.mark.parametrize("name", OF_DOCUMENTS)
def test_a_document_that_was_changed_is_found_at_its_record(stand: LogStand, name: str) -> None:
    """A kept document that is lost or changed is named with its record; one that was erased is not missed."""
    held = stand.log.checkpoint()
    verification = _verify(stand, name, KEPT, 11, held)

    assert (verification.verdict, verification.first_bad_seq) == ("tampered", KEPT)
    _check_unharmed(stand, held)
