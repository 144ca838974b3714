"""A log lives through anything that its keepers do to it, in any order: only what is not harmless raises an alarm.

`LOCKGATE_TEST_LIVES` and `LOCKGATE_TEST_STEPS` make more and longer lives by hand;
docs/performance.md has the longest run.
"""

import contextlib
import logging
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Final, get_args

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection

from lockgate.audit import AuditLog, ErasedError, LogBehindError, Outcome, Receipt, RecordPrunedError, verify_receipt
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.kind_names import HEARTBEAT
from lockgate.audit.formats.log_policy import LogPolicy
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.audit.formats.records import parse_record
from lockgate.audit.keeping.anchors import anchor_event
from lockgate.audit.keeping.key_changes import rotate_key
from lockgate.audit.keeping.log_writer import LogWriter
from lockgate.audit.keeping.pruning import Needs, prune
from lockgate.audit.keeping.recovery import recover_log
from lockgate.audit.own_events import OwnEvent
from lockgate.audit.retention_store import STEP
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.timestamp_anchors import timestamp_check
from lockgate.audit.verification.verifier import Trust, trust_in_keys, verify_export
from lockgate.audit.writing.checkpoint_file import CheckpointFile
from lockgate.ids import new_id
from support.audit_logs import ORIGIN, LogStand, make_event, make_stand
from support.databases import NewDatabase
from support.keyed_logs import log_under
from support.log_nursery import Child, Nursery, PlaceOfDeath
from support.mutations import OF_RECORDS, mutated, verify_here
from support.retention import OPERATOR, erase_documents, fill_quickly, name_of
from support.timestamp_authority import Authority

STEPS: Final = int(os.environ.get("LOCKGATE_TEST_STEPS", "40"))  # noqa: TID251 - of each life; a test's own
LIVES: Final = int(os.environ.get("LOCKGATE_TEST_LIVES", "8"))  # noqa: TID251 - of each database; same
KEYS_MAX: Final = 4
LONG: Final = STEP + 44  # records, enough that something can be pruned
KINDS: Final = {"append", "crash", "rotate", "restart", "prune", "erase", "anchor"}  # of operations, in every run
BEGINNINGS: Final = ("busy", "long", "young")  # the first that is tried is the first of them
LOGGER: Final = logging.getLogger(__name__)


