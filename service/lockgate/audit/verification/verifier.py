"""An auditor's check of a whole log, in one pass and flat memory.

What it proves, when integrity is `valid`: the records are byte for byte those that the log's key signed, none is
missing between them, and none at the end up to the newest checkpoint at hand. Since every checkpoint's root is compared
on the one growing tree, each checkpoint is also consistent with the next; no consistency proof could say more. What it
cannot prove: that no newer records existed (that is completeness, and needs somebody outside the log), that others were
shown the same log (that needs witnesses), and that what a record says is true.

The steps, for each record:
  (1) Its bytes are a record in canonical form, of this log and at this position.
  (2) Its `prev` is the leaf hash of the record before, and its time is not before that record's.
  (3) The copies of its fields that a database keeps beside it are those of its bytes.
  (4) Each document that it names is kept and hashes to its name, or a later record says that it was erased. If asked
      for, and the schema is at hand: its body keeps to the schema that it names.
  (5) The root over all records so far is the signed one, wherever there is a checkpoint of this size; and times do not
      contradict what an anchor's clock says.
And at the end:
  (6) No checkpoint covers more records than there are, and the newest covers all of them.

After a failure in step 1 or 2 (`prev`) the rest of the chain means nothing and is not read.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final, TypeAlias

from lockgate.audit.errors import ExportError
from lockgate.audit.formats.log_policy import LogKey, LogPolicy, open_cosigned
from lockgate.audit.formats.notes import VerifierKey
from lockgate.audit.formats.records import Columns
from lockgate.audit.types import Verification
from lockgate.audit.verification.anchors import AnchorCheck, Commitment, check_no_anchor
from lockgate.audit.verification.bodies import BodyCheck
from lockgate.audit.verification.examination import Examination
from lockgate.audit.verification.export_folder import Cut, ExportFolder
from lockgate.audit.verification.findings import NOTE_CODES, Findings
from lockgate.audit.verification.own_checkpoints import OwnCheckpoints
from lockgate.audit.verification.pruned import Pruned
from lockgate.audit.verification.stretches import Attachments, StretchFacts, check_stretch, stretch_records
from lockgate.audit.verification.verdicts import Demands, conclude

STRETCHES_AHEAD: Final = 4  # for each worker: enough that none waits, and few enough that little is held
Entries: TypeAlias = Iterable[tuple[bytes, Columns | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whom an auditor believes, and what he brings; none of it comes from the log."""

    policy: LogPolicy
    held: Sequence[bytes] = ()  # signed checkpoints that he kept; they betray a shortened or replaced log
    check_anchor: AnchorCheck = check_no_anchor
    check_body: BodyCheck | None = None  # with it each record is looked at by itself, in this process
    every_signature: bool = False  # verify each of the log's own, see `own_checkpoints`
    demands: Demands = field(default_factory=Demands)


def trust_in_keys(keys: Sequence[VerifierKey]) -> LogPolicy:
    """Return the policy of somebody who has nothing but public keys of logs."""
    return LogPolicy(logs=tuple(LogKey(key=key) for key in keys))


