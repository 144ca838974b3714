"""A flipped bit or a fault of the program is found before it is signed, while it can still be mended."""

from dataclasses import replace

import pytest

from lockgate.audit import LogInconsistentError
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.merkle import Node, leaf_hash
from lockgate.audit.formats.notes import VerifierKey
from lockgate.audit.store import read_head
from lockgate.audit.writing.appending import Ending, check_ending, grow
from lockgate.storage import read_transaction
from support.audit_logs import LogStand, make_event

_FLIPS_A_BIT = """
CREATE TRIGGER flip AFTER INSERT ON audit_entry BEGIN
    UPDATE audit_entry SET body = CAST(replace(CAST(body AS TEXT), 'tested', 'uested') AS BLOB)
    WHERE log = NEW.log AND seq = NEW.seq;
END
"""


def test_what_the_disk_changed_is_not_signed(stand: LogStand) -> None:
    """A record that is stored as other bytes than those that were hashed is refused, and the log goes on without it."""
    stand.fill(3)
    before = stand.log.checkpoint()
    stand.edit(_FLIPS_A_BIT)

    with pytest.raises(LogInconsistentError, match="gave back other records"):
        stand.log.append(make_event())
    assert stand.log.checkpoint() == before
    stand.edit("SELECT 1")  # drops every trigger
    stand.fill(1)
    assert read_checkpoint(stand.log.checkpoint()).size == 5


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
