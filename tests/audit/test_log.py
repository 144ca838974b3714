"""Appending: one chain whatever happens, all or nothing, and receipts that verify."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError

import lockgate
from lockgate.audit import (
    Actor,
    AuditError,
    AuditLog,
    CheckpointFileError,
    DuplicateIDError,
    Event,
    KindCatalogue,
    KindUnknownError,
    LogBehindError,
    LogForeignError,
    LogInconsistentError,
    NoEventError,
    NoteUnverifiedError,
    Outcome,
    ProofInvalidError,
    Receipt,
    RecordInvalidError,
    RecordUnknownError,
    open_checkpoint,
    verify_receipt,
)
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.merkle import check_consistency, leaf_hash, node_hash, root_from_inclusion
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.formats.proofs import InclusionProof, format_proof
from lockgate.audit.formats.records import parse_record
from lockgate.audit.structlog_processor import AuditProcessor
from lockgate.audit.writing.log import _Job
from lockgate.digests import sha256_hex
from lockgate.storage import StorageError
from lockgate.storage.tables import audit_attachment
from support.audit_logs import ORIGIN, LogStand, make_event, make_stand, verify_export

PROCESSES = 3
THREADS = 4
WRITER = """
import sys, uuid
from pathlib import Path
from lockgate.audit import AuditLog, KindCatalogue
from lockgate.audit.formats.notes import make_signer
from lockgate.storage import open_engine
from support.audit_logs import ORIGIN, SteppingClock, make_event
engine = open_engine(sys.argv[1])
log = AuditLog(engine=engine, signer=make_signer(ORIGIN, bytes(range(32))), clock=SteppingClock(),
               catalogue=KindCatalogue({}), instance="child", checkpoint_file=Path(sys.argv[3]))
for _ in range(int(sys.argv[2])):
    print(log.append(make_event()).seq, flush=True)
"""


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[LogStand]:
    """A log with nothing but its genesis record; every test here runs on both databases."""
    made = make_stand(tmp_path, database_url)
    yield made
    made.engine.dispose()


def _writer(stand: LogStand, count: int) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(lockgate.__file__).parents[1])])
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, stand.url, str(count), str(stand.checkpoint_file)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": path},
    )


def _size(stand: LogStand) -> int:
    return open_checkpoint(stand.log.checkpoint(), [stand.signer.verifier_key]).size


def test_receipts_verify_and_never_change(stand: LogStand) -> None:
    """A receipt verifies under the log's key, and the same bytes come back however much the log has grown."""
    given = [stand.log.append(make_event()) for _ in range(9)]
    given += stand.log.transact(lambda _: Outcome(value=0, events=(make_event(), make_event()))).receipts

    for receipt in given:
        record = verify_receipt(receipt, [stand.signer.verifier_key])
        assert record["seq"] == receipt.seq
        assert stand.log.receipt(receipt.seq) == receipt == stand.log.receipt_by_id(record["id"])


@pytest.mark.parametrize("field", ["seq", "record", "proof"])
def test_changed_receipt_is_refused(stand: LogStand, field: str) -> None:
    """A receipt for another position, another record or with another path is refused."""
    stand.fill(3)
    one, other = stand.log.receipt(2), stand.log.receipt(3)
    parts = {"seq": one.seq, "record": one.record, "proof": one.proof, field: getattr(other, field)}
    with pytest.raises(ProofInvalidError):
        verify_receipt(Receipt(**parts), [stand.signer.verifier_key])


def test_edited_record_does_not_pass_with_its_receipt(stand: LogStand) -> None:
    """A record with one word changed is refused although its place and its checkpoint are right."""
    receipt = stand.log.append(make_event("denied"))
    forged = Receipt(seq=receipt.seq, record=receipt.record.replace(b"denied", b"allows"), proof=receipt.proof)
    with pytest.raises(ProofInvalidError, match="signed root"):
        verify_receipt(forged, [stand.signer.verifier_key])


