"""Queries: by kind, actor, subject and time, in both orders, page by page."""

import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from lockgate.audit import APP_EVENT, Actor, Event, LogInconsistentError, StoredRecord
from lockgate.audit.formats.records import parse_record
from lockgate.audit.reading.queries import each_record, parse_bound
from lockgate.audit.reading.reader import LogReader
from lockgate.audit.types import RecordFilter
from lockgate.clock import EpochNs, TimestampError, format_timestamp, parse_timestamp
from lockgate.storage import open_engine, read_transaction
from support.audit_logs import ORIGIN, LogStand, make_stand
from support.large_logs import cut_front, lengthen

ACTORS = ["ann", "bob"]
SUBJECTS = [None, "model:a", "model:b"]
RECORDS = 24


def _fill(stand: LogStand) -> None:
    for number in range(RECORDS - 1):
        stand.log.append(
            Event(
                id=str(uuid.uuid4()),
                kind=APP_EVENT,
                actor=Actor(type="user", id=ACTORS[number % 2]),
                subject=SUBJECTS[number % 3],
                body={"event": "e", "level": "info", "facts": []},
            )
        )
        if number % 4:  # records of one instant, too
            stand.clock.now -= 1_000_000


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> LogStand:
    """A log of two dozen records by two actors about two subjects."""
    stand = make_stand(tmp_path_factory.mktemp("queries"))
    _fill(stand)
    return stand


def _times(log: LogReader) -> list[EpochNs]:
    return [parse_timestamp(parse_record(record.body)["ts"]) for record in log.find(RecordFilter(), limit=1000)]


def _meets(record: StoredRecord, wanted: RecordFilter) -> bool:
    said = parse_record(record.body)
    time = parse_timestamp(said["ts"])
    return (
        wanted.kind in {None, said["kind"]}
        and wanted.actor in {None, said["actor"]["id"]}
        and wanted.subject in {None, said.get("subject")}
        and (wanted.since is None or time >= wanted.since)
        and (wanted.until is None or time < wanted.until)
    )


def _all_pages(log: LogReader, wanted: RecordFilter, limit: int, *, newest_first: bool) -> list[StoredRecord]:
    found: list[StoredRecord] = []
    while page := log.find(wanted, after=found[-1].seq if found else None, limit=limit, newest_first=newest_first):
        assert len(page) <= limit
        found += page
    return found


@given(data=st.data(), limit=st.integers(1, RECORDS), newest_first=st.booleans())
@settings(deadline=None, max_examples=120)
def test_pages_are_what_reading_everything_would_choose(
    filled: LogStand, data: st.DataObject, limit: int, *, newest_first: bool
) -> None:
    """Whatever the conditions, order and page: exactly the records that meet them, each once, in order."""
    times = _times(filled.log)
    near = st.none() | st.builds(
        lambda time, off: EpochNs(time + off), st.sampled_from(times), st.sampled_from([-1000, 0, 1000])
    )
    wanted = RecordFilter(
        kind=data.draw(st.sampled_from([None, APP_EVENT, "log.genesis", "log.none"])),
        actor=data.draw(st.sampled_from([None, *ACTORS, "nobody"])),
        subject=data.draw(st.sampled_from([*SUBJECTS, "model:"])),
        since=data.draw(near),
        until=data.draw(near),
    )
    expected = [record for record in filled.log.find(RecordFilter(), limit=1000) if _meets(record, wanted)]
    with read_transaction(filled.engine) as connection:
        streamed = list(each_record(connection, ORIGIN, wanted))

    assert streamed == expected
    assert _all_pages(filled.log, wanted, limit, newest_first=newest_first) == expected[:: -1 if newest_first else 1]


def test_both_databases_answer_alike(database_url: str, tmp_path: Path) -> None:
    """Every condition at once, on PostgreSQL and SQLite."""
    stand = make_stand(tmp_path, database_url)
    _fill(stand)
    times = _times(stand.log)
    wanted = RecordFilter(kind=APP_EVENT, actor="bob", subject="model:b", since=times[3], until=times[-1])
    newest = stand.log.find(wanted, newest_first=True)

    assert newest
    assert all(_meets(record, wanted) for record in newest)
    assert newest == stand.log.find(wanted)[::-1]
    assert stand.log.find(RecordFilter(subject="model:b' OR 1=1 --")) == ()
    stand.engine.dispose()


