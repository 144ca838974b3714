"""Which keys a log's own records name, and for which sizes. Pure.

This is what the log says of itself. It tells an auditor which keys to compare with those that he got elsewhere; it
makes no key trustworthy.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from lockgate.audit.formats.checkpoints import TREE_SIZE_MAX
from lockgate.audit.formats.kind_names import GENESIS, KEY_COMPROMISE, KEY_ROTATE
from lockgate.audit.formats.log_policy import LINES_MAX, LogKey, LogPolicy
from lockgate.audit.formats.notes import parse_verifier_key

KEY_KINDS: Final = (GENESIS, KEY_ROTATE, KEY_COMPROMISE)


def policy_of(records: Iterable[Mapping[str, Any]]) -> LogPolicy:
    """Return the policy that a log's records of `KEY_KINDS` amount to, the newest keys where there are too many.

    The steps, in the order of the records:
      (1) The key of the first record counts from the beginning.
      (2) From the checkpoint over a rotation on the new key counts; the old one counts up to the checkpoint before.
          A key that comes back counts from its first size on, since a policy file names each key once.
      (3) A compromised key counts up to the trusted size, whatever comes after, and not at all if that is before its
          first.

    Args:
        records: Parsed records, by seq. Where the first ones were pruned, the oldest rotation left names the old key.

    Raises:
        KeyInvalidError: A record names a key that cannot be one.
    """
    ranges: dict[str, tuple[int, int | None]] = {}  # first and last size; both count
    trusted: dict[str, int] = {}
    for record in records:
        body, seq = record["body"], record["seq"]
        if record["kind"] == GENESIS:  # (1)
            ranges[body["key"]] = (0, None)
        elif record["kind"] == KEY_ROTATE:  # (2)
            old, new = body["old_key"], body["new_key"]
            ranges[old] = (ranges.get(old, (0, None))[0], seq)
            ranges[new] = (ranges.get(new, (seq + 1, None))[0], None)
        else:  # (3)
            trusted[body["key"]] = min(body["trusted_size"], trusted.get(body["key"], TREE_SIZE_MAX))
    logs = []
    for text, (first, last) in ranges.items():
        ends = [size for size in (last, trusted.get(text)) if size is not None]
        if not ends or first <= min(ends):
            logs.append(LogKey(key=parse_verifier_key(text), first_size=first, last_size=min(ends, default=None)))
    return LogPolicy(logs=tuple(logs[-LINES_MAX:]))