def test_record_of_another_place_is_refused_though_signed(stand: LogStand) -> None:
    """A record under a signed root does not pass for a position or a log that it does not name."""
    stand.fill(2)
    records = [record.body for record in stand.log.records()]
    stranger = make_signer("other.example", bytes(32))
    for signer, leaves in ((stand.signer, [records[0], records[2]]), (stranger, records[:2])):
        root = node_hash(leaf_hash(leaves[0]), leaf_hash(leaves[1]))
        note = sign_checkpoint(Checkpoint(origin=signer.verifier_key.name, size=2, root=root), signer)
        proof = format_proof(InclusionProof(index=1, path=(leaf_hash(leaves[0]),), checkpoint=note))
        with pytest.raises(ProofInvalidError, match="another position or log"):
            verify_receipt(Receipt(seq=1, record=leaves[1], proof=proof), [signer.verifier_key])


def test_receipt_under_another_key_is_unverified(stand: LogStand) -> None:
    """Without the log's key a receipt proves nothing."""
    with pytest.raises(NoteUnverifiedError):
        verify_receipt(stand.log.receipt(0), [make_signer(ORIGIN, bytes(32)).verifier_key])


def test_work_and_record_commit_together(stand: LogStand) -> None:
    """Work that raises leaves no row of its own and no record."""

    def work(connection: Connection) -> Outcome[None]:
        connection.execute(insert(audit_attachment).values(log="x", sha256="y", body=b""))
        raise ZeroDivisionError

    before = stand.log.checkpoint()
    with pytest.raises(ZeroDivisionError):
        stand.log.transact(work)

    assert stand.log.checkpoint() == before
    stand.edit("DELETE FROM audit_attachment WHERE log = 'x'")
    stand.log.check_head()


def test_work_without_event_is_undone(stand: LogStand) -> None:
    """A change without a record is refused, and the change is undone."""

    def work(connection: Connection) -> Outcome[None]:
        connection.execute(insert(audit_attachment).values(log=ORIGIN, sha256=sha256_hex(b"x"), body=b"x"))
        return Outcome(value=None, events=())

    with pytest.raises(NoEventError):
        stand.log.transact(work)
    with pytest.raises(RecordUnknownError):
        stand.log.attachment(sha256_hex(b"x"))


def test_signer_that_fails_leaves_nothing(stand: LogStand) -> None:
    """When the checkpoint cannot be signed, neither attachment nor record stays."""

    class BrokenSigner:
        verifier_key = stand.signer.verifier_key

        def sign(self, text: bytes) -> bytes:
            raise OSError(text[:3])

    broken = AuditLog(
        engine=stand.engine, signer=BrokenSigner(), clock=stand.clock, catalogue=KindCatalogue({}), instance="t"
    )
    with pytest.raises(OSError, match="gat"):
        broken.transact(lambda _: Outcome(value=0, events=(make_event(attachments=(b"document",)),)))

    assert _size(stand) == 1
    with pytest.raises(RecordUnknownError):
        stand.log.attachment(sha256_hex(b"document"))


def test_attachment_comes_back(stand: LogStand) -> None:
    """An attachment is found by its SHA-256, once however often it is attached; altered bytes are refused."""
    for _ in range(2):
        stand.log.transact(lambda _: Outcome(value=0, events=(make_event(attachments=(b"document",)),)))

    assert stand.log.attachment(sha256_hex(b"document")) == b"document"
    stand.change("audit_attachment", "body", "seq = 2", _zeros)
    with pytest.raises(LogInconsistentError):
        stand.log.attachment(sha256_hex(b"document"))


def test_duplicate_id_is_refused(stand: LogStand) -> None:
    """A second event with one id is refused, in a later transaction and in the same."""
    event = make_event()
    stand.log.append(event)
    with pytest.raises(DuplicateIDError):
        stand.log.append(event)
    twin = make_event()
    with pytest.raises(DuplicateIDError):
        stand.log.transact(lambda _: Outcome(value=0, events=(twin, twin)))

    assert _size(stand) == 2


def test_unknown_kind_is_refused(stand: LogStand) -> None:
    """A kind that nobody registered is refused."""
    with pytest.raises(KindUnknownError):
        stand.log.append(Event(id=str(uuid.uuid4()), kind="x.y", actor=Actor(type="user", id="a"), body={}))
    with pytest.raises(KindUnknownError):
        KindCatalogue({"app.event": "v1/audit/genesis"})


