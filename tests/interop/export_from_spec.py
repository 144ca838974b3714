"""The second verifier's sections 5 and 6: an export, and the verdicts about it."""

# ruff: noqa: TID251 - no Lockgate here, so its JSON reader neither
import contextlib
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from interop.verifier_from_spec import (
    SHA256,
    Checkpoint,
    RefusedError,
    fold,
    leaf_hash,
    open_checkpoint,
    parse_record,
    read_checkpoint,
    read_note,
    roots,
    want,
)
from interop.witness_from_spec import Policy, open_under_policy

UNVERIFIABLE = {
    "key_unknown",
    "no_checkpoint",
    "unsigned_tail",
    "checkpoint_malformed",
    "checkpoint_order",
    "key_compromised",
    "unreadable",
}


class _StopReading(Exception):  # noqa: N818 - no error, the end of the walk
    """A check failed after which the rest of the chain says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Signed:
    """A checkpoint that is rightly signed, and whether somebody outside the log vouches for it."""

    checkpoint: Checkpoint
    note: bytes
    is_outside: bool = False


def _refuse() -> NoReturn:
    raise RefusedError


def _integers(*values: object) -> list[int]:
    return [value if type(value) is int and value >= 0 else _refuse() for value in values]


def _digests(values: object) -> list[str]:
    if not isinstance(values, list):
        _refuse()
    return [value if isinstance(value, str) and SHA256.fullmatch(value) else _refuse() for value in values]


class ExportVerdict:
    """What the checks of section 6 found in one export."""

    def __init__(self, folder: Path, policy: Policy, held: Iterable[bytes] = ()) -> None:
        """Run every check; nothing is raised for what a file says."""
        self.problems: dict[str, int | None] = {}
        self._folder = folder
        self._policy = policy
        self._first = 0
        self._edge: list[bytes] = []
        self._prev = self._pruned_leaf = "sha256:" + "0" * 64
        readable = self._read_pruned()
        self._good = self._first  # the size of the newest checkpoint whose root was right
        self._newest: _Signed | None = None
        self._outside = 0  # the largest size that somebody outside vouches for, and that is right
        self._missing: dict[str, int] = {}  # documents not there -> who names them first, since they were last erased
        self._trusted: dict[str, int] = {}  # a compromised key's text form -> its last size
        self._roots: dict[int, bytes] = {}  # the true root at each size so far
        self._recorded = self._first == 0  # whether the log says that it was pruned
        self._broken = False
        self._signed = self._read_signed(held) if readable else []
        with contextlib.suppress(_StopReading):
            if readable:
                self._walk()
        if not readable or (not self.problems and not self._is_whole()):
            self._say("unreadable", None)

    def as_json(self) -> dict[str, Any]:
        """The verdicts, the first record in doubt, and every code."""
        tampered = self.problems.keys() - UNVERIFIABLE
        doubted = [self.problems[code] for code in tampered or self.problems]
        integrity = self.problems.keys() - {"truncated"}
        completeness = "valid" if self._outside and not self._broken else "unverifiable"
        return {
            "verdict": "tampered" if tampered else "unverifiable" if self.problems else "valid",
            "integrity": "tampered" if integrity & tampered else "unverifiable" if integrity else "valid",
            "completeness": "tampered" if "truncated" in self.problems else completeness,
            "first_bad_seq": min((seq for seq in doubted if seq is not None), default=None),
            "verified_from_seq": self._first,
            "codes": set(self.problems),
        }

    def _read_pruned(self) -> bool:
        path = self._folder / "pruned.json"
        if not path.exists():
            return True
        facts = json.loads(path.read_bytes())
        try:
            want(facts.keys() == {"schema_version", "before", "leaf", "edge"} and facts["schema_version"] == 1)
            (before,) = _integers(facts["before"])
            leaf, *edge = _digests([facts["leaf"], *facts["edge"]])
            want(before > 0 and before % 256 == 0 and len(edge) == before.bit_count())
        except RefusedError:
            return False
        self._first, self._prev, self._pruned_leaf = before, leaf, leaf
        self._edge = [bytes.fromhex(digest.removeprefix("sha256:")) for digest in edge]
        return True

    def _read_signed(self, held: Iterable[bytes]) -> list[_Signed]:
        own = self._opened(note for note in self._notes() if not self._is_pruned(note))
        sizes = [signed.checkpoint.size for signed in own]
        if sizes != sorted(sizes) or 0 in sizes:
            self._say("checkpoint_order", None)
        cosigned = self._folder / "cosigned"
        others = [(self._folder / "checkpoint").read_bytes(), *([cosigned.read_bytes()] if cosigned.exists() else [])]
        return own + self._opened(others) + self._opened(held, held=True)

    def _walk(self) -> None:
        data = (self._folder / "records.jsonl").read_bytes()
        lines = data.removesuffix(b"\n").split(b"\n") if data else []
        if self._first:
            self._check_root(fold(self._edge), self._first, "")
        root_after = roots([leaf_hash(line) for line in lines], self._first, self._edge)
        log, ts = "", ""
        for seq, line in enumerate(lines, self._first):
            try:
                record = parse_record(line)
            except RefusedError:
                self._fail("record_malformed", seq)
            log = log or record["log"]
            if record["log"] != log:
                self._fail("log_mismatch", seq)
            if record["seq"] != seq:
                self._fail("seq_mismatch", seq)
            if record["prev"] != self._prev:
                self._fail("prev_mismatch", seq if self._good == seq else seq - 1)
            if record["ts"] < ts:
                self._say("ts_backwards", seq)
            self._check_attachments(record, seq)
            self._heed(record, seq, log)
            self._prev, ts = f"sha256:{leaf_hash(line).hex()}", record["ts"]
            self._check_root(next(root_after), seq + 1, log)
        self._check_end(self._first + len(lines))

    def _check_end(self, size: int) -> None:
        if any(signed.checkpoint.size > size for signed in self._signed):
            self._say("truncated", size)
        if self._missing:
            self._say("attachment_missing", min(self._missing.values()))
        if not self._recorded:
            self._say("prune_mismatch", self._first)
        if self._newest is not None:
            self._check_compromise(self._newest)
        if self.problems.keys() & {"root_mismatch", "log_mismatch", "signature_invalid"}:
            return  # that the end is under no good checkpoint follows from these
        if self._newest is None:
            self._say("no_checkpoint", None)
        elif self._good < size:
            self._say("unsigned_tail", self._good)

    def _check_compromise(self, newest: _Signed) -> None:
        named = {(name, key_id) for name, key_id, _ in read_note(newest.note)[1]}
        signers = [key for key in self._policy.keys_for(newest.checkpoint) if (key.name, key.key_id) in named]
        sizes = [self._trusted.get(str(key), newest.checkpoint.size) for key in signers]
        if max(sizes) < newest.checkpoint.size:
            self._say("key_compromised", max(sizes))

    def _check_root(self, root: bytes, size: int, log: str) -> None:
        self._roots[size] = root
        here = [signed for signed in self._signed if signed.checkpoint.size == size]
        right = [signed for signed in here if signed.checkpoint.root == root and log in ("", signed.checkpoint.origin)]
        for signed in here:
            if log not in ("", signed.checkpoint.origin):
                self._say("log_mismatch", self._good)
            elif signed.checkpoint.root != root:
                self._say("root_mismatch", self._good)
        for signed in right:
            self._good, self._newest = size, signed
            if signed.is_outside:
                self._outside = size

    def _check_attachments(self, record: dict[str, Any], seq: int) -> None:
        for name in record.get("attachments", []):
            document = self._document(name)
            if document is None:
                self._missing.setdefault(name, seq)
            elif f"sha256:{hashlib.sha256(document).hexdigest()}" != name:
                self._say("attachment_mismatch", seq)

    def _heed(self, record: dict[str, Any], seq: int, log: str) -> None:
        body = record["body"]
        try:
            match record["kind"]:
                case "log.erase":
                    for name in _digests(body["attachments"]):
                        self._missing.pop(name, None)
                case "log.key.compromise":
                    (size,) = _integers(body["trusted_size"])
                    key = str(body["key"]) if isinstance(body["key"], str) else _refuse()
                    self._trusted[key] = min(size, self._trusted.get(key, size))
                case "log.prune":
                    _integers(body["before"])
                    self._check_prune(body["before"], _digests([body["leaf"], body["root"]]))
                case "log.heartbeat":
                    _integers(body["interval_s"])
                    want(isinstance(others := body.get("origins", []), list))
                    want(all(isinstance(other, str) for other in others))
                case "log.anchor":
                    _integers(body["size"])
                    documents = _digests([body["checkpoint"], body["evidence"], body["root"]])[:2]
                    want(isinstance(body["type"], str) and {*documents} <= {*record.get("attachments", [])})
                    self._check_anchor(body, seq, log)
                case _:
                    pass  # a verifier need not know every kind
        except (KeyError, RefusedError):
            self._say("record_malformed", seq)

    def _check_prune(self, before: int, said: list[str]) -> None:
        if before == self._first:
            self._recorded = True
            if said != [self._pruned_leaf, f"sha256:{fold(self._edge).hex()}"]:
                self._say("prune_mismatch", self._first)

    def _check_anchor(self, body: dict[str, Any], seq: int, log: str) -> None:
        note = self._document(body["checkpoint"])
        if note is None or self._document(body["evidence"]) is None:
            return
        for signed in self._opened([note]):
            said = (signed.checkpoint.origin, signed.checkpoint.size, f"sha256:{signed.checkpoint.root.hex()}")
            if said != (log, body["size"], body["root"]):
                self._say("anchor_mismatch", seq)
            elif self._roots.get(body["size"], signed.checkpoint.root) != signed.checkpoint.root:
                self._say("root_mismatch", self._good)

    def _is_pruned(self, note: bytes) -> bool:
        # A checkpoint over pruned records alone can be compared with nothing.
        size = re.match(rb"[^\n]*\n([0-9]{1,16})\n", note)
        return self._first > 0 and size is not None and int(size[1]) <= self._first

    def _is_whole(self) -> bool:
        newest = (self._folder / "checkpoint").read_bytes()
        return self._notes()[-1:] == [newest] and (self._folder / "records.jsonl").read_bytes().endswith(b"\n")

    def _document(self, name: str) -> bytes | None:
        path = self._folder / "attachments" / name.removeprefix("sha256:")
        return path.read_bytes() if path.exists() else None

    def _notes(self) -> list[bytes]:
        # The first empty line of a note is its own; the next one ends it.
        notes = [b""]
        for line in re.findall(rb"[^\n]*\n|[^\n]+", (self._folder / "checkpoints.txt").read_bytes()):
            if line == b"\n" and b"\n\n" in notes[-1]:
                notes.append(b"")
            else:
                notes[-1] += line
        return [note for note in notes if note]

    def _opened(self, notes: Iterable[bytes], *, held: bool = False) -> list[_Signed]:
        opened = []
        for note in notes:
            try:
                checkpoint = open_checkpoint(note, self._policy.keys_for(read_checkpoint(note)))
                quorum_met = open_under_policy(note, self._policy)["quorum_met"]
                opened.append(_Signed(checkpoint=checkpoint, note=note, is_outside=held or quorum_met))
            except RefusedError as exc:
                self._say(str(exc), None)
        return opened

    def _say(self, code: str, seq: int | None) -> None:
        self.problems.setdefault(code, seq)

    def _fail(self, code: str, seq: int | None) -> NoReturn:
        self._say(code, seq)
        self._broken = True
        raise _StopReading
