"""Events by cursor: whatever comes meanwhile and however pages are cut, nothing is missed and nothing comes twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from lockgate.audit import RecordPrunedError, RecordUnknownError
from lockgate.delivery import reading
from lockgate.delivery.reading import EventReader
from lockgate.gate_logs import LogNotConfiguredError
from lockgate.storage import open_engine, upgrade_schema, write_transaction
from support.receivers import DeliveryStand, make_delivery_stand


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[DeliveryStand]:
    """Logs to read, on both databases."""
    made = make_delivery_stand(tmp_path, database_url, "production")
    yield made
    made.database.dispose()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeliveryStand]:
    """One log that only ever grows, for many examples."""
    folder = tmp_path_factory.mktemp("events")
    url = f"sqlite:///{folder / 'lockgate.db'}"
    engine: Engine = open_engine(url)
    upgrade_schema(engine)
    made = make_delivery_stand(folder, url)
    yield made
    made.database.dispose()


def reader(stand: DeliveryStand) -> EventReader:
    """Read the stand's logs."""
    return EventReader(database=stand.database, logs=stand.logs, public_url="https://gate.example")


def read_to_end(stand: DeliveryStand, after: int, limit: int) -> tuple[list[int], int]:
    """Read page after page; return the places of the events, and the cursor at the end."""
    seqs: list[int] = []
    while True:
        page = reader(stand).page("", after=after, limit=limit, format_="cloudevents")
        assert len(page.events) <= limit
        seqs += [event.seq for event in page.events]
        after = page.last
        if page.at_end:
            return seqs, after


@given(
    batches=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(1, 5)), min_size=1, max_size=6),
    stretch=st.integers(1, 7),
)
@settings(deadline=None, max_examples=25)
def test_nothing_is_missed_or_repeated(
    shared: DeliveryStand, batches: list[tuple[int, int, int]], stretch: int
) -> None:
    """Events and other records come in any mixture between pages of any size: the reader gets each event once."""
    cursor = shared.logs.main.records(limit=1000)[-1].seq
    wanted: list[int] = []
    got: list[int] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reading, "STRETCH_RECORDS", stretch)
        for events, others, limit in batches:
            wanted += shared.withdraw(count=events)
            shared.note(count=others)
            seqs, cursor = read_to_end(shared, cursor, limit)
            got += seqs

    assert got == wanted


def test_from_the_beginning(stand: DeliveryStand) -> None:
    """Without a cursor the first page begins at the log's first record; each log has its own cursor."""
    main, production = stand.withdraw(count=2), stand.withdraw("production", count=1)

    page = reader(stand).page("", after=None, limit=100, format_="cloudevents")
    other = reader(stand).page("production", after=None, limit=100, format_="cloudevents")
    assert ([event.seq for event in page.events], page.last, page.at_end) == (main, main[-1], True)
    assert [event.seq for event in other.events] == production


def test_nothing_new(stand: DeliveryStand) -> None:
    """At the end a page is empty and gives the same cursor back."""
    (seq,) = stand.withdraw()
    page = reader(stand).page("", after=seq, limit=10, format_="cloudevents")

    assert (page.events, page.last, page.at_end) == ((), seq, True)


def test_large_events_make_small_pages(stand: DeliveryStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends before it grows too large, but holds at least one event."""
    monkeypatch.setattr(reading, "PAGE_BYTES_MAX", 10)
    seqs = stand.withdraw(count=3)
    page = reader(stand).page("", after=None, limit=100, format_="cloudevents")

    assert [event.seq for event in page.events] == seqs[:1]
    assert read_to_end(stand, seqs[0], 100)[0] == seqs[1:]


def test_beyond_the_end(stand: DeliveryStand) -> None:
    """A cursor that the log does not reach is told to be wrong: what comes there later must not be taken for seen."""
    (seq,) = stand.withdraw()

    with pytest.raises(RecordUnknownError) as caught:
        reader(stand).page("", after=seq + 1, limit=10, format_="cloudevents")
    assert caught.value.code == "audit.record_unknown"


def test_pruned(stand: DeliveryStand) -> None:
    """A reader whose next records were pruned is told where the log begins; one without a cursor begins there."""
    seqs = stand.withdraw(count=5)
    with write_transaction(stand.database) as connection:
        connection.exec_driver_sql(f"UPDATE audit_head SET first_seq = {seqs[2]} WHERE log = 'events.example/audit'")  # noqa: S608 - a number

    with pytest.raises(RecordPrunedError) as caught:
        reader(stand).page("", after=seqs[0], limit=10, format_="cloudevents")
    assert caught.value.code == "audit.record_pruned"
    assert f"want after from {seqs[1]}" in str(caught.value)
    for after in (None, seqs[1]):
        page = reader(stand).page("", after=after, limit=10, format_="cloudevents")
        assert [event.seq for event in page.events] == seqs[2:]


def test_an_unknown_log(stand: DeliveryStand) -> None:
    """An environment without a log of its own has no events of its own."""
    with pytest.raises(LogNotConfiguredError):
        reader(stand).page("staging", after=None, limit=10, format_="cloudevents")