@pytest.mark.parametrize(
    "event",
    [
        Event(id="not-a-uuid", kind="app.event", actor=Actor(type="user", id="a"), body=make_event().body),
        Event(id=str(uuid.uuid4()), kind="app.event", actor=Actor(type="user", id=""), body=make_event().body),
        Event(id=str(uuid.uuid4()), kind="app.event", actor=Actor(type="user", id="a"), body={"event": 1.5}),
        Event(id=str(uuid.uuid4()), kind="app.event", actor=Actor(type="user", id="a"), body={"event": "x"}),
        Event(id=str(uuid.uuid4()), kind="app.event", actor=Actor(type="user", id="a"), body={"BAD": "x"}),
        Event(id=str(uuid.uuid4()), kind="app.event", actor=Actor(type="user", id="a"), body={"event": "x" * 40_000}),
        Event(id=str(uuid.uuid4()), kind="app.event", actor=Actor(type="user", id="\ud800"), body=make_event().body),
        Event(id=str(uuid.uuid4()), kind="log.genesis", actor=Actor(type="user", id="a"), body={"key": "a+00000000+A"}),
    ],
)
def test_malformed_event_is_refused(stand: LogStand, event: Event) -> None:
    """An event outside the record format or its schema is refused, and a second genesis is."""
    with pytest.raises(RecordInvalidError):
        stand.log.append(event)

    assert _size(stand) == 1


def test_time_never_goes_backwards(stand: LogStand) -> None:
    """When the clock is set back, records keep the time of the record before."""
    first = parse_record(stand.log.append(make_event()).record)["ts"]
    stand.clock.now -= 10**12

    assert parse_record(stand.log.append(make_event()).record)["ts"] == first


def test_opening_again_changes_nothing(stand: LogStand) -> None:
    """`create` on our own log is harmless; on a log of another key or origin it is refused."""
    stand.fill(2)
    stand.log.create()

    assert _size(stand) == 3
    for name, seed in ((ORIGIN, bytes(32)), ("other.example", bytes(range(32)))):
        foreign = AuditLog(
            engine=stand.engine,
            signer=make_signer(name, seed),
            clock=stand.clock,
            catalogue=KindCatalogue({}),
            instance="t",
        )
        with pytest.raises(LogForeignError):
            foreign.create()
        with pytest.raises(LogForeignError):
            foreign.append(make_event())


def _zeros(_before: bytes) -> bytes:
    return bytes(32)


def _fake(before: bytes) -> bytes:
    return before.replace(b"tested", b"faked!")


