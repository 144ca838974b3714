"""What a verifier holds against a log from outside: commitments to a size and a root. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from lockgate.clock import EpochNs, parse_timestamp

ROOTS_REMEMBERED_MAX: Final = 65_536  # of 32 bytes; an anchor is recorded soon after the checkpoint that it attests


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """A rightly signed checkpoint that did not come with the records."""

    origin: str
    size: int
    root: bytes  # 32 bytes
    note: bytes
    is_outside: bool  # whether somebody else than the log vouches for it: who kept it, or a quorum of witnesses


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """What became of an anchor's evidence.

    `refused` accuses nobody: the evidence may be that of somebody whose roots of trust are not at hand.
    """

    status: Literal["attested", "refused", "unchecked"]
    detail: str  # when it was attested, or why it was not
    time: EpochNs | None = None  # by the outsider's clock, where attested: the checkpoint existed then


AnchorCheck: TypeAlias = Callable[[str, bytes, bytes], Attestation]
"""Checks an anchor: its type, the bytes of the checkpoint, the evidence."""


def check_no_anchor(anchor_type: str, checkpoint: bytes, evidence: bytes) -> Attestation:
    """Leave an anchor unchecked: no roots of trust are at hand."""
    del checkpoint, evidence
    return Attestation(status="unchecked", detail=f"no roots of trust for {anchor_type[:16]}")


class RecentRoots:
    """The true roots at the newest sizes where the log has a checkpoint, each with the time of its last record."""

    def __init__(self) -> None:
        # Two halves, the older one dropped whole: to delete one by one from a dict's front is slow.
        self._newer: dict[int, tuple[bytes, str]] = {}
        self._older: dict[int, tuple[bytes, str]] = {}

    def add(self, size: int, root: bytes, ts: str) -> None:
        """Remember a root.

        Args:
            size: Over how many records.
            root: 32 bytes.
            ts: Of the last of them; empty if that one is not at hand.
        """
        if len(self._newer) >= ROOTS_REMEMBERED_MAX:
            self._older, self._newer = self._newer, {}
        self._newer[size] = (root, ts)

    def at(self, size: int) -> bytes | None:
        """Return the root over the first `size` records, if it is remembered."""
        found = self._newer.get(size) or self._older.get(size)
        return None if found is None else found[0]

    def first_after(self, time: EpochNs, size: int) -> tuple[int, str] | None:
        """Return the position and `ts` of the first record up to `size` that is known to be dated after a time.

        Known are those that end a remembered checkpoint: every record, where each has its own.
        """
        _, last = self._newer.get(size) or self._older.get(size) or (b"", "")
        if not last or parse_timestamp(last) <= time:
            return None  # as nearly always: within a log times only grow
        for each, (_, ts) in sorted({**self._older, **self._newer}.items()):
            if ts and parse_timestamp(ts) > time:
                return each - 1, ts
        return None
