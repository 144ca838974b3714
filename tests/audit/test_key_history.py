"""The policy that a log's own records amount to."""

from typing import Any

import pytest

from lockgate.audit import KeyInvalidError
from lockgate.audit.formats.key_history import policy_of
from lockgate.audit.formats.log_policy import LINES_MAX, LogKey, LogPolicy, format_log_policy, parse_log_policy
from lockgate.audit.formats.notes import make_signer
from support.audit_logs import ORIGIN

A, B, C = (make_signer(ORIGIN, bytes([number]) * 32).verifier_key for number in (1, 2, 3))
GENESIS = {"seq": 0, "kind": "log.genesis", "body": {"key": str(A)}}


def rotate(seq: int, old: object, new: object) -> dict[str, Any]:
    """Write what matters of a rotation."""
    return {"seq": seq, "kind": "log.key.rotate", "body": {"old_key": str(old), "new_key": str(new)}}


def compromise(seq: int, key: object, trusted_size: int) -> dict[str, Any]:
    """Write what matters of a compromise."""
    body = {"key": str(key), "trusted_size": trusted_size, "reason": "stolen"}
    return {"seq": seq, "kind": "log.key.compromise", "body": body}


@pytest.mark.parametrize(
    ("records", "keys"),
    [
        ([GENESIS], [(A, 0, None)]),
        ([GENESIS, rotate(7, A, B)], [(A, 0, 7), (B, 8, None)]),
        ([GENESIS, rotate(7, A, B), rotate(9, B, C)], [(A, 0, 7), (B, 8, 9), (C, 10, None)]),
        ([GENESIS, rotate(7, A, B), rotate(9, B, A)], [(A, 0, None), (B, 8, 9)]),
        ([GENESIS, rotate(7, A, B), compromise(8, A, 5)], [(A, 0, 5), (B, 8, None)]),
        ([GENESIS, rotate(7, A, B), compromise(8, A, 50)], [(A, 0, 7), (B, 8, None)]),
        ([GENESIS, compromise(7, A, 5), rotate(9, A, B)], [(A, 0, 5), (B, 10, None)]),
        ([GENESIS, rotate(7, A, B), rotate(9, B, C), compromise(12, B, 3)], [(A, 0, 7), (C, 10, None)]),
        ([GENESIS, rotate(7, A, B), compromise(8, A, 5), rotate(9, B, A)], [(A, 0, 5), (B, 8, 9)]),
        ([GENESIS, compromise(5, A, 3), compromise(6, A, 6)], [(A, 0, 3)]),
        ([GENESIS, compromise(7, C, 5)], [(A, 0, None)]),
        ([rotate(700, B, C)], [(B, 0, 700), (C, 701, None)]),
        ([], []),
    ],
)
def test_keys_count_for_the_sizes_that_the_records_say(
    records: list[dict[str, Any]], keys: list[tuple[Any, int, int | None]]
) -> None:
    """Genesis, rotation, compromise, in each order; also where the first records were pruned."""
    policy = policy_of(records)

    assert policy == LogPolicy(
        logs=tuple(LogKey(key=key, first_size=first, last_size=last) for key, first, last in keys)
    )
    assert parse_log_policy(format_log_policy(policy)) == policy


def test_a_policy_holds_the_newest_keys() -> None:
    """A log that changed its key more often than a policy file has lines keeps the newest."""
    keys = [make_signer(ORIGIN, number.to_bytes(32, "big")).verifier_key for number in range(1, LINES_MAX + 3)]
    records = [{"seq": 0, "kind": "log.genesis", "body": {"key": str(keys[0])}}]
    records += [rotate(seq, keys[seq - 1], keys[seq]) for seq in range(1, len(keys))]

    assert [log.key for log in policy_of(records).logs] == keys[-LINES_MAX:]


def test_what_is_no_key_is_refused() -> None:
    """A record that names no key has no policy."""
    with pytest.raises(KeyInvalidError):
        policy_of([{"seq": 0, "kind": "log.genesis", "body": {"key": "gate.example+00000000+AAAA"}}])
