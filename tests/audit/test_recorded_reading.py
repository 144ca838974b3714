"""Reads are recorded before they are answered, or not answered."""

import pytest

from lockgate.audit import Actor, LogInconsistentError, RecordInvalidError, RecordUnknownError
from lockgate.audit.formats.records import parse_record
from lockgate.audit.keeping.recorded_reading import RecordedReader, describe
from lockgate.audit.types import RecordFilter
from lockgate.clock import EpochNs
from lockgate.storage import StorageError, read_transaction, write_transaction
from support.audit_logs import LogStand

AUDE = Actor(type="user", id="aude", roles=("auditor",))
TRACE = "6f1f1c0a-0000-4000-8000-000000000001"


@pytest.fixture
def reader(stand: LogStand) -> RecordedReader:
    """A log of four records, read by somebody."""
    stand.fill(3)
    return RecordedReader(stand.log, AUDE, TRACE)


def _newest(stand: LogStand) -> dict[str, object]:
    (record,) = stand.log.find(RecordFilter(), limit=1, newest_first=True)
    return parse_record(record.body)


def test_a_query_is_recorded_with_its_reader(stand: LogStand, reader: RecordedReader) -> None:
    """The record says who asked for what, in which request, and how many records were given."""
    page = reader.find(RecordFilter(kind="app.event", actor="ann@example.com"), after=1, limit=5, newest_first=False)
    record = _newest(stand)

    assert [stored.seq for stored in page] == [2, 3]
    assert record["kind"] == "log.read"
    assert record["actor"] == {"type": "user", "id": "aude", "roles": ["auditor"]}
    assert record["trace"] == TRACE
    assert record["body"] == {
        "query": "kind=app.event\nactor=ann@example.com\nafter=1\nlimit=5\norder=asc",
        "count": 2,
    }


def test_one_record_is_recorded_too(stand: LogStand, reader: RecordedReader) -> None:
    """Reading one record leaves its position; one that is not there leaves nothing."""
    assert reader.receipt(2) == stand.log.receipt(2)
    assert _newest(stand)["body"] == {"query": "seq=2", "count": 1}
    with pytest.raises(RecordUnknownError):
        reader.receipt(99)
    assert _newest(stand)["body"] == {"query": "seq=2", "count": 1}


def test_an_export_is_announced(stand: LogStand, reader: RecordedReader) -> None:
    """The record says what the log held, in which form it goes out and what was chosen."""
    reader.announce_export("csv", RecordFilter(subject="model:a", since=EpochNs(0)))
    record = _newest(stand)

    assert record["kind"] == "log.export"
    assert record["body"] == {
        "size": 4,
        "format": "csv",
        "filter": "subject=model:a\nsince=1970-01-01T00:00:00.000000Z",
    }


def test_what_cannot_be_recorded_is_not_answered(stand: LogStand, reader: RecordedReader) -> None:
    """A log that takes no more records gives none either, while reading alone still works."""
    stand.edit("DELETE FROM audit_entry WHERE seq = 3")
    for read in (lambda: reader.find(RecordFilter(), limit=1), lambda: reader.receipt(1)):
        with pytest.raises(LogInconsistentError):
            read()
    with pytest.raises(LogInconsistentError):
        reader.announce_export("folder", RecordFilter())

    assert stand.log.receipt(1).seq == 1


def test_a_database_that_cannot_be_written_is_not_read(
    stand: LogStand, reader: RecordedReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another writer holds the lock for good, there is no answer."""
    monkeypatch.setattr("lockgate.storage.database.WRITE_WAIT_S_MAX", 0.1)
    with write_transaction(stand.engine), pytest.raises(StorageError):
        reader.find(RecordFilter(), limit=1)
    with read_transaction(stand.engine):
        assert reader.find(RecordFilter(), limit=1)


def test_reading_for_the_gate_itself_leaves_nothing(stand: LogStand) -> None:
    """Receipts, proofs, checkpoints and tiles that no person asked for are not recorded."""
    stand.fill(1)
    stand.log.receipt(1)
    stand.log.records()
    stand.log.inclusion_proof(0, 2)
    stand.log.published_checkpoint()

    assert _newest(stand)["seq"] == 1


def test_the_longest_query_fits_its_record() -> None:
    """Conditions of full length are below what the record's schema allows."""
    widest = RecordFilter(
        kind="k" * 64, actor="\U0001f512" * 255, subject="s" * 255, since=EpochNs(0), until=EpochNs(0)
    )

    assert len(describe(widest, after=10**18, limit=1000, order="desc")) <= 1000


def test_a_condition_cannot_pass_for_two() -> None:
    """A line break in a value is refused."""
    with pytest.raises(RecordInvalidError):
        describe(RecordFilter(actor="ann\nkind=log.genesis"))
