"""Whatever is appended, erased and pruned, in whatever order and by whichever process: never a false alarm."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockgate.audit import AuditLog, ErasedError, Receipt, RecordPrunedError, RetentionRefusedError
from lockgate.audit.retention_store import STEP
from support.audit_logs import LogStand, make_stand
from support.databases import NewDatabase
from support.retention import erase_documents, fill_quickly, keep, name_of, prune_log, verify

DOCUMENTS = [f"document {number}".encode() for number in range(4)]

_steps = st.one_of(
    st.tuples(st.just("fill"), st.integers(1, 300)),
    st.tuples(st.just("keep"), st.sampled_from(range(len(DOCUMENTS)))),
    st.tuples(st.just("erase"), st.sampled_from(range(len(DOCUMENTS)))),
    st.tuples(st.just("prune"), st.integers(0, 1)),
    st.tuples(st.just("prune"), st.just(0)),
    st.tuples(st.just("process"), st.integers(0, 2)),
    st.tuples(st.just("look"), st.just(0)),
)


@dataclass
class History:
    """A log, and what must be true of it."""

    stand: LogStand
    processes: list[AuditLog]
    size: int = 1
    first: int = 0
    named: dict[int, int] = field(default_factory=dict)  # document -> the newest record that names it
    erased: set[int] = field(default_factory=set)  # since it was named last
    receipts: list[Receipt] = field(default_factory=list)
    held: list[bytes] = field(default_factory=list)
    archives: list[Path] = field(default_factory=list)

    def fill(self, count: int) -> None:
        """Append events."""
        self.receipts += fill_quickly(self.stand, count)[::50]
        self.size += count

    def keep(self, number: int) -> None:
        """Record an event that names a document, perhaps again."""
        receipt = keep(self.stand, DOCUMENTS[number])
        self.receipts.append(receipt)
        self.named[number] = receipt.seq
        self.erased.discard(number)
        self.size += 1

    def erase(self, number: int) -> None:
        """Erase a document, or be told that there is nothing to erase."""
        if number in self.erased:
            assert erase_documents(self.stand, DOCUMENTS[number]).receipt is None
        elif self.named.get(number, -1) < self.first:
            with pytest.raises(RetentionRefusedError):
                erase_documents(self.stand, DOCUMENTS[number])
        else:
            done = erase_documents(self.stand, DOCUMENTS[number])
            assert done.receipt is not None
            assert done.receipt.seq == self.size
            self.erased.add(number)
            self.size += 1

    def prune(self, kept_tiles: int) -> None:
        """Archive the log, then prune all but its last tiles, or be told that there is nothing to prune."""
        before = (self.size - 1) // STEP * STEP - kept_tiles * STEP
        archive = self.look()
        if before <= self.first:
            with pytest.raises(RetentionRefusedError):
                prune_log(self.stand, before, archive)
            return
        prune_log(self.stand, before, archive)
        self.archives.append(archive)
        self.first = before
        self.size += 1

    def process(self, number: int) -> None:
        """Let another process write from here on, one that may not have written for long."""
        self.stand.log = self.processes[number]

    def look(self) -> Path:
        """Export and verify the log, and remember its checkpoint."""
        self.held.append(self.stand.log.checkpoint())
        export = self.stand.export(f"export-{len(self.held)}")
        verification = verify(self.stand, export, *self.held)
        assert (verification.verdict, verification.problems) == ("valid", ())
        assert (verification.verified_from_seq, verification.size) == (self.first, self.size)
        return export

    def check(self) -> None:
        """Compare all that was given out with what the log says now."""
        self.look()
        for archive in self.archives:
            assert verify(self.stand, archive).verdict == "valid"
        for receipt in self.receipts:
            if receipt.seq < self.first:
                with pytest.raises(RecordPrunedError):
                    self.stand.log.receipt(receipt.seq)
            else:
                assert self.stand.log.receipt(receipt.seq) == receipt
        for number, seq in self.named.items():
            if number in self.erased:
                with pytest.raises(ErasedError):
                    self.stand.log.attachment(name_of(DOCUMENTS[number]))
            elif seq >= self.first:
                assert self.stand.log.attachment(name_of(DOCUMENTS[number])) == DOCUMENTS[number]


@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(_steps, min_size=6, max_size=14))
def test_no_history_raises_a_false_alarm(
    new_database: NewDatabase, tmp_path: Path, steps: list[tuple[str, int]]
) -> None:
    """Exports, archives, receipts, documents and every process agree with what was done, and every verdict is valid."""
    stand = make_stand(Path(tempfile.mkdtemp(dir=tmp_path)), new_database())
    others = [stand.reopened(), stand.reopened(elsewhere=True)]
    history = History(stand=stand, processes=[stand.log, *others])
    for name, value in [("fill", 255), *steps]:
        match name:
            case "fill":
                history.fill(value)
            case "keep":
                history.keep(value)
            case "erase":
                history.erase(value)
            case "prune":
                history.prune(value)
            case "process":
                history.process(value)
            case _:
                history.look()
    history.check()
    stand.engine.dispose()
