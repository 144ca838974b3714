"""One log, read from its first record to its last: what must hold between stretches, and where one does not hold. Pure.

A stretch of which there are facts is compared with what lies before it in a few steps. A stretch without, or with facts
that do not fit, is walked through record by record: that finds the first wrong record and says what is wrong with it.
Both ways do the same to what is known of the log, so it makes no difference to the verdict who went which way.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final

from lockgate.audit.errors import RecordInvalidError
from lockgate.audit.formats.kind_names import ANCHOR, ERASE, HEARTBEAT, KEY_COMPROMISE, KEY_ROTATE, PRUNE
from lockgate.audit.formats.merkle import GrowingTree, leaf_hash
from lockgate.audit.formats.records import GENESIS_PREV, Columns, attachments_of, columns_of, parse_record
from lockgate.audit.verification.anchors import AnchorCheck, Commitment, RecentRoots
from lockgate.audit.verification.bodies import BodyCheck
from lockgate.audit.verification.findings import Findings
from lockgate.audit.verification.log_events import (
    read_anchor,
    read_compromise,
    read_erased,
    read_interval_s,
    read_origins,
    read_prune,
)
from lockgate.audit.verification.own_checkpoints import OwnCheckpoints
from lockgate.audit.verification.pruned import Pruned
from lockgate.audit.verification.stretches import EVENT_KINDS, Attachments, StretchFacts, silence_between
from lockgate.clock import NS_PER_S, EpochNs, format_timestamp, parse_timestamp
from lockgate.digests import sha256_hex

LOGS_NAMED_MAX: Final = 1_000  # of one gate, which has 64 at once
SILENCES_NAMED_MAX: Final = 8  # enough to see a pattern; the rest are counted
# Of one record: the time before it, its documents, what it says, and then the root over it.
_DUE_SILENCE: Final = 0
_DUE_MISSING: Final = 1
_DUE_EVENT: Final = 2
_DUE_ROOT: Final = 3


class Examination:
    """What is known of the log so far."""

    def __init__(  # noqa: PLR0913 - each is one thing that a log is held against
        self,
        *,
        own: OwnCheckpoints,
        findings: Findings,
        attachments: Attachments | None,
        check_anchor: AnchorCheck,
        check_body: BodyCheck | None,
        pruned: Pruned | None,
        clock_error_s_max: int,
    ) -> None:
        self._own = own
        self._findings = findings
        self._attachments = attachments
        self._check_anchor = check_anchor
        self._check_body = check_body
        self._pruned = pruned
        self._clock_error_ns_max = clock_error_s_max * NS_PER_S
        self._pruned_root = b"" if pruned is None else GrowingTree(pruned.before, pruned.edge).root()
        self._tree = GrowingTree() if pruned is None else GrowingTree(pruned.before, pruned.edge)
        self._prev = f"sha256:{(GENESIS_PREV if pruned is None else pruned.leaf).hex()}"
        self._watched: dict[int, list[Commitment]] = {}
        self._roots = RecentRoots()
        self._missing: dict[str, int] = {}  # documents not there and not yet said to be erased -> who names them first
        self.log = ""
        self.ts = ""  # of the newest record
        self.is_broken = False  # what lies behind the last record read means nothing
        self.is_prune_recorded = False
        self.outside_size: int | None = None
        self.erased_count = 0
        self.interval_s: int | None = None  # that the newest heartbeat promises
        self.other_logs: dict[str, bool] = {}  # that heartbeats name -> whether the newest does
        self.silences: list[str] = []  # the first that were longer than promised
        self.silence_count = 0
        self._compromised: dict[str, int] = {}  # a key's text form -> the last size for which it counts
        self.unchecked_anchors: dict[str, int] = {}  # why -> how many
        self.unchecked_bodies: dict[str, int] = {}  # the same

    @property
    def size(self) -> int:
        """The position behind the last record read."""
        return self._tree.size

    def watch(self, commitments: Iterable[Commitment]) -> None:
        """Have checkpoints from elsewhere compared when their sizes are reached."""
        for commitment in commitments:
            self._watched.setdefault(commitment.size, []).append(commitment)

    def sizes(self, due: Mapping[int, object], begin: int, end: int) -> list[int]:
        """Return the sizes above `begin`, up to `end`, where a root is to be compared."""
        return sorted({size for size in (*due, *self._watched) if begin < size <= end})

    def begin(self) -> None:
        """Compare a checkpoint from elsewhere that covers just the pruned records."""
        if self._pruned is not None and self.size in self._watched:
            self._compare_root({}, self.size, self._pruned_root, "")

    def take(
        self,
        facts: StretchFacts | None,
        entries: Iterable[tuple[bytes, Columns | None]],
        due: Mapping[int, list[bytes]],
        sizes: Iterable[int],
    ) -> None:
        """Take in the next stretch.

        Args:
            facts: Of its records, with tails for `sizes`; None if something is wrong with it.
            entries: The records themselves; read only when they must be walked through.
            due: The log's own checkpoints of these sizes.
            sizes: Where a root is to be compared, growing.
        """
        if facts is not None and self._is_next(facts):
            self._fold(facts, due, sizes)
        else:
            self._walk(entries, due)

    def beyond(self) -> list[int]:
        """Return the sizes of checkpoints from elsewhere that the records do not reach."""
        return [size for size in self._watched if size > self.size]

    def trusted_size(self, key: str) -> int:
        """Return the last size for which a key counts by what the log itself says."""
        return self._compromised.get(key, self.size)

    def behind(self) -> int | None:
        """Return the largest size of a checkpoint from elsewhere that ends before the first record at hand."""
        return max((size for size in self._watched if size <= self.size), default=None)

    def missing(self) -> tuple[int, str] | None:
        """Return who first names a document that is gone without a word, and its SHA-256."""
        return min(((seq, name) for name, seq in self._missing.items()), default=None)

    def _is_next(self, facts: StretchFacts) -> bool:
        return (
            facts.begin == self.size
            and self.log in ("", facts.log)
            and facts.first_prev == self._prev
            and facts.first_ts >= self.ts
        )

    def _fold(self, facts: StretchFacts, due: Mapping[int, list[bytes]], sizes: Iterable[int]) -> None:
        if self.ts:
            self._mind(facts.begin, silence_between(self.ts, facts.first_ts))
        self.log = facts.log
        roots = [
            (size - 1, _DUE_ROOT, (tail, ts)) for size, tail, ts in zip(sizes, facts.tails, facts.times, strict=True)
        ]
        if facts.events or facts.missing or facts.silences:
            self._fold_in_order(facts, due, roots)
        else:
            for seq, _, (tail, ts) in roots:
                self._compare_root(due, seq + 1, self._tree.root(tail), ts)
        for level, digest in facts.subtrees:
            self._tree.append(digest, level)
        self._prev, self.ts = f"sha256:{facts.last_leaf.hex()}", facts.last_ts

    def _fold_in_order(
        self, facts: StretchFacts, due: Mapping[int, list[bytes]], roots: list[tuple[int, int, tuple[bytes, str]]]
    ) -> None:
        happenings: list[tuple[int, int, Any]] = [
            *((seq, _DUE_SILENCE, silence) for seq, silence in facts.silences),
            *((seq, _DUE_MISSING, name) for seq, name in facts.missing),
            *((seq, _DUE_EVENT, record) for seq, record in facts.events),
            *roots,
        ]
        for seq, what, value in sorted(happenings, key=lambda happening: happening[:2]):
            if what == _DUE_ROOT:
                tail, ts = value
                self._compare_root(due, seq + 1, self._tree.root(tail), ts)
            elif what == _DUE_EVENT:
                self._heed(seq, value)
            elif what == _DUE_SILENCE:
                self._mind(seq, value)
            else:
                self._missing.setdefault(value, seq)

    def _walk(self, entries: Iterable[tuple[bytes, Columns | None]], due: Mapping[int, list[bytes]]) -> None:
        for body, columns in entries:
            if not self._check_record(body, columns):
                self.is_broken = True
                return
            if self.size in due or self.size in self._watched:
                self._compare_root(due, self.size, self._tree.root(), self.ts)

    def _check_record(self, body: bytes, columns: Columns | None) -> bool:
        seq = self.size
        # (1) A record of this log at this position.
        try:
            record = parse_record(body)
        except RecordInvalidError as exc:
            return self._accuse("record_malformed", seq, str(exc))
        self.log = self.log or record["log"]
        if record["log"] != self.log:
            return self._accuse("log_mismatch", seq, "the record names another log")
        if record["seq"] != seq:
            return self._accuse("seq_mismatch", seq, f"want record {seq} here, got {record['seq']}")
        # (2) It follows the record before.
        if record["prev"] != self._prev:
            before_is_good = self._own.first_doubted() == seq
            return self._accuse(
                "prev_mismatch",
                seq if before_is_good else seq - 1,
                f"record {seq} follows other bytes than record {seq - 1}",
            )
        if record["ts"] < self.ts:  # one fixed form: the order of the text is the order of time
            self._findings.report("ts_backwards", seq, "the record's time is before the time of the record before")
        if self.ts:
            self._mind(seq, silence_between(self.ts, record["ts"]))
        # (3) The database's copies.
        leaf = leaf_hash(body)
        if columns is not None and columns != columns_of(record, leaf):
            self._findings.report("column_mismatch", seq, "a column beside the record is not what its bytes say")
        # (4) Its documents, and what it says.
        self._check_attachments(record, seq)
        self._hold_to_schema(record, seq)
        if record["kind"] in EVENT_KINDS:
            self._heed(seq, record)
        self._prev, self.ts = f"sha256:{leaf.hex()}", record["ts"]
        self._tree.append(leaf)
        return True

    def _check_attachments(self, record: Mapping[str, Any], seq: int) -> None:
        if self._attachments is None:
            return
        for name in attachments_of(record):
            document = self._attachments(name)
            if document is None:
                self._missing.setdefault(name, seq)
            elif sha256_hex(document) != name:
                self._findings.report("attachment_mismatch", seq, f"the document {name} has other bytes")

    def _hold_to_schema(self, record: Mapping[str, Any], seq: int) -> None:
        if self._check_body is None:
            return
        verdict = self._check_body(record, self._attachments or (lambda _: None))
        if verdict.status == "invalid":
            self._findings.report("body_invalid", seq, f"the body of record {seq} breaks its schema {verdict.detail}")
        elif verdict.status == "unchecked":
            self.unchecked_bodies[verdict.detail] = self.unchecked_bodies.get(verdict.detail, 0) + 1

    def _compare_root(self, due: Mapping[int, list[bytes]], size: int, root: bytes, ts: str) -> None:
        # (5) The root is the signed one.
        self._roots.add(size, root, ts)
        watched = self._watched.pop(size, ())
        doubted = self._own.first_doubted() if watched else 0  # before any of this size is accepted
        for commitment in watched:
            if self.log not in ("", commitment.origin):
                detail = "the records name another log than the signed checkpoint"
                self._findings.report("log_mismatch", doubted, detail)
            elif commitment.root != root:
                detail = f"the root over {size} records is not the signed one"
                self._findings.report("root_mismatch", doubted, detail)
            else:
                self._own.accept(commitment.note, size, root)
                if commitment.is_outside:
                    self._reach(size)
        for note in due.get(size, ()):
            self._own.compare(note, self.log, size, root)

    def _mind(self, seq: int, silence: timedelta | None) -> None:
        if silence is None or self.interval_s is None or silence.total_seconds() <= self.interval_s:
            return
        self.silence_count += 1
        if len(self.silences) < SILENCES_NAMED_MAX:
            seconds = int(silence.total_seconds())
            self.silences.append(f"{seconds} s before record {seq}, where at most {self.interval_s} s were promised")

    def _heed(self, seq: int, record: Mapping[str, Any]) -> None:
        kind = record["kind"]
        try:
            if kind == ERASE:
                for name in read_erased(record):
                    self.erased_count += self._missing.pop(name, None) is not None
            elif kind == ANCHOR:
                self._heed_anchor(seq, record)
            elif kind == PRUNE:
                self._heed_prune(seq, record)
            elif kind == KEY_COMPROMISE:
                said = read_compromise(record)
                self._compromised[said.key] = min(said.trusted_size, self._compromised.get(said.key, said.trusted_size))
            elif kind == KEY_ROTATE:
                self._findings.note("key_rotated", f"record {seq} says that another key signs from there on")
            elif kind == HEARTBEAT:
                self.interval_s = read_interval_s(record)
                self._note_logs(read_origins(record))
        except RecordInvalidError as exc:
            self._findings.report("record_malformed", seq, f"the body of {kind}: {exc}")

    def _note_logs(self, origins: tuple[str, ...]) -> None:
        if self.other_logs or origins:  # of most logs neither
            self.other_logs = dict.fromkeys(self.other_logs, False) | dict.fromkeys(origins[:LOGS_NAMED_MAX], True)
            for name in list(self.other_logs)[LOGS_NAMED_MAX:]:
                del self.other_logs[name]

    def _heed_prune(self, seq: int, record: Mapping[str, Any]) -> None:
        said, pruned = read_prune(record), self._pruned
        if pruned is None or said.before != pruned.before:
            return  # of an earlier pruning, or of a copy that still has the records
        self.is_prune_recorded = True
        if (said.root, said.leaf) != (self._pruned_root, pruned.leaf):
            self._accuse("prune_mismatch", pruned.before, f"record {seq} names other hashes for the pruned records")

    def _heed_anchor(self, seq: int, record: Mapping[str, Any]) -> None:
        anchor = read_anchor(record)
        note, evidence = (
            None if self._attachments is None else self._attachments(name)
            for name in (anchor.checkpoint_sha256, anchor.evidence_sha256)
        )
        if note is None or evidence is None:
            self._leave_unchecked("its documents are not at hand")
            return
        checkpoint = self._own.open(note)
        if checkpoint is None:
            self._leave_unchecked("its checkpoint is not signed by a known key")
            return
        if (checkpoint.origin, checkpoint.size, checkpoint.root) != (self.log, anchor.size, anchor.root):
            self._accuse("anchor_mismatch", seq, "the record names another checkpoint than the one that was attested")
            return
        root = self._roots.at(anchor.size)
        if root is None:
            self._leave_unchecked("its checkpoint is not one of those shortly before it")
        elif root != anchor.root:
            self._accuse("root_mismatch", self._own.first_doubted(), f"the root over {anchor.size} records is not so")
        else:
            attestation = self._check_anchor(anchor.type, note, evidence)
            if attestation.status == "attested":
                self._findings.note("anchored", f"{anchor.size} records: {attestation.detail}")
                self._reach(anchor.size)
                if attestation.time is not None:
                    self._compare_times(seq, record["ts"], anchor.size, attestation.time)
            else:
                self._leave_unchecked(attestation.detail)

    def _compare_times(self, seq: int, ts: str, size: int, time: EpochNs) -> None:
        """Hold what the log says of time against what an outsider's clock says of a checkpoint.

        The records under the checkpoint are no younger than it. The record of the anchor, and so all that follow, are
        no older: it holds what the outsider made then. Which of the two clocks is wrong cannot be told, so nobody is
        accused.
        """
        late = self._roots.first_after(EpochNs(time + self._clock_error_ns_max), size)
        said = f"a checkpoint over {size} records existed at {format_timestamp(time)} by the anchor in record {seq}"
        if late is not None:
            self._findings.report("time_contradicted", late[0], f"{said}, and record {late[0]} is dated {late[1]}")
        elif parse_timestamp(ts) < time - self._clock_error_ns_max:
            self._findings.report("time_contradicted", seq, f"{said}, which is dated {ts}")

    def _leave_unchecked(self, why: str) -> None:
        self.unchecked_anchors[why] = self.unchecked_anchors.get(why, 0) + 1

    def _reach(self, size: int) -> None:
        self.outside_size = max(size, self.outside_size or 0)

    def _accuse(self, code: str, seq: int, detail: str) -> bool:
        self._findings.report(code, seq, detail)
        return False
