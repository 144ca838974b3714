"""Ten ways in which home-made audit chains failed in the field, each shown not to be ours, on both databases.

The numbers are those of the threat model (docs/threat-model.md).
"""

import contextlib
import itertools
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text

from lockgate.audit import (
    Actor,
    CheckpointFileError,
    Outcome,
    open_checkpoint,
)
from lockgate.audit.errors import LogReentrantError
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.records import parse_record
from lockgate.audit.keeping.erasing import erase
from lockgate.audit.structlog_processor import AuditProcessor
from lockgate.audit.writing.append_store import AppendStore
from lockgate.clock import EpochNs
from lockgate.digests import sha256_hex
from lockgate.storage import read_transaction, write_transaction
from lockgate.storage.tables import audit_checkpoint, audit_entry
from support.audit_logs import ORIGIN, LogStand, make_event, make_stand, verify_export
from support.log_nursery import Child, Nursery

PROCESSES = 3
THREADS = 4
TURNS = 100  # at least; some four hundred records


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[LogStand]:
    """A log with nothing but its genesis record; every test here runs on both databases."""
    made = make_stand(tmp_path, database_url)
    yield made
    made.engine.dispose()


def _verdict(stand: LogStand) -> str:
    return verify_export(stand.export(), stand.signer).verdict


def _write_at_once(stand: LogStand) -> tuple[list[Child], list[str], range]:
    """Let processes of several threads each append until enough was written.

    Returns:
        The processes, now dead; all their answers; and the sizes of the log between which all of them were at work.
    """
    with contextlib.closing(Nursery(stand.folder / "meeting")) as nursery:
        children = [nursery.child(stand) for _ in range(PROCESSES)]
        answers = [child.append() for child in children]
        begin = read_checkpoint(stand.log.checkpoint()).size
        for child in children:
            child.append_for_ever(THREADS)
        while len(_turns(stand, range(begin, sys.maxsize))) < TURNS:
            time.sleep(0.05)
        end = read_checkpoint(stand.log.checkpoint()).size
        for child in children:
            answers += child.kill()
    return children, answers, range(begin, end)


def _turns(stand: LogStand, sizes: range) -> list[str]:
    """Return which process wrote each batch by which the log grew within these sizes, in order."""
    with read_transaction(stand.engine) as connection:
        last = audit_checkpoint.c.size == audit_entry.c.seq + 1
        query = select(audit_entry.c.body, audit_entry.c.seq).join(audit_checkpoint, last).order_by(audit_entry.c.seq)
        return [parse_record(bytes(body))["inst"] for body, seq in connection.execute(query) if seq in sizes]


def test_f1_concurrent_writers_do_not_fork(stand: LogStand) -> None:
    """F1: processes with several threads each, all at once, make one chain, no position given twice, none refused."""
    children, answers, _ = _write_at_once(stand)
    acknowledged = [seq for child in children for seq in child.acknowledged]

    assert all(child.acknowledged for child in children)
    assert [answer for answer in answers if not answer.startswith("ok ")] == []
    assert len(set(acknowledged)) == len(acknowledged)
    assert _verdict(stand) == "valid"


def test_no_writer_is_starved(stand: LogStand) -> None:
    """While several processes write all the time, each gets its turns, and who has just written lets another go first.

    A third of an even share, and every other turn handed over, are what a machine with much else to do still gives.
    """
    children, _, sizes = _write_at_once(stand)
    turns = _turns(stand, sizes)
    shares = {child.pid: turns.count(str(child.pid)) / len(turns) for child in children}
    handed_over = sum(before != after for before, after in itertools.pairwise(turns))

    assert min(shares.values()) > 1 / PROCESSES / 3, shares
    assert handed_over > len(turns) / 2, turns


def test_f2_the_head_serialises_writers(stand: LogStand) -> None:
    """F2: who waits for the head sees the newest size when it gets it, not that of when it began to wait."""
    seen: list[int] = []
    waiting = threading.Event()

    def second() -> None:
        with write_transaction(stand.engine) as connection:
            waiting.set()
            head = AppendStore(connection, ORIGIN).lock_head()
            seen.append(head.size if head else 0)

    with write_transaction(stand.engine) as connection:
        rows = AppendStore(connection, ORIGIN)
        head = rows.lock_head()
        assert head is not None
        thread = threading.Thread(target=second)
        thread.start()
        if connection.dialect.name == "postgresql":  # on SQLite it waits before its transaction begins
            assert waiting.wait(10)
            time.sleep(0.2)
        connection.execute(text("UPDATE audit_head SET size = 2"))
    thread.join(10)

    assert seen == [2]


