"""The second verifier's sections 5 and 6: an export, and the verdict about it."""

import contextlib
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from interop.verifier_from_spec import (
    Checkpoint,
    Key,
    RefusedError,
    leaf_hash,
    open_checkpoint,
    parse_record,
    roots,
)

UNVERIFIABLE = {"key_unknown", "no_checkpoint", "unsigned_tail", "checkpoint_malformed", "checkpoint_order"}


class _StopReading(Exception):  # noqa: N818 - no error, the end of the walk
    """A check failed after which the rest of the chain says nothing."""


class ExportVerdict:
    """What the checks of section 6 found in one export."""

    def __init__(self, folder: Path, keys: Sequence[Key], held: Iterable[bytes] = ()) -> None:
        """Run every check; nothing is raised for what a file says."""
        self.problems: dict[str, int | None] = {}
        self._folder = folder
        self._keys = keys
        self._good = 0  # the size of the newest checkpoint whose root was right
        self._found = False  # whether there was one
        self._own = list(self._opened(self._notes()))
        if any(later.size < earlier.size for earlier, later in zip(self._own, self._own[1:], strict=False)):
            self._say("checkpoint_order", None)
        newest = (folder / "checkpoint").read_bytes()
        self._signed = self._own + list(self._opened([newest, *held]))
        with contextlib.suppress(_StopReading):
            self._walk()

    def as_json(self) -> dict[str, Any]:
        """The verdict, the first record in doubt, and every code."""
        tampered = self.problems.keys() - UNVERIFIABLE
        doubted = [self.problems[code] for code in tampered or self.problems]
        return {
            "verdict": "tampered" if tampered else "unverifiable" if self.problems else "valid",
            "first_bad_seq": min((seq for seq in doubted if seq is not None), default=None),
            "codes": sorted(self.problems),
        }

    def _walk(self) -> None:
        data = (self._folder / "records.jsonl").read_bytes()
        lines = data.removesuffix(b"\n").split(b"\n") if data else []
        root_after = roots([leaf_hash(line) for line in lines])
        log, prev, ts = "", "sha256:" + "0" * 64, ""
        for seq, line in enumerate(lines):
            try:
                record = parse_record(line)
            except RefusedError:
                self._fail("record_malformed", seq)
            log = log or record["log"]
            if record["log"] != log:
                self._fail("log_mismatch", seq)
            if record["seq"] != seq:
                self._fail("seq_mismatch", seq)
            if record["prev"] != prev:
                self._fail("prev_mismatch", seq if self._good == seq else seq - 1)
            if record["ts"] < ts:
                self._say("ts_backwards", seq)
            self._check_attachments(record, seq)
            prev, ts = f"sha256:{leaf_hash(line).hex()}", record["ts"]
            self._check_root(next(root_after), seq + 1, log)
        ends = [checkpoint.size for checkpoint in self._signed]
        if max(ends, default=0) > len(lines):
            self._say("truncated", len(lines))
        if not self._found:
            self._say("no_checkpoint", None)
        elif self._good < len(lines):
            self._say("unsigned_tail", self._good)

    def _check_root(self, root: bytes, size: int, log: str) -> None:
        for checkpoint in self._signed:
            if checkpoint.size == size:
                if checkpoint.origin != log:
                    self._fail("log_mismatch", self._good)
                if checkpoint.root != root:
                    self._fail("root_mismatch", self._good)
                self._found = True
        if any(checkpoint.size == size for checkpoint in self._signed):
            self._good = size

    def _check_attachments(self, record: dict[str, Any], seq: int) -> None:
        for name in record.get("attachments", []):
            path = self._folder / "attachments" / name.removeprefix("sha256:")
            if not path.exists():
                self._say("attachment_missing", seq)
            elif f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" != name:
                self._say("attachment_mismatch", seq)

    def _notes(self) -> list[bytes]:
        # A note ends with its last signature line; the empty line before its signatures is its own.
        data = (self._folder / "checkpoints.txt").read_bytes()
        return [part.removeprefix(b"\n") for part in re.findall(rb"\n?.*?\n\n.*?\n(?=\n|\Z)", data, re.DOTALL)]

    def _opened(self, notes: Iterable[bytes]) -> Iterator[Checkpoint]:
        for note in notes:
            try:
                yield open_checkpoint(note, self._keys)
            except RefusedError as exc:
                self._say(str(exc), None)

    def _say(self, code: str, seq: int | None) -> None:
        self.problems.setdefault(code, seq)

    def _fail(self, code: str, seq: int | None) -> None:
        self._say(code, seq)
        raise _StopReading