def test_since_counts_its_instant_and_until_does_not(filled: LogStand) -> None:
    """Two neighbouring spans share no record and miss none."""
    middle = _times(filled.log)[10]
    before = filled.log.find(RecordFilter(until=middle))
    after = filled.log.find(RecordFilter(since=middle))

    assert [record.seq for record in (*before, *after)] == list(range(RECORDS))
    assert parse_record(after[0].body)["ts"] == format_timestamp(middle)


def test_a_cursor_never_widens_the_span(filled: LogStand) -> None:
    """A cursor from outside the times asked for leads to their beginning, in each order."""
    times = sorted(set(_times(filled.log)))
    wanted = RecordFilter(since=times[2], until=times[5])
    seqs = [record.seq for record in filled.log.find(wanted)]

    assert [record.seq for record in filled.log.find(wanted, after=0)] == seqs
    assert [record.seq for record in filled.log.find(wanted, after=RECORDS, newest_first=True)] == seqs[::-1]
    assert filled.log.find(wanted, after=seqs[-1]) == filled.log.find(wanted, after=seqs[0], newest_first=True) == ()


def test_a_page_has_a_limit(stand: LogStand) -> None:
    """No page holds more than a thousand records, whatever is asked for."""
    lengthen(stand.engine, stand.signer, 1100)

    assert len(stand.log.find(RecordFilter(), limit=10**9)) == 1000


def test_times_are_found_in_a_pruned_log(stand: LogStand) -> None:
    """What was pruned is neither found nor looked for."""
    lengthen(stand.engine, stand.signer, 600)
    times = _times(stand.log)
    stand.edit("SELECT 1")  # without its triggers
    cut_front(stand.engine, 512)

    assert [record.seq for record in stand.log.find(RecordFilter(since=times[3]), limit=2)] == [512, 513]
    assert [record.seq for record in stand.log.find(RecordFilter(since=times[590], until=times[592]))] == [590, 591]
    assert stand.log.find(RecordFilter(until=times[500])) == ()


def test_a_missing_record_is_not_searched_past(stand: LogStand) -> None:
    """Where the record that a search looks at is gone, there is no answer rather than a wrong one."""
    stand.fill(2)
    stand.edit("DELETE FROM audit_entry WHERE seq = 1")

    with pytest.raises(LogInconsistentError):
        stand.log.find(RecordFilter(since=EpochNs(stand.clock.now)))


@pytest.mark.parametrize("wanted", [RecordFilter(kind="x.y"), RecordFilter(actor="x"), RecordFilter(subject="x")])
def test_a_narrow_query_uses_its_index(stand: LogStand, wanted: RecordFilter) -> None:
    """No query reads the whole log to find a few records of one kind, actor or subject."""
    statements: list[tuple[str, Any]] = []

    @event.listens_for(stand.engine, "before_cursor_execute")
    def remember(*call: Any) -> None:
        statements.append((call[2], call[3]))

    stand.log.find(wanted, limit=5)
    statement, values = statements[-1]
    with stand.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).scalars("detail").all()
    (column,) = (name for name in ("kind", "actor", "subject") if getattr(wanted, name))

    assert [f"ix_audit_entry_log_{column}_seq" in step for step in plan] == [True]


def test_a_database_without_the_log_holds_no_records(stand: LogStand) -> None:
    """Another origin's records are not given."""
    other = LogReader(open_engine(stand.url), "other.example/audit")

    assert other.find(RecordFilter()) == ()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-23T09:00:00Z", "2026-11-23T09:00:00.000000Z"),
        ("2026-11-23T09:00:00.5Z", "2026-11-23T09:00:00.500000Z"),
        ("2026-11-23T09:00:00.000001Z", "2026-11-23T09:00:00.000001Z"),
    ],
)
def test_bounds_may_be_coarse(written: str, meant: str) -> None:
    """Seconds, or up to six digits of a fraction."""
    assert parse_bound(written) == parse_timestamp(meant)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "2026-11-23",
        "2026-11-23T09:00Z",
        "2026-11-23T09:00:00",
        "2026-11-23t09:00:00z",
        "2026-11-23 09:00:00Z",
        "2026-11-23T09:00:00+00:00",
        "2026-11-23T09:00:00.Z",
        "2026-11-23T09:00:00.0000001Z",
        "2026-02-30T09:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T09:00:60Z",
        "2026-11-23T09:00:00Z\n",
        "\u0662026-11-23T09:00:00Z",
        "now",
    ],
)
def test_bounds_are_rfc_3339_in_utc(written: str) -> None:
    """No other zone, no local time, no date alone, no instant that does not exist."""
    with pytest.raises(TimestampError):
        parse_bound(written)