DAMAGE: dict[str, Callable[[LogStand], None]] = {
    "last-record-gone": lambda stand: stand.edit("DELETE FROM audit_entry WHERE seq = 4"),
    "head-too-small": lambda stand: stand.edit("UPDATE audit_head SET size = 4"),
    "head-of-another-record": lambda stand: stand.change("audit_head", "leaf", "size = 5", _zeros),
    "last-record-edited": lambda stand: stand.change("audit_entry", "body", "seq = 4", _fake),
}
OLDER_DAMAGE: dict[str, Callable[[LogStand], None]] = {
    "column-edited": lambda stand: stand.edit("UPDATE audit_entry SET kind = 'gate.decision' WHERE seq = 4"),
    "last-checkpoint-gone": lambda stand: stand.edit("DELETE FROM audit_checkpoint WHERE size = 5"),
    "all-checkpoints-gone": lambda stand: stand.edit("DELETE FROM audit_checkpoint"),
    "checkpoint-edited": lambda stand: stand.change(
        "audit_checkpoint", "note", "size = 5", lambda note: note.replace(b"\n5\n", b"\n4\n")
    ),
    "node-edited": lambda stand: stand.change("audit_node", "hash", "level = 2", _zeros),
    "node-gone": lambda stand: stand.edit("DELETE FROM audit_node WHERE level = 2"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_end_stops_appending(stand: LogStand, damage: str) -> None:
    """A log that does not end where this process signed it is not appended to, and is not ready."""
    stand.fill(4)
    DAMAGE[damage](stand)
    with pytest.raises(LogInconsistentError):
        stand.log.append(make_event())
    with pytest.raises(LogInconsistentError):
        stand.log.check_head()


@pytest.mark.parametrize("damage", [*DAMAGE, *OLDER_DAMAGE])
def test_damaged_end_stops_a_new_process(stand: LogStand, damage: str) -> None:
    """A process that did not write the end looks at all of it: records, columns, tree and checkpoint."""
    stand.fill(4)
    {**DAMAGE, **OLDER_DAMAGE}[damage](stand)
    with pytest.raises(LogInconsistentError):
        stand.reopened().append(make_event())
    with pytest.raises(LogInconsistentError):
        stand.log.check_head()


def test_signed_and_stored_counts_are_named(stand: LogStand) -> None:
    """A database that contradicts its own newest checkpoint says by how much."""
    stand.fill(4)
    stand.edit("DELETE FROM audit_checkpoint WHERE size = 5")
    with pytest.raises(LogInconsistentError, match="want 4 records, as was signed, got 5"):
        stand.log.check_head()


def test_a_restored_backup_is_refused(stand: LogStand) -> None:
    """A database that lost what was signed gets no record more, from this process or a new one, and says what helps."""
    stand.fill(4)
    stand.cut(3)
    for log in (stand.log, stand.reopened()):
        with pytest.raises(LogBehindError, match=r"want the 5 records that were signed, got 3.*lockgate audit recover"):
            log.append(make_event())
        with pytest.raises(LogBehindError):
            log.check_head()

    assert [record.seq for record in stand.log.records()] == [0, 1, 2]


@pytest.mark.parametrize("looked", [False, True])
@pytest.mark.parametrize("kept", [5, 6])
def test_a_restored_backup_is_refused_by_who_wrote_before(stand: LogStand, kept: int, *, looked: bool) -> None:
    """A process that last wrote before the backup was made refuses it too: others' checkpoints are in the file."""
    stand.fill(4)
    other = stand.reopened()
    for _ in range(3):
        other.append(make_event())
    if looked:
        stand.log.check_head()
    stand.cut(kept)  # exactly where this process last wrote, and beyond
    with pytest.raises(LogBehindError):
        stand.log.append(make_event())
    with pytest.raises(LogBehindError):
        stand.log.check_head()


def test_an_edited_last_record_is_not_signed_over(stand: LogStand) -> None:
    """A last record that was edited together with its leaf and the head is not what was signed, whatever the size."""
    for size in (4, 5):
        stand.fill(size - open_checkpoint(stand.log.checkpoint(), [stand.signer.verifier_key]).size)
        (record,) = stand.log.records(after=size - 2, limit=1)
        forged = record.body.replace(b"tested", b"faked!")
        for body, leaf in ((forged, leaf_hash(forged)), (record.body, record.leaf)):
            stand.edit("UPDATE audit_entry SET body = ?, leaf = ? WHERE seq = ?", body, leaf, size - 1)
            stand.edit("UPDATE audit_head SET leaf = ?", leaf)
            if body == forged:
                with pytest.raises(LogInconsistentError):
                    stand.reopened().check_head()
                with pytest.raises(LogInconsistentError):
                    stand.reopened().append(make_event())
        stand.reopened().check_head()


def test_a_child_of_a_fork_begins_anew(stand: LogStand) -> None:
    """A process that has written and then forks leaves each child a log that works beside its own: one chain."""
    stand.fill(3)
    children = []
    for _ in range(PROCESSES):
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            code = 1
            try:
                stand.fill(5)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    stand.fill(5)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    assert codes == [0] * PROCESSES
    verification = verify_export(stand.export(), stand.signer)
    assert (verification.verdict, verification.size) == ("valid", 4 + 5 + 5 * PROCESSES)


def test_a_log_rewritten_elsewhere_is_refused(stand: LogStand) -> None:
    """A log of the right length that is not the one that was signed is refused by whoever holds the checkpoint file."""
    stand.fill(4)
    stand.cut(3)
    elsewhere = stand.reopened(elsewhere=True)
    for _ in range(3):
        elsewhere.append(make_event())
    for log in (stand.log, stand.reopened()):
        with pytest.raises(LogInconsistentError, match="the first 5 records are not those that were signed"):
            log.append(make_event())


def test_a_deleted_database_is_not_begun_anew(stand: LogStand) -> None:
    """A new log is refused where the checkpoint file tells of an old one."""
    stand.fill(1)
    for table in ("audit_entry", "audit_node", "audit_checkpoint", "audit_head"):
        stand.edit(f"DELETE FROM {table}")  # noqa: S608 - a test's own names
    with pytest.raises(LogForeignError, match="where is its database"):
        stand.reopened().create()


def test_nothing_is_acknowledged_that_is_not_outside_too(stand: LogStand) -> None:
    """When the checkpoint file cannot be written the caller is told so; the log goes on when it can be again."""
    stand.checkpoint_file.unlink()
    stand.checkpoint_file.mkdir()
    for _ in range(2):
        with pytest.raises(CheckpointFileError):
            stand.log.append(make_event())

    with pytest.raises(CheckpointFileError):
        stand.log.check_head()

    assert _size(stand) == 1
    stand.checkpoint_file.rmdir()
    assert stand.log.append(make_event()).seq == 1
    stand.log.check_head()


def test_one_bad_job_harms_no_other(stand: LogStand) -> None:
    """In one transaction the job that fails is undone alone; the others' changes and records stay."""

    def work(name: str, *, fail: bool) -> Callable[[Connection], Outcome[str]]:
        def run(connection: Connection) -> Outcome[str]:
            connection.execute(insert(audit_attachment).values(log=ORIGIN, sha256=name * 64, body=b""))
            if fail:
                raise ZeroDivisionError
            return Outcome(value=name, events=(make_event(name),))

        return run

    jobs: list[_Job[str]] = [_Job(work(name, fail=name == "b")) for name in "abc"]
    jobs.append(_Job(work("a", fail=False)))  # the row is there already
    stand.log._write(lambda: jobs)

    assert [jobs[0].result().value, jobs[2].result().value] == ["a", "c"]
    with pytest.raises(ZeroDivisionError):
        jobs[1].result()
    with pytest.raises(StorageError, match="refused a row"):
        jobs[3].result()
    assert verify_export(stand.export(), stand.signer).size == 3
    with pytest.raises(RecordUnknownError):
        stand.log.attachment("b" * 64)


def test_a_stopped_writer_acknowledges_nothing(stand: LogStand) -> None:
    """When the thread that writes for all is interrupted, nobody gets a receipt, and nothing is written."""

    def interrupt(_connection: Connection) -> Outcome[str]:
        raise KeyboardInterrupt

    jobs: list[_Job[Any]] = [_Job(None, (make_event(),)), _Job(interrupt)]
    with pytest.raises(KeyboardInterrupt):
        stand.log._write(lambda: jobs)
    with pytest.raises(AuditError, match="not known"):
        jobs[0].result()

    assert _size(stand) == 1


def test_records_are_append_only(stand: LogStand) -> None:
    """The database itself refuses to change or delete what is recorded, until somebody drops its triggers."""
    stand.fill(1)
    truncating = [
        f"TRUNCATE {table}{cascade}"
        for table in ("audit_entry", "audit_checkpoint", "audit_node", "audit_head", "audit_attachment", "audit_erased")
        for cascade in ("", " CASCADE")
    ]
    for statement in (
        *(truncating if stand.engine.dialect.name == "postgresql" else ()),  # which fires no trigger of a row
        "UPDATE audit_entry SET actor = 'mallory'",
        "DELETE FROM audit_entry",
        "DELETE FROM audit_checkpoint",
        "UPDATE audit_checkpoint SET size = size + 1",
        "UPDATE audit_node SET level = 9",
        "DELETE FROM audit_node",
        "UPDATE audit_head SET size = 1",
        "DELETE FROM audit_head",
    ):
        with stand.engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
            connection.exec_driver_sql(statement)

    assert verify_export(stand.export(), stand.signer).size == 2


def test_proofs_hold_between_all_sizes(stand: LogStand) -> None:
    """Served inclusion and consistency proofs lead to the roots that were signed at those sizes."""
    receipts = [stand.log.receipt(0), *(stand.log.append(make_event()) for _ in range(11))]
    key = stand.signer.verifier_key
    signed = [open_checkpoint(item.proof.partition("\n\n")[2].encode(), [key]).root for item in receipts]
    for size in range(1, 13):
        for seq in range(size):
            path = stand.log.inclusion_proof(seq, size)
            assert root_from_inclusion(leaf_hash(receipts[seq].record), seq, size, path) == signed[size - 1]
        for old in range(1, size + 1):
            check_consistency(old, size, signed[old - 1], signed[size - 1], stand.log.consistency_proof(old, size))


def test_what_is_beyond_the_log_is_unknown(stand: LogStand) -> None:
    """Records, sizes, ids and attachments that are not there are named as unknown."""
    for ask in (
        lambda: stand.log.receipt(1),
        lambda: stand.log.receipt(-1),
        lambda: stand.log.inclusion_proof(1, 1),
        lambda: stand.log.inclusion_proof(0, 2),
        lambda: stand.log.consistency_proof(0, 1),
        lambda: stand.log.consistency_proof(1, 2),
        lambda: stand.log.receipt_by_id("x"),
        lambda: stand.log.attachment("0" * 64),
    ):
        with pytest.raises(RecordUnknownError):
            ask()


def test_records_are_paged_and_narrowed(stand: LogStand) -> None:
    """Records come in order, after a cursor, by kind and by actor."""
    stand.fill(5)

    assert [record.seq for record in stand.log.records(limit=3)] == [0, 1, 2]
    assert [record.seq for record in stand.log.records(after=2, limit=2)] == [3, 4]
    assert [record.seq for record in stand.log.records(kind="log.genesis")] == [0]
    assert [record.seq for record in stand.log.records(actor="ann@example.com", after=4)] == [5]
    assert stand.log.records(actor="nobody") == ()


def test_threads_make_one_chain(stand: LogStand) -> None:
    """Many threads append to one log: one chain, no break, every receipt good."""
    receipts: list[Receipt] = []

    def append() -> None:
        receipts.extend(stand.log.append(make_event()) for _ in range(10))

    threads = [threading.Thread(target=append) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(receipt.seq for receipt in receipts) == list(range(1, 10 * THREADS + 1))
    assert verify_export(stand.export(), stand.signer).verdict == "valid"


def test_processes_make_one_chain(stand: LogStand) -> None:
    """Several processes append to one log: one chain, no break."""
    writers = [_writer(stand, 15) for _ in range(PROCESSES)]
    seqs = [int(line) for writer in writers for line in writer.communicate()[0].split()]

    assert sorted(seqs) == list(range(1, 15 * PROCESSES + 1))
    verification = verify_export(stand.export(), stand.signer)
    assert (verification.verdict, verification.size) == ("valid", 15 * PROCESSES + 1)


@pytest.mark.parametrize("lines", [1, 3, 7])
def test_killed_writer_loses_nothing_acknowledged(stand: LogStand, lines: int) -> None:
    """After SIGKILL the log is whole, holds every acknowledged record, and goes on."""
    writer = _writer(stand, 1000)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(lines)]
    writer.send_signal(signal.SIGKILL)
    writer.communicate()
    stand.fill(1)

    verification = verify_export(stand.export(), stand.signer)
    assert verification.verdict == "valid"
    assert verification.size > max(acknowledged)


def test_structlog_event_becomes_a_record(stand: LogStand) -> None:
    """The processor records an event with its facts and passes it on unchanged."""
    processor = AuditProcessor(stand.log, actor=Actor(type="system", id="reviews"), clock=stand.clock)
    event = {"event": "access_reviewed", "level": "info", "count": 3, "ratio": 0.5, "big": 2**60, "ok": True}

    assert processor(None, "info", event.copy()) == event
    body = parse_record(stand.log.records(kind="app.event")[0].body)["body"]
    assert body["event"] == "access_reviewed"
    assert {fact["name"]: fact["value"] for fact in body["facts"]} == {
        "count": 3,
        "ratio": "0.5",
        "big": str(2**60),
        "ok": True,
    }


def test_structlog_processor_raises_when_it_cannot_write(stand: LogStand) -> None:
    """An event that is not recorded is not passed on: the caller learns of it."""
    processor = AuditProcessor(stand.log, actor=Actor(type="system", id="reviews"), clock=stand.clock)
    with pytest.raises(RecordInvalidError):
        processor(None, "info", {"event": "x", "secret": "y" * 5000})
    stand.change("audit_head", "leaf", "size = 1", _zeros)
    with pytest.raises(LogInconsistentError):
        processor(None, "info", {"event": "x"})


def test_verifying_needs_no_database() -> None:
    """Whoever only verifies loads neither SQLAlchemy nor Flask."""
    code = (
        "import sys, lockgate.audit, lockgate.audit.verification.verifier, lockgate.audit.verification.export_folder;"
        "assert not {'sqlalchemy', 'flask'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
