"""The log's own checkpoints: every root is compared, and the signatures that matter are verified. Pure.

A log that answers each request signs a checkpoint for each, and to verify a signature takes ten times as long as to
check a record. So by default these signatures are verified: the newest checkpoint's, which vouches for every record;
the last and the first where the signing key changes; and each whose text is not what the records say. Of the others, it
is checked that they have the right text and name a key that counts for their size. What is left unproved: that a
signature between them is whole. It would be the receipts' loss, not the records'; `every_signature` looks at them all.
"""

import base64
import binascii
import itertools
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from lockgate.audit.formats.checkpoints import Checkpoint, open_checkpoint, read_checkpoint
from lockgate.audit.formats.log_policy import LogKey, LogPolicy
from lockgate.audit.formats.notes import VerifierKey
from lockgate.audit.verification.findings import NOTE_CODES, Findings

BEYOND_BACKWARDS_MAX: Final = 1024  # how far back from the last to look for how far it reached: 200 KB, and 0.1 s
_KEY_ID_BYTES: Final = 4
_SIZE_DIGITS_MAX: Final = 16  # of 2^53
_SIGNATURE_BYTES: Final = _KEY_ID_BYTES + 64  # Ed25519's


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodCheckpoint:
    """A checkpoint whose root is that of the records."""

    size: int
    root: bytes
    note: bytes
    is_verified: bool  # whether its signature was looked at


