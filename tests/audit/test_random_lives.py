"""A log lives through anything that its keepers do to it, in any order: everything harmless stays without an alarm.

`LOCKGATE_TEST_LIVES` and `LOCKGATE_TEST_STEPS` make more and longer lives by hand (docs/performance.md).
"""

import os
import tempfile
from pathlib import Path
from typing import Final

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
from lockgate.audit.formats.kind_names import HEARTBEAT
from lockgate.audit.formats.log_policy import LogPolicy
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.audit.keeping.anchors import anchor_event
from lockgate.audit.keeping.key_changes import rotate_key
from lockgate.audit.keeping.log_writer import LogWriter
from lockgate.audit.keeping.pruning import Needs, prune
from lockgate.audit.keeping.recovery import recover_log
from lockgate.audit.own_events import OwnEvent
from lockgate.audit.retention_store import STEP
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.verifier import Trust, trust_in_keys, verify_export
from lockgate.clock import EpochNs
from lockgate.ids import new_id
from support.audit_logs import ORIGIN, LogStand, make_event, make_stand
from support.databases import NewDatabase
from support.keyed_logs import log_under
from support.retention import OPERATOR, erase_documents, fill_quickly, name_of

STEPS: Final = int(os.environ.get("LOCKGATE_TEST_STEPS", "40"))  # noqa: TID251 - of each life; a test's own
LIVES: Final = int(os.environ.get("LOCKGATE_TEST_LIVES", "8"))  # noqa: TID251 - of each database; same
KEYS_MAX: Final = 4


class Life(RuleBasedStateMachine):
    """One log, two processes that write to it, and what must be true of it."""

    new_database: NewDatabase
    folder: Path

    @initialize()
    def begin(self) -> None:
        """Create the log."""
        self.stand: LogStand = make_stand(Path(tempfile.mkdtemp(dir=self.folder)), self.new_database())
        self.signers: list[SeedSigner] = [self.stand.signer]
        self.former = False  # the key of before signs too
        self.other: AuditLog = self._opened()
        self.size, self.first, self.exports = 1, 0, 0
        self.receipts: list[Receipt] = []
        self.documents: dict[bytes, bool] = {}  # document -> whether it was erased
        self.held: list[bytes] = []

    # --- what its users do ----------------------------------------------------------------------------------------

    @rule(count=st.integers(1, 90))
    def fill(self, count: int) -> None:
        """Events come, many in one transaction."""
        self.receipts += fill_quickly(self.stand, count)[::20]
        self.size += count

    @rule()
    def append(self) -> None:
        """One event comes."""
        self._recorded(self.stand.log.append(make_event()))

    @rule()
    def append_elsewhere(self) -> None:
        """One event comes to another process."""
        self._recorded(self.other.append(make_event()))

    @rule(number=st.integers(0, 10_000))
    def keep(self, number: int) -> None:
        """An event with a document comes."""
        document = f"document {number}".encode()
        self._recorded(self.stand.log.append(make_event(attachments=(document,))))
        self.documents[document] = False

    @rule(error=st.sampled_from([ZeroDivisionError, KeyboardInterrupt]))
    def fail(self, error: type[BaseException]) -> None:
        """Work fails, or is interrupted, in the middle."""

        def work(connection: Connection) -> Outcome[None]:
            connection.exec_driver_sql("UPDATE audit_head SET first_seq = first_seq")
            raise error

        with pytest.raises(error):
            self.stand.log.transact(work)

    # --- what its keepers do --------------------------------------------------------------------------------------

    @rule()
    def restart(self) -> None:
        """Both processes end, and new ones begin."""
        self.stand.log, self.other = self._opened(), self._opened()

    @rule()
    def beat(self) -> None:
        """A heartbeat is recorded."""
        now = self.stand.clock.now_ns()
        self._recorded(
            self.stand.log.append(OwnEvent(id=new_id(now), kind=HEARTBEAT, actor=OPERATOR, body={"interval_s": 300}))
        )

    @rule()
    def anchor(self) -> None:
        """An outsider's word over the newest checkpoint is recorded."""
        now = self.stand.clock.now_ns()
        note = self.stand.log.checkpoint()
        event = anchor_event("rfc3161", note, b"a token", time=EpochNs(now), actor=OPERATOR, now=now)
        self._recorded(self.stand.log.append(event))

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
        self._recorded(receipt)
        self.restart()

    @precondition(lambda self: self.former)
    @rule()
    def drop_former_key(self) -> None:
        """The key of before signs no more."""
        self.former = False
        self.restart()

    @precondition(lambda self: any(not gone for gone in self.documents.values()))
    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        """A document is erased."""
        document = data.draw(st.sampled_from(sorted(each for each, gone in self.documents.items() if not gone)))
        done = erase_documents(self.stand, document)
        assert done.receipt is not None
        self._recorded(done.receipt)
        self.documents[document] = True

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
        self.size = self._stored_size()
        self.documents = {}  # which of them went is test_pruning's affair

    @precondition(lambda self: self.size > self.first + 3 and self.first == 0)
    @rule(lost=st.integers(1, 60))
    def restore(self, lost: int) -> None:
        """A backup is restored: the log refuses to go on, and what it lacks is put back from an export."""
        export = self._look()
        self.stand.cut(self._signed_size(max(self.size - lost, 1)))
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
        assert recovery is not None
        self.size += 1
        self.restart()

    @rule()
    def look(self) -> None:
        """An auditor verifies an export."""
        self._look()

    # --- what must be true ----------------------------------------------------------------------------------------

    @invariant()
    def is_whole_at_its_end(self) -> None:
        """The log is ready, and as long as was recorded."""
        self.stand.log.check_head()
        assert self._stored_size() == self.size

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
        for document, gone in self.documents.items():
            if gone:
                with pytest.raises(ErasedError):
                    self.stand.log.attachment(name_of(document))
            else:
                assert self.stand.log.attachment(name_of(document)) == document
        self.stand.engine.dispose()

    def _recorded(self, receipt: Receipt) -> None:
        assert receipt.seq == self.size
        self.receipts.append(receipt)
        self.size += 1

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

    def _stored_size(self) -> int:
        with self.stand.engine.connect() as connection:
            size: int = connection.exec_driver_sql("SELECT size FROM audit_head").scalar_one()
        return size

    def _look(self) -> Path:
        self.exports += 1
        self.held = [*self.held[-3:], self.stand.log.checkpoint()]
        export = self.stand.export(f"export-{self.exports}")
        verification = verify_export(ExportFolder(export), Trust(policy=self._policy(), held=self.held))
        assert (verification.verdict, verification.problems) == ("valid", ())
        assert (verification.verified_from_seq, verification.size) == (self.first, self.size)
        return export


@pytest.mark.slow
def test_no_life_raises_a_false_alarm(new_database: NewDatabase, tmp_path: Path) -> None:
    """Appending, failing, restarting, rotating, erasing, pruning, restoring: each verdict is valid, nothing is lost."""

    class LifeHere(Life):
        pass

    LifeHere.new_database, LifeHere.folder = staticmethod(new_database), tmp_path
    # A life that fails is told as it was lived: to look for a shorter one would take many minutes.
    phases = [Phase.generate]
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    run_state_machine_as_test(
        LifeHere,
        settings=settings(
            deadline=None,
            max_examples=LIVES,
            stateful_step_count=STEPS,
            suppress_health_check=checks,
            database=None,
            phases=phases,
        ),
    )
