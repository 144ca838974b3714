"""What a verifier holds against a log from outside: commitments to a size and a root. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

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


AnchorCheck: TypeAlias = Callable[[str, bytes, bytes], Attestation]
"""Checks an anchor: its type, the bytes of the checkpoint, the evidence."""


def check_no_anchor(anchor_type: str, checkpoint: bytes, evidence: bytes) -> Attestation:
    """Leave an anchor unchecked: no roots of trust are at hand."""
    del checkpoint, evidence
    return Attestation(status="unchecked", detail=f"no roots of trust for {anchor_type[:16]}")


class RecentRoots:
    """The true roots at the newest sizes where the log has a checkpoint."""

    def __init__(self) -> None:
        # Two halves, the older one dropped whole: to delete one by one from a dict's front is slow.
        self._newer: dict[int, bytes] = {}
        self._older: dict[int, bytes] = {}

    def add(self, size: int, root: bytes) -> None:
        """Remember a root."""
        if len(self._newer) >= ROOTS_REMEMBERED_MAX:
            self._older, self._newer = self._newer, {}
        self._newer[size] = root

    def at(self, size: int) -> bytes | None:
        """Return the root over the first `size` records, if it is remembered."""
        return self._newer.get(size) or self._older.get(size)