class Life(RuleBasedStateMachine):
    """One log, processes that write to it, and what must be true of it."""

    new_database: NewDatabase
    folder: Path
    nursery: Nursery
    authority: Authority
    operations: ClassVar[Counter[str]]  # of all lives: a record that was appended is one, any other act is one

    @initialize(beginning=st.sampled_from(BEGINNINGS))
    def begin(self, beginning: str) -> None:
        """Create the log; a long one has many records, a busy one has seen everything once."""
        self.stand: LogStand = make_stand(Path(tempfile.mkdtemp(dir=self.folder)), self.new_database())
        self.signers: list[SeedSigner] = [self.stand.signer]
        self.former = False  # the key of before signs too
        self.other: AuditLog = self._opened()
        self.size, self.first, self.exports = 1, 0, 0
        self.pruned_at = 1  # the size that it had after it was pruned: no backup from before is restored
        self.receipts: list[Receipt] = []
        self.documents: dict[bytes, int] = {}  # that are kept -> the newest record that names it
        self.erased: set[bytes] = set()
        self.pruned: set[bytes] = set()
        self.anchors: list[tuple[int, int]] = []  # position of the record, size that it attests
        self.held: list[bytes] = []
        if beginning != "young":
            self.fill(LONG)
        if beginning == "busy":
            self.keep(0)
            self._erase(*self.documents)
            self.rotate()
            self.anchor()
            self.die("file")
            self.restart()
            self.prune()

    # --- what its users do ----------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 90))
    def fill(self, count: int) -> None:
        """Events come, many in one transaction."""
        self.receipts += fill_quickly(self.stand, count)[::20]
        self.size += count
        self.operations["append"] += count

    @rule()
    def append(self) -> None:
        """One event comes."""
        self._recorded("append", self.stand.log.append(make_event()))

    @rule()
    def append_elsewhere(self) -> None:
        """One event comes to another process."""
        self._recorded("append", self.other.append(make_event()))

    @rule(number=st.integers(0, 10_000))
    def keep(self, number: int) -> None:
        """An event with a document comes."""
        document = f"document {number}".encode()
        self.documents[document] = self.size
        self._recorded("append", self.stand.log.append(make_event(attachments=(document,))))

    @rule(error=st.sampled_from([ZeroDivisionError, KeyboardInterrupt]))
    def fail(self, error: type[BaseException]) -> None:
        """Work fails, or is interrupted, in the middle."""

        def work(connection: Connection) -> Outcome[None]:
            connection.exec_driver_sql("UPDATE audit_head SET first_seq = first_seq")
            raise error

        with pytest.raises(error):
            self.stand.log.transact(work)
        self.operations["fail"] += 1

    # --- what befalls its processes -------------------------------------------------------------------------------

    @rule(threads=st.integers(1, 3), count=st.integers(0, 6))
    def crash(self, threads: int, count: int) -> None:
        """A process is killed in the middle of its appends: what it acknowledged is there, and hardly more."""
        child = self._child()
        child.append_for_ever(threads)
        child.wait_for(count)
        assert [answer for answer in child.kill() if not answer.startswith("ok ")] == []
        grown = self._settled_size() - self.size
        assert len(child.acknowledged) <= grown <= len(child.acknowledged) + threads
        for seq, event_id in child.acknowledged.items():
            self.receipts.append(self.stand.log.receipt(seq))
            assert parse_record(self.receipts[-1].record)["id"] == event_id
        self._grew(grown)

    @rule(place=st.sampled_from(get_args(PlaceOfDeath)))
    def die(self, place: PlaceOfDeath) -> None:
        """A process dies at a certain place of an append: the record is there if it was committed."""
        self._child().die_at(place)
        self._grew(0 if place == "commit" else 1)

    # --- what its keepers do --------------------------------------------------------------------------------------

    @rule()
    def restart(self) -> None:
        """Both processes end, and new ones begin."""
        self._reopen()
        self.operations["restart"] += 1

    @rule()
    def beat(self) -> None:
        """A heartbeat is recorded."""
        now = self.stand.clock.now_ns()
        event = OwnEvent(id=new_id(now), kind=HEARTBEAT, actor=OPERATOR, body={"interval_s": 300})
        self._recorded("heartbeat", self.stand.log.append(event))

    @rule()
    def anchor(self) -> None:
        """An outsider's word over the newest checkpoint is recorded."""
        now = self.stand.clock.now_ns()
        note = self.stand.log.checkpoint()
        timestamp = self.authority.stamp(note, now)
        event = anchor_event("rfc3161", note, timestamp.token, time=timestamp.time, actor=OPERATOR, now=now)
        self.anchors.append((self.size, read_checkpoint(note).size))
        self._recorded("anchor", self.stand.log.append(event))

    @precondition(lambda self: len(self.signers) < KEYS_MAX)
    @rule()
    def rotate(self) -> None:
        """Another key signs from now on; both processes are begun anew under it."""
        old, new = self.signers[-1], make_signer(ORIGIN, bytes([len(self.signers)]) * 32)
        self.signers.append(new)
        self.former = True
        log = log_under(self.stand, new, old)
        receipt = rotate_key(log, old.verifier_key, new.verifier_key, OPERATOR, self.stand.clock.now_ns())
        assert receipt is not None
        self._recorded("rotate", receipt)
        self._reopen()

    @precondition(lambda self: self.former)
    @rule()
    def drop_former_key(self) -> None:
        """The key of before signs no more."""
        self.former = False
        self._reopen()
        self.operations["drop former key"] += 1

    @precondition(lambda self: self.documents)
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        """A document is erased."""
        self._erase(data.draw(st.sampled_from(sorted(self.documents))))

    @precondition(lambda self: self.size > self.first + STEP + 1)
    @rule()
    def prune(self) -> None:
        """The oldest records go to an archive."""
        before = (self.size - 1) // STEP * STEP
        if before <= self.first:
            return
        prune(
            self.stand.engine,
            self.stand.log,
            self._look(),
            before=before,
            reason="two years are over",
            actor=OPERATOR,
            keys=[signer.verifier_key for signer in self.signers],
            needed=lambda _: Needs(records=(), attachments=()),
        )
        self.first = before
        self.size = self.pruned_at = self._settled_size()
        self.pruned |= {document for document, seq in self.documents.items() if seq < before}
        self.documents = {document: seq for document, seq in self.documents.items() if seq >= before}
        self.operations["prune"] += 1

    @precondition(lambda self: self._outside_size() > self.pruned_at)
    @rule(lost=st.integers(1, 60))
    def restore(self, lost: int) -> None:
        """A backup is restored: the log refuses to go on, and what it lacks is put back from an export."""
        export = self._look()
        # Down to less than was written outside: what died with its writer before that was told to nobody.
        self.stand.cut(self._signed_size(max(min(self.size - lost, self._outside_size() - 1), self.pruned_at)))
        for log in (self.stand.log, self._opened()):
            with pytest.raises(LogBehindError):
                log.append(make_event())
        recovery = recover_log(
            LogWriter(
                engine=self.stand.engine,
                signers=self._signing(),
                clock=self.stand.clock,
                instance="test",
                checkpoint_file=self.stand.checkpoint_file,
            ),
            ExportFolder(export),
            self._policy(),
            reason="the disk was lost",
            actor=OPERATOR,
        )
        assert (recovery.to_size, recovery.seq) == (self.size, self.size)
        self.size += 1
        self._reopen()
        self.operations["restore"] += 1

    @rule()
    def look(self) -> None:
        """An auditor verifies an export."""
        self._look()
        self.operations["verify"] += 1

    # --- what somebody does behind their backs --------------------------------------------------------------------

    @precondition(lambda self: self.size > self.first + 1)
    @rule(name=st.sampled_from(OF_RECORDS), place=st.integers(0, 10_000), number=st.integers(0, 100_000))
    def mutate(self, name: str, place: int, number: int) -> None:
        """Somebody changes the database: an auditor who kept the newest checkpoint finds it, and it is taken back."""
        seq = self.first + 1 + place % (self.size - self.first - 1)
        trust = Trust(policy=self._policy(), held=(self.stand.log.checkpoint(),), every_signature=True)
        with mutated(self.stand, name, seq, number) as connection:
            verification = verify_here(connection, trust)
        assert verification.verdict == "tampered", (name, seq, number, verification)

    # --- what must be true ----------------------------------------------------------------------------------------

    @invariant()
    def is_whole_at_its_end(self) -> None:
        """The log is ready, and as long as was recorded."""
        self.stand.log.check_head()
        assert self._settled_size() == self.size

    def teardown(self) -> None:
        """At the end every receipt that was given out is as good as on its day."""
        if not hasattr(self, "stand"):
            return
        self._look()
        keys = [signer.verifier_key for signer in self.signers]
        for receipt in self.receipts:
            assert verify_receipt(receipt, keys)["seq"] == receipt.seq
            if receipt.seq < self.first:
                with pytest.raises(RecordPrunedError):
                    self.stand.log.receipt(receipt.seq)
            else:
                assert self.stand.log.receipt(receipt.seq) == receipt
        for document in self.documents:
            assert self.stand.log.attachment(name_of(document)) == document
        for document in (self.erased | self.pruned) - self.documents.keys():
            with pytest.raises(ErasedError if document in self.erased else RecordPrunedError):
                self.stand.log.attachment(name_of(document))
        self.stand.engine.dispose()

    def _recorded(self, operation: str, receipt: Receipt) -> None:
        assert receipt.seq == self.size
        self.receipts.append(receipt)
        self.size += 1
        self.operations[operation] += 1

    def _erase(self, document: bytes) -> None:
        done = erase_documents(self.stand, document)
        assert done.receipt is not None
        self._recorded("erase", done.receipt)
        self.erased.add(document)
        del self.documents[document]

    def _grew(self, count: int) -> None:
        self.size += count
        self.operations["append"] += count
        self.operations["crash"] += 1

    def _child(self) -> Child:
        return self.nursery.child(self.stand, *self._signing())

    def _reopen(self) -> None:
        self.stand.log, self.other = self._opened(), self._opened()

    def _signing(self) -> tuple[SeedSigner, ...]:
        return (self.signers[-1], self.signers[-2]) if self.former else (self.signers[-1],)

    def _opened(self) -> AuditLog:
        return log_under(self.stand, *self._signing())

    def _policy(self) -> LogPolicy:
        return trust_in_keys([signer.verifier_key for signer in self.signers])

    def _signed_size(self, at_most: int) -> int:
        # A backup holds whole transactions, each of which ends with a checkpoint.
        with self.stand.engine.connect() as connection:
            query = f"SELECT max(size) FROM audit_checkpoint WHERE size <= {at_most}"  # noqa: S608 - a number
            size: int = connection.exec_driver_sql(query).scalar_one()
        return size

    def _settled_size(self) -> int:
        # PostgreSQL may still be at work for a process that is dead: it holds the head's row until it is done.
        with self.stand.engine.connect() as connection:
            waiting = " FOR UPDATE" if connection.dialect.name == "postgresql" else ""
            size: int = connection.exec_driver_sql(f"SELECT size FROM audit_head{waiting}").scalar_one()  # noqa: S608 - our own
        return size

    def _outside_size(self) -> int:
        newest = CheckpointFile(self.stand.checkpoint_file).newest([signer.verifier_key for signer in self.signers])
        return 0 if newest is None else newest.size

    def _look(self) -> Path:
        self.exports += 1
        self.held = [*self.held[-3:], self.stand.log.checkpoint()]
        export = self.stand.export(f"export-{self.exports}")
        check_anchor = timestamp_check(self.authority.trust)
        trust = Trust(policy=self._policy(), held=self.held, check_anchor=check_anchor)
        verification = verify_export(ExportFolder(export), trust)
        assert (verification.verdict, verification.problems) == ("valid", ())
        assert (verification.verified_from_seq, verification.size) == (self.first, self.size)
        self._check_anchors({note.code: note.detail for note in verification.notes})
        return export

    def _check_anchors(self, notes: dict[str, str]) -> None:
        # Each is believed whose record and whose checkpoint were not pruned.
        kept = [size for seq, size in self.anchors if seq >= self.first]
        attested = [size for size in kept if size > self.first]
        assert ("anchors_not_checked" in notes) <= (len(attested) < len(kept))
        if attested:
            assert notes["anchored"].startswith(f"{attested[-1]} records: existed at ")


@pytest.fixture
def nursery(tmp_path: Path) -> Iterator[Nursery]:
    """Makes the processes that die."""
    with contextlib.closing(Nursery(tmp_path / "meeting")) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(max(300, LIVES * STEPS))
def test_no_life_raises_a_false_alarm(new_database: NewDatabase, tmp_path: Path, nursery: Nursery) -> None:
    """Appends, crashes, restarts, rotations, anchors, erasures, prunings, restored backups: no alarm, nothing lost."""

    class LifeHere(Life):
        pass

    LifeHere.new_database, LifeHere.folder = staticmethod(new_database), tmp_path
    LifeHere.nursery, LifeHere.authority, LifeHere.operations = nursery, Authority(), Counter()
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        LifeHere,
        settings=settings(
            deadline=None,
            max_examples=LIVES,
            stateful_step_count=STEPS,
            suppress_health_check=checks,
            database=None,
            phases=[Phase.generate],  # a life that fails is told as it was lived: a shorter one would take minutes
        ),
    )
    done = LifeHere.operations
    LOGGER.info("%d operations, no alarm: %s", done.total(), dict(done.most_common()))

    assert done.keys() >= KINDS