def test_f3_no_other_isolation_level_can_be_configured(stand: LogStand) -> None:
    """F3: a database whose default is REPEATABLE READ, under which who waited sees a stale head, changes nothing."""
    if stand.engine.dialect.name == "postgresql":
        with stand.engine.connect() as connection:
            name = connection.scalar(text("SELECT current_database()"))
            connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'"))
            connection.commit()
        stand.engine.dispose()
    threads = [threading.Thread(target=stand.fill, args=(10,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    stand.reopened().append(make_event())
    for thread in threads:
        thread.join()

    assert verify_export(stand.export(), stand.signer).size == 10 * THREADS + 2


def test_f4_work_may_read_by_another_connection(stand: LogStand) -> None:
    """F4: work under the log's lock that uses a second connection, or calls its own log, does not wait for itself."""

    def reads(_connection: Connection) -> Outcome[int]:
        with read_transaction(stand.engine) as other:
            count = len(other.execute(select(audit_entry.c.seq)).all())
        return Outcome(value=count, events=(make_event(),))

    def appends(_connection: Connection) -> Outcome[None]:
        stand.log.append(make_event())
        return Outcome(value=None, events=(make_event(),))

    assert stand.log.transact(reads).value == 1
    with pytest.raises(LogReentrantError):
        stand.log.transact(appends)
    stand.fill(1)
    assert _verdict(stand) == "valid"


def test_f5_the_stored_time_is_the_hashed_time(stand: LogStand) -> None:
    """F5: a clock of nanoseconds, finer than what a database keeps, changes nothing between hashing and reading."""
    stand.clock.now = 1_700_000_000_123_456_789
    stand.fill(3)
    with read_transaction(stand.engine) as connection:
        rows = connection.execute(select(audit_entry.c.body, audit_entry.c.ts)).all()

    assert all(parse_record(bytes(body))["ts"] == ts for body, ts in rows)
    assert _verdict(stand) == "valid"


def test_f6_no_database_rewrites_what_is_hashed(stand: LogStand) -> None:
    """F6: key order, numbers and odd characters come back byte for byte: bodies are bytes, no JSON of a database."""
    facts = [
        {"name": "zz", "value": 1},
        {"name": "a\u2028\U0001f600\\u0041\"'\x1f\x7f", "value": "\ufeff\ufffe é e\u0301"},
    ]
    event = make_event()
    body = {**event.body, "facts": facts}
    receipt = stand.log.append(type(event)(id=event.id, kind=event.kind, actor=event.actor, body=body))

    assert stand.log.receipt(receipt.seq).record == receipt.record
    assert parse_record(receipt.record)["body"]["facts"] == facts
    assert _verdict(stand) == "valid"


def test_f7_order_is_the_position_not_the_time(stand: LogStand) -> None:
    """F7: records of one instant, and of a clock that was set back, verify: the order is `seq`."""
    for step in (0, -(10**15), 5, -(10**9)):
        stand.clock.now = EpochNs(stand.clock.now + step)
        stand.log.transact(lambda _: Outcome(value=0, events=tuple(make_event() for _ in range(5))))

    assert _verdict(stand) == "valid"


def test_f8_a_cut_tail_is_found(stand: LogStand) -> None:
    """F8: a log that lost its tail, or was rewritten at the same length, is found by whoever kept one checkpoint."""
    stand.fill(5)
    kept = stand.log.checkpoint()
    stand.cut(4)
    shorter = verify_export(stand.export("shorter"), stand.signer, held=(kept,))
    elsewhere = stand.reopened(elsewhere=True)
    for _ in range(2):
        elsewhere.append(make_event())
    rewritten = verify_export(stand.export("rewritten"), stand.signer, held=(kept,))

    assert open_checkpoint(kept, [stand.signer.verifier_key]).size == rewritten.size == 6
    assert (shorter.verdict, shorter.problems[0].code, shorter.first_bad_seq) == ("tampered", "truncated", 4)
    assert (rewritten.verdict, rewritten.problems[0].code) == ("tampered", "root_mismatch")


def test_f9_a_write_that_fails_is_not_swallowed(stand: LogStand) -> None:
    """F9: an application that logs through the processor learns of it when the record could not be written."""
    processor = AuditProcessor(stand.log, actor=Actor(type="system", id="reviews"), clock=stand.clock)
    stand.checkpoint_file.unlink()
    stand.checkpoint_file.mkdir()
    with pytest.raises(CheckpointFileError):
        processor(None, "info", {"event": "access_reviewed"})


def test_f10_erasing_changes_no_record(stand: LogStand) -> None:
    """F10: personal data can go, and every hash still holds."""
    document = b"a disclosure of somebody's name"
    receipt = stand.log.append(make_event(attachments=(document,)))
    erase(
        stand.engine, stand.log, [sha256_hex(document)], reason="the person asked", actor=Actor(type="user", id="dpo")
    )

    assert stand.log.receipt(receipt.seq).record == receipt.record
    assert _verdict(stand) == "valid"
