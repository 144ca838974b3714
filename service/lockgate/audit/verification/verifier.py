"""An auditor's check of a whole log, in one pass and flat memory. Pure: no database, no server, no clock.

What it proves, when the verdict is `valid`: the records are byte for byte those that the log's key signed, none is
missing between them, and none is missing at the end up to the newest checkpoint that was at hand. What it cannot prove:
that no newer records existed (hold a checkpoint of your own against that: `held`), that others were shown the same log,
and that what a record says is true.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from lockgate.audit.errors import NoteMalformedError, NoteUnverifiedError, RecordInvalidError, SignatureInvalidError
from lockgate.audit.formats.checkpoints import Checkpoint, open_checkpoint
from lockgate.audit.formats.merkle import GrowingTree, leaf_hash
from lockgate.audit.formats.notes import VerifierKey
from lockgate.audit.formats.records import GENESIS_PREV, Columns, attachments_of, columns_of, parse_record, prev_of
from lockgate.audit.types import Problem, Verification
from lockgate.digests import Sha256Hex, sha256_hex

PROGRESS_EVERY: Final = 1000  # records between two reports; a report then costs nothing beside the hashing

# A check of this name failed although all it needs was at hand. Every other problem means: cannot be decided.
TAMPERED_CODES: Final = frozenset(
    {
        "record_malformed",
        "log_mismatch",
        "seq_mismatch",
        "prev_mismatch",
        "ts_backwards",
        "column_mismatch",
        "root_mismatch",
        "signature_invalid",
        "truncated",
        "attachment_missing",
        "attachment_mismatch",
    }
)


def verify_log(  # noqa: PLR0913 - each argument is one thing that an auditor may hold
    *,
    records: Iterable[tuple[bytes, Columns | None]],
    checkpoints: Iterable[bytes],
    keys: Sequence[VerifierKey],
    attachments: Callable[[str], bytes | None] | None = None,
    held: Iterable[bytes] = (),
    on_progress: Callable[[int], None] | None = None,
) -> Verification:
    """Check a log.

    The steps, for each record:
      (1) Its bytes are a record in canonical form, of this log and at this position.
      (2) Its `prev` is the leaf hash of the record before, and its time is not before that record's.
      (3) The copies of its fields that a database keeps beside it are those of its bytes.
      (4) Each document that it names is kept, and hashes to its name.
      (5) The root over all records so far is the signed one, wherever there is a checkpoint of this size.
    And at the end:
      (6) No checkpoint covers more records than there are, and the newest covers all of them.

    After a failure in step 1, 2 (`prev`) or 5 the rest of the chain means nothing and is not read.

    Args:
        records: The records' exact bytes in order, each with a database's columns or None.
        checkpoints: The log's own signed checkpoints, by growing size.
        keys: The public keys that may have signed; they come from the auditor, never from the log.
        attachments: Gives the document that is kept under a SHA-256 in hex, or None if there is none. Without it
            step 4 is left out.
        held: Signed checkpoints that the auditor got elsewhere; they betray a shortened or replaced log.
        on_progress: Called now and then with the number of records read.

    Returns:
        The verdict and the first problem of each code. `first_bad_seq` is the first record that the failed checks put
        in doubt: exact where each record has its own checkpoint, otherwise the first since the last good one.
    """
    examination = _Examination(keys, attachments)
    examination.hold(held)
    whole = examination.read(records, checkpoints, on_progress)
    if whole:
        examination.finish()
    return examination.verification()


class _Examination:
    """What is known of the log so far."""

    def __init__(self, keys: Sequence[VerifierKey], attachments: Callable[[str], bytes | None] | None) -> None:
        self._keys = keys
        self._attachments = attachments
        self._tree = GrowingTree()
        self._log = ""
        self._leaf = GENESIS_PREV
        self._ts = ""
        self._held: dict[int, list[Checkpoint]] = {}
        self._own: Checkpoint | None = None  # the next of the log's own checkpoints
        self._good: Checkpoint | None = None  # the newest whose root was right
        self._problems: dict[str, Problem] = {}

    def hold(self, notes: Iterable[bytes]) -> None:
        for checkpoint in self._opened(notes):
            self._held.setdefault(checkpoint.size, []).append(checkpoint)

    def read(
        self,
        records: Iterable[tuple[bytes, Columns | None]],
        notes: Iterable[bytes],
        on_progress: Callable[[int], None] | None,
    ) -> bool:
        """Read records until they end or the chain breaks; tell whether it held."""
        checkpoints = self._opened(notes)
        self._own = next(checkpoints, None)
        for body, columns in records:
            if not self._check_record(body, columns) or not self._check_roots(checkpoints):
                return False
            if on_progress is not None and self._tree.size % PROGRESS_EVERY == 0:
                on_progress(self._tree.size)
        return True

    def finish(self) -> None:
        """Compare the end of the records with the ends that were signed."""
        # (6) What was signed is there, and what is there was signed.
        size = self._tree.size
        ends = [checkpoint.size for checkpoint in (self._own,) if checkpoint] + list(self._held)
        if any(end > size for end in ends):
            self._report("truncated", size, f"a checkpoint was signed over {max(ends)} records, but there are {size}")
        if self._good is None:
            self._report("no_checkpoint", None, "no checkpoint signed by a known key covers these records")
        elif self._good.size < size:
            self._report("unsigned_tail", self._good.size, f"records from {self._good.size} are under no checkpoint")

    def verification(self) -> Verification:
        tampered = [problem for code, problem in self._problems.items() if code in TAMPERED_CODES]
        doubted = [problem.seq for problem in tampered or self._problems.values() if problem.seq is not None]
        good = self._good
        return Verification(
            verdict="tampered" if tampered else "unverifiable" if self._problems else "valid",
            log=self._log,
            size=self._tree.size,
            checkpoint_size=good.size if good else None,
            root_sha256=Sha256Hex(good.root.hex()) if good else None,
            first_bad_seq=min(doubted, default=None),
            problems=tuple(self._problems.values()),
        )

    def _check_record(self, body: bytes, columns: Columns | None) -> bool:
        seq = self._tree.size
        # (1) A record of this log at this position.
        try:
            record = parse_record(body)
        except RecordInvalidError as exc:
            return self._report("record_malformed", seq, str(exc))
        self._log = self._log or record["log"]
        if record["log"] != self._log:
            return self._report("log_mismatch", seq, "the record names another log")
        if record["seq"] != seq:
            return self._report("seq_mismatch", seq, f"want record {seq} here, got {record['seq']}")
        # (2) It follows the record before.
        if prev_of(record) != self._leaf:
            before_is_good = self._good is not None and self._good.size == seq
            return self._report(
                "prev_mismatch",
                seq if before_is_good else seq - 1,
                f"record {seq} follows other bytes than record {seq - 1}",
            )
        if record["ts"] < self._ts:  # one fixed form: the order of the text is the order of time
            self._report("ts_backwards", seq, "the record's time is before the time of the record before")
        # (3) The database's copies.
        leaf = leaf_hash(body)
        if columns is not None and columns != columns_of(record, leaf):
            self._report("column_mismatch", seq, "a column beside the record is not what its bytes say")
        # (4) Its documents.
        self._check_attachments(record, seq)
        self._leaf, self._ts = leaf, record["ts"]
        self._tree.append(leaf)
        return True

    def _check_attachments(self, record: Mapping[str, Any], seq: int) -> None:
        if self._attachments is None:
            return
        for sha256 in attachments_of(record):
            document = self._attachments(sha256)
            if document is None:
                self._report("attachment_missing", seq, f"the document {sha256} is not there any more")
            elif sha256_hex(document) != sha256:
                self._report("attachment_mismatch", seq, f"the document {sha256} has other bytes")

    def _check_roots(self, checkpoints: Iterator[Checkpoint]) -> bool:
        # (5) The root is the signed one.
        size = self._tree.size
        here = self._held.pop(size, [])
        while self._own is not None and self._own.size <= size:
            if self._own.size < size:
                self._report("checkpoint_order", None, "the checkpoints are not in the order of their sizes")
            else:
                here.append(self._own)
            self._own = next(checkpoints, None)
        for checkpoint in here:
            doubted = self._good.size if self._good else 0
            if checkpoint.origin != self._log:
                return self._report("log_mismatch", doubted, "the records name another log than the signed checkpoint")
            if checkpoint.root != self._tree.root():
                return self._report("root_mismatch", doubted, f"the root over {size} records is not the signed one")
        if here:
            self._good = here[-1]
        return True

    def _opened(self, notes: Iterable[bytes]) -> Iterator[Checkpoint]:
        for note in notes:
            try:
                yield open_checkpoint(note, self._keys)
            except SignatureInvalidError as exc:
                self._report("signature_invalid", None, f"a checkpoint: {exc}")
            except NoteUnverifiedError as exc:
                self._report("key_unknown", None, f"a checkpoint: {exc}")
            except NoteMalformedError as exc:
                self._report("checkpoint_malformed", None, f"a checkpoint: {exc}")

    def _report(self, code: str, seq: int | None, detail: str) -> bool:
        self._problems.setdefault(code, Problem(code=code, seq=seq, detail=detail))
        return False