def verify_log(  # noqa: PLR0913 - each argument is one thing that a log may have
    *,
    records: Entries,
    checkpoints: Iterable[bytes],
    keys: Sequence[VerifierKey] = (),
    held: Sequence[bytes] = (),
    trust: Trust | None = None,
    attachments: Attachments | None = None,
    newest: bytes | None = None,
    cosigned: Iterable[bytes] = (),
    pruned: Pruned | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Verification:
    """Check a log in this process.

    Args:
        records: The records' exact bytes in order, each with a database's columns or None.
        checkpoints: The log's own signed checkpoints, by growing size.
        keys: The public keys that may have signed; they come from the auditor, never from the log.
        held: Signed checkpoints that he got elsewhere; they betray a shortened or replaced log.
        trust: All that he believes and brings, in the place of `keys` and `held`.
        attachments: Gives the document that is kept under a SHA-256 in hex. Without it step 4 is left out.
        newest: One more checkpoint of the log's own, as an export has it in a file of its own.
        cosigned: Checkpoints with witnesses' lines.
        pruned: What is known of records that were deleted.
        on_progress: Called now and then with the position reached.

    Returns:
        The verdict and the first problem of each code. `first_bad_seq` is the first record that the failed checks put
        in doubt: exact where each record has its own checkpoint, otherwise the first since the last good one.
    """
    trust = trust or Trust(policy=trust_in_keys(keys), held=held)
    check = _Check(trust, checkpoints, attachments, newest=newest, cosigned=cosigned, pruned=pruned)
    entries, begin = iter(records), check.first
    while stretch := list(itertools.islice(entries, stretch_records(begin))):
        end = begin + len(stretch)
        due, sizes = check.prepare(begin, end)
        facts = check_stretch(stretch, begin, sizes, attachments) if trust.check_body is None else None
        if not check.take(facts, stretch, due, sizes):
            break
        begin = end
        if on_progress is not None:
            on_progress(end)
    return check.conclude()


def verify_export(
    folder: ExportFolder, trust: Trust, *, workers: int = 1, on_progress: Callable[[int], None] | None = None
) -> Verification:
    """Check an export, on several cores if asked: the verdict is the same.

    Args:
        folder: The export.
        trust: Whom the auditor believes.
        workers: How many processes check stretches; 1 means this one.
        on_progress: Called now and then with the number of bytes of records read.

    Raises:
        ExportError: A file is missing, cannot be read, or is not of this export.
    """
    check = _Check(
        trust,
        folder.checkpoints(),
        folder.attachment,
        newest=folder.newest_checkpoint(),
        cosigned=folder.cosigned(),
        pruned=folder.pruned(),
    )
    tasks = (
        _Task(folder.path, cut, *check.prepare(cut.begin, cut.begin + cut.count)) for cut in folder.cuts(check.first)
    )
    for task, facts in _checked(tasks, workers) if trust.check_body is None else ((task, None) for task in tasks):
        if on_progress is not None:
            on_progress(task.cut.offset)
        if not check.take(facts, folder.stretch(task.cut), task.due, task.sizes):
            break
    verification = check.conclude()
    if verification.verdict == "valid":
        folder.check_whole()
    return verification


class _Check:
    """One log's examination, and what it is held against."""

    def __init__(  # noqa: PLR0913 - as for verify_log
        self,
        trust: Trust,
        checkpoints: Iterable[bytes],
        attachments: Attachments | None,
        *,
        newest: bytes | None,
        cosigned: Iterable[bytes],
        pruned: Pruned | None,
    ) -> None:
        self.first = pruned.before if pruned is not None else 0
        self._trust = trust
        self._is_pruned = pruned is not None
        self._findings = Findings()
        self._has_quorum = False
        self._own = OwnCheckpoints(
            checkpoints,
            trust.policy,
            self._findings,
            first_size=self.first,
            every_signature=trust.every_signature,
        )
        self._examination = Examination(
            own=self._own,
            findings=self._findings,
            attachments=attachments,
            check_anchor=trust.check_anchor,
            check_body=trust.check_body,
            pruned=pruned,
            clock_error_s_max=trust.demands.clock_error_s_max,
        )
        self._watch(() if newest is None else (newest,), held=False)
        self._watch(cosigned, held=False)
        self._watch(trust.held, held=True)
        self._examination.begin()

    def prepare(self, begin: int, end: int) -> tuple[dict[int, list[bytes]], list[int]]:
        """Return the log's own checkpoints up to `end`, and the sizes at which a root is to be compared."""
        due = self._own.take(end)
        return due, self._examination.sizes(due, begin, end)

    def take(
        self, facts: StretchFacts | None, entries: Entries, due: dict[int, list[bytes]], sizes: Sequence[int]
    ) -> bool:
        """Take in the next stretch; tell whether the chain holds."""
        self._examination.take(facts, entries, due, sizes)
        return not self._examination.is_broken

    def conclude(self) -> Verification:
        """Compare the end of the records with the ends that were signed, and give the verdict."""
        good = self._own.vouched()
        if not self._examination.is_broken:
            self._check_end(good.size if good is not None else None)
        return conclude(
            self._examination,
            self._findings,
            good,
            self._trust.demands,
            verified_from=self.first,
            has_quorum=self._has_quorum,
        )

    def _check_end(self, good_size: int | None) -> None:
        # (6) What was signed is there, and what is there was signed.
        findings, size = self._findings, self._examination.size
        ends = self._own.beyond(size) + self._examination.beyond()
        if ends:
            findings.report(
                "truncated", size, f"a checkpoint was signed over {max(ends)} records, but there are {size}"
            )
        missing = self._examination.missing()
        if missing is not None:
            findings.report("attachment_missing", missing[0], f"the document {missing[1]} is not there any more")
        if self._is_pruned and not self._examination.is_prune_recorded:
            findings.report("prune_mismatch", self.first, "records were deleted, but no log.prune record says so")
        trusted = [self._examination.trusted_size(key) for key in self._own.signers(self._examination.log)]
        if good_size is not None and trusted and good_size > max(trusted):
            detail = f"the newest checkpoint is signed by a key that counts only up to size {max(trusted)}"
            findings.report("key_compromised", max(trusted), detail)
        if self._own.is_wrong or findings.has("signature_invalid"):
            return  # the end is not signed because something is wrong before it
        if good_size is None:
            findings.report("no_checkpoint", None, "no checkpoint signed by a known key covers these records")
        elif good_size < size:
            findings.report("unsigned_tail", good_size, f"records from {good_size} are under no checkpoint")

    def _watch(self, notes: Iterable[bytes], *, held: bool) -> None:
        for note in notes:
            try:
                opened = open_cosigned(note, self._trust.policy)
            except tuple(NOTE_CODES) as exc:
                self._findings.report_note(exc, note)
                continue
            checkpoint = opened.checkpoint
            self._has_quorum |= opened.quorum_met
            commitment = Commitment(
                origin=checkpoint.origin,
                size=checkpoint.size,
                root=checkpoint.root,
                note=note,
                is_outside=held or opened.quorum_met,
            )
            self._examination.watch([commitment])


@dataclass(frozen=True, slots=True)
class _Task:
    """A stretch of an export, for any process."""

    folder: Path
    cut: Cut
    due: dict[int, list[bytes]]
    sizes: list[int]


def _checked(tasks: Iterable[_Task], workers: int) -> Iterator[tuple[_Task, StretchFacts | None]]:
    if workers == 1:
        for task in tasks:
            yield task, _check_cut(task.folder, task.cut, task.sizes)
        return
    ahead: deque[tuple[_Task, Future[StretchFacts | None]]] = deque()
    # Spawned and not forked: a fork takes over locks and connections of whoever called.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            for task in tasks:
                ahead.append((task, pool.submit(_check_cut, task.folder, task.cut, task.sizes)))
                if len(ahead) >= workers * STRETCHES_AHEAD:
                    done, future = ahead.popleft()
                    yield done, future.result()
            for done, future in ahead:
                yield done, future.result()
        except BrokenProcessPool as exc:
            raise ExportError("a worker process ended before its stretch was checked") from exc
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _check_cut(path: Path, cut: Cut, sizes: Sequence[int]) -> StretchFacts | None:
    folder = ExportFolder(path)
    return check_stretch(folder.stretch(cut), cut.begin, sizes, folder.attachment)