class OwnCheckpoints:
    """Compares a log's checkpoints with its records, by growing size."""

    def __init__(
        self,
        notes: Iterable[bytes],
        policy: LogPolicy,
        findings: Findings,
        *,
        first_size: int,
        every_signature: bool,
    ) -> None:
        self._policy = policy
        self._findings = findings
        self._every_signature = every_signature
        self._first_size = first_size
        self._sized = self._in_order(notes)
        self._next = next(self._sized, None)
        self._signers: tuple[VerifierKey, ...] = ()  # of the checkpoint before
        self._good: GoodCheckpoint | None = None
        self._vouched: GoodCheckpoint | None = None  # the newest good one whose signature was verified
        self.is_wrong = False  # one of them contradicted the records
        self._keys: dict[str, dict[bytes, list[LogKey]]] = defaultdict(lambda: defaultdict(list))
        for log_key in policy.logs:
            self._keys[log_key.key.name][log_key.key.key_id].append(log_key)

    def take(self, end: int) -> dict[int, list[bytes]]:
        """Return the next checkpoints, up to the size `end`, by their sizes."""
        due: dict[int, list[bytes]] = {}
        while self._next is not None and self._next[0] <= end:
            due.setdefault(self._next[0], []).append(self._next[1])
            self._next = next(self._sized, None)
        return due

    def compare(self, note: bytes, log: str, size: int, root: bytes) -> None:
        """Compare one checkpoint with the root over the first `size` records.

        After one was wrong, the rest are not compared: each would be wrong in the same way.
        """
        if self.is_wrong:
            return
        text, _, lines = note.partition(b"\n\n")
        signers = self._named(lines, log, size)
        is_right = text == b"%b\n%d\n%b" % (log.encode(), size, base64.b64encode(root))
        if not is_right or not signers or self._every_signature:
            self._compare_signed(note, log, size, root)
        elif signers != self._signers:
            self.vouched()
            self._compare_signed(note, log, size, root)
            self._signers = signers
        else:
            self._good = GoodCheckpoint(size=size, root=root, note=note, is_verified=False)

    def accept(self, note: bytes, size: int, root: bytes) -> None:
        """Count a checkpoint that came from elsewhere: its signature was verified, its root is right."""
        self._good = self._vouched = GoodCheckpoint(size=size, root=root, note=note, is_verified=True)

    def vouched(self) -> GoodCheckpoint | None:
        """Return the newest checkpoint that is right and rightly signed, or None."""
        good = self._good
        if good is not None and not good.is_verified:
            self._good = self._vouched
            if self.open(good.note) is not None:
                self._good = self._vouched = replace(good, is_verified=True)
        return self._vouched

    def beyond(self, end: int) -> list[int]:
        """Return sizes that were rightly signed beyond those taken, as few as tell whether there are any, and how far.

        Looked at are all from the front up to the first that is right, and from the back up to the first that is right;
        with `every_signature` all. So one broken signature, or a thousand, does not hide that there was more.
        """
        notes = itertools.chain([] if self._next is None else [self._next[1]], (note for _, note in self._sized))
        sizes: list[int] = []
        last: deque[bytes] = deque(maxlen=BEYOND_BACKWARDS_MAX)
        for note in notes:
            if sizes and not self._every_signature:
                last.append(note)
            else:
                sizes += self._signed_beyond(end, note)
        for note in reversed(last):
            if found := self._signed_beyond(end, note):
                return sizes + found
        return sizes

    def _signed_beyond(self, end: int, note: bytes) -> list[int]:
        checkpoint = self.open(note)
        return [] if checkpoint is None or checkpoint.size <= end else [checkpoint.size]

    def open(self, note: bytes) -> Checkpoint | None:
        """Return a checkpoint if a key that counts for it signed it; otherwise report why not."""
        try:
            checkpoint = read_checkpoint(note)
            return open_checkpoint(note, self._policy.keys_for(checkpoint.origin, checkpoint.size))
        except tuple(NOTE_CODES) as exc:
            self._findings.report_note(exc, note)
        return None

    def signers(self, log: str) -> tuple[str, ...]:
        """Return the keys that signed the newest checkpoint that is right and rightly signed, in their text form."""
        vouched = self.vouched()
        if vouched is None:
            return ()
        _, _, lines = vouched.note.partition(b"\n\n")
        return tuple(str(key) for key in self._named(lines, log, vouched.size))

    def first_doubted(self) -> int:
        """Return the first record that no right checkpoint vouches for."""
        vouched = self.vouched()
        return vouched.size if vouched is not None else self._first_size

    def _compare_signed(self, note: bytes, log: str, size: int, root: bytes) -> None:
        checkpoint = self.open(note)
        if checkpoint is None:
            return
        if checkpoint.size != size:
            self._findings.report("checkpoint_order", None, "the checkpoints are not in the order of their sizes")
        elif checkpoint.origin != log:
            self.is_wrong = True
            self._findings.report(
                "log_mismatch", self.first_doubted(), "the records name another log than the signed checkpoint"
            )
        elif checkpoint.root != root:
            self.is_wrong = True
            self._findings.report(
                "root_mismatch", self.first_doubted(), f"the root over {size} records is not the signed one"
            )
        else:
            self.accept(note, size, root)

    def _named(self, lines: bytes, log: str, size: int) -> tuple[VerifierKey, ...]:
        """Return the keys that the lines name; none if one under the log's name is no Ed25519 signature."""
        prefix = f"\N{EM DASH} {log} ".encode()
        named: list[VerifierKey] = []
        for line in lines.split(b"\n"):
            if line.startswith(prefix):
                try:
                    data = base64.b64decode(line[len(prefix) :], validate=True)
                except binascii.Error:
                    return ()
                if len(data) != _SIGNATURE_BYTES:
                    return ()
                named += [each.key for each in self._keys[log].get(data[:_KEY_ID_BYTES], ()) if each.covers(size)]
        return tuple(named)

    def _in_order(self, notes: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
        # Each note with the size that it seems to have, which `compare` checks. One without a size, or smaller than the
        # one before, comes at the place where it stands.
        previous = self._first_size + 1
        for note in notes:
            _, _, rest = note.partition(b"\n")
            digits, _, _ = rest.partition(b"\n")
            size = int(digits) if digits.isdigit() and len(digits) <= _SIZE_DIGITS_MAX else previous
            if self._first_size == 0 or size > self._first_size:  # the others are of the pruned records
                previous = max(size, previous)
                yield previous, note
