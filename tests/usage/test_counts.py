"""The counts that we keep, on both databases."""

import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from lockgate.clock import EpochNs
from lockgate.storage import open_engine, write_transaction
from lockgate.storage.tables import live_interval
from lockgate.usage import UsageCounts, UsageFilter, UsageKey, UsageRow
from lockgate.usage.types import DAY_NS, day_at
from support.clocks import START, FixedClock

TODAY = day_at(START)
KEY = UsageKey("fraud-detector", "1.4.0", "production", TODAY, "api")
ENVIRONMENTS = ("dev", "staging", "production")
ALL = UsageFilter(limit=1000)


@pytest.fixture
def database(database_url: str) -> Engine:
    """A new database, of each kind."""
    return open_engine(database_url)


@pytest.fixture
def counts(database: Engine) -> UsageCounts:
    """The counts in it."""
    return UsageCounts(database, FixedClock(), lambda: ENVIRONMENTS)


def row(key: UsageKey = KEY, *, loads: int = 1, predictions: int = 10, last: int | None = START) -> UsageRow:
    """Make a count."""
    return UsageRow(key=key, loads=loads, predictions=predictions, last=None if last is None else EpochNs(last))


def live(  # noqa: PLR0913 - what tests may want otherwise
    database: Engine,
    *,
    model: str = "fraud-detector",
    version: str = "1.4.0",
    environment: str = "production",
    since: int = START - 90 * DAY_NS,
    until: int | None = None,
) -> None:
    """Let a version be live."""
    with write_transaction(database) as connection:
        connection.execute(
            live_interval.insert().values(
                model=model,
                environment=environment,
                version=version,
                digest="sha256:" + "0" * 64,
                from_ns=since,
                to_ns=until,
                is_live=1 if until is None else None,
                promotion_id="",
                log="",
                record_id="",
            )
        )


def test_what_is_sent_twice_counts_once(counts: UsageCounts) -> None:
    """A report that is sent again changes nothing, not even the time of the last use."""
    counts.take([row()])
    counts.take([row(last=START + 5)])

    assert counts.list(ALL) == (row(),)


def test_the_greatest_count_holds(counts: UsageCounts) -> None:
    """Counts come late and out of order; each number only grows."""
    counts.take([row(loads=3, predictions=10, last=START + 1)])
    counts.take([row(loads=2, predictions=20, last=START + 2)])
    counts.take([row(loads=1, predictions=1, last=START + 3)])

    assert counts.list(ALL) == (row(loads=3, predictions=20, last=START + 2),)


def test_one_report_may_name_a_count_twice(counts: UsageCounts) -> None:
    """The greatest of them holds too."""
    counts.take([row(loads=3, predictions=0), row(loads=1, predictions=7), row(loads=0, predictions=0, last=None)])

    assert counts.list(ALL) == (row(loads=3, predictions=7),)


def test_no_report_is_no_change(counts: UsageCounts) -> None:
    """An empty one asks nothing of the database."""
    counts.take([])

    assert counts.list(ALL) == ()


def test_each_source_counts_alone(counts: UsageCounts) -> None:
    """Counts are not added up: two sources may have counted the same use."""
    other = KEY._replace(source="prometheus:main")
    counts.take([row(other), row()])

    assert counts.list(ALL) == (row(), row(other))


def test_pages_hold_each_count_once(counts: UsageCounts) -> None:
    """A page begins behind the last key of the one before."""
    keys = [
        UsageKey(model, version, environment, TODAY - day, source)
        for model in ("a", "a-b", "B")
        for version in ("1", "10", "2")
        for environment in ("dev", "production")
        for day in (0, 1)
        for source in ("api", "edge")
    ]
    counts.take([row(key) for key in keys])
    seen: list[UsageKey] = []
    page = counts.list(replace(ALL, limit=7))
    while page:
        seen += [one.key for one in page]
        page = counts.list(replace(ALL, limit=7, after=seen[-1]))

    assert sorted(seen) == sorted(keys)
    assert len(set(seen)) == len(seen)


def test_filters_are_exact(counts: UsageCounts) -> None:
    """Model and environment by name, days from one on."""
    yesterday, staging = KEY._replace(day=TODAY - 1), KEY._replace(environment="staging")
    other = KEY._replace(model="fraud")
    counts.take([row(key) for key in (KEY, yesterday, staging, other)])

    def keys(wanted: UsageFilter) -> list[UsageKey]:
        return [one.key for one in counts.list(wanted)]

    assert keys(replace(ALL, model="fraud")) == [other]
    assert keys(replace(ALL, environment="staging")) == [staging]
    assert keys(replace(ALL, model="fraud-detector", environment="production", since_day=TODAY)) == [KEY]


def test_the_last_use_of_models_and_versions(counts: UsageCounts) -> None:
    """The latest anywhere; what was counted and never used has none."""
    newer = KEY._replace(version="1.5.0", environment="staging")
    unused = KEY._replace(model="idle")
    counts.take([row(), row(newer, last=START + 7), row(unused, loads=0, predictions=0, last=None)])

    assert counts.last_used(["fraud-detector", "idle", "unknown"]) == {"fraud-detector": START + 7}
    assert counts.last_used_versions("fraud-detector", ["1.4.0", "1.5.0", "2"]) == {"1.4.0": START, "1.5.0": START + 7}
    assert counts.last_used([]) == {}


def test_each_reason_to_call_a_version_idle(database: Engine, counts: UsageCounts) -> None:
    """Nobody counted; counted without use; used long ago. What was used lately is not listed."""
    for version in ("uncounted", "zero", "stale", "used"):
        live(database, environment=f"{version}-env", version=version)
    old = START - 40 * DAY_NS
    at = {version: KEY._replace(version=version, environment=f"{version}-env") for version in ("zero", "stale", "used")}
    counts.take(
        [
            row(at["zero"], loads=0, predictions=0, last=None),
            row(at["stale"]._replace(day=day_at(old)), last=old),
            row(at["used"]._replace(day=day_at(old)), last=old),
            row(at["used"]._replace(day=TODAY - 30), last=START - 30 * DAY_NS),
        ]
    )

    found = counts.idle(days=30, limit=10)
    assert [(one.version, one.reason, one.last_used) for one in found] == [
        ("uncounted", "not_counted", None),
        ("zero", "zero_use", None),
        ("stale", "stale", old),
    ]
    assert counts.idle(days=30, after=found[1].number, limit=10) == found[2:]
    assert counts.idle(days=30, limit=2) == found[:2]


def test_a_use_an_instant_too_long_ago_is_stale(database: Engine, counts: UsageCounts) -> None:
    """The window begins so many days before now, to the nanosecond."""
    live(database)
    last = START - 30 * DAY_NS - 1
    counts.take([row(KEY._replace(day=day_at(last)), last=last)])

    assert [one.reason for one in counts.idle(days=30, limit=10)] == ["stale"]
    assert counts.idle(days=31, limit=10) == ()


def test_a_use_elsewhere_is_none_here(database: Engine, counts: UsageCounts) -> None:
    """A version that is used in staging alone is idle in production."""
    live(database)
    counts.take([row(KEY._replace(environment="staging"))])

    assert [one.reason for one in counts.idle(days=30, limit=10)] == ["not_counted"]


def test_what_is_new_or_gone_or_nameless_is_not_idle(database: Engine, counts: UsageCounts) -> None:
    """It had no time to be used, or is not live any more, or nobody could count it by name."""
    live(database, environment="a", since=START - 29 * DAY_NS)
    live(database, environment="b", until=START - DAY_NS)
    live(database, environment="c", version="")

    assert counts.idle(days=30, limit=10) == ()


def test_reports_that_come_together_lose_nothing(database: Engine, counts: UsageCounts) -> None:
    """Threads that send overlapping rows in any order neither wait in a circle nor overwrite a greater count."""
    keys = [KEY._replace(version=str(number)) for number in range(40)]
    errors: list[Exception] = []

    def send(number: int) -> None:
        own = UsageCounts(database, FixedClock(), lambda: ENVIRONMENTS)
        try:
            for turn in range(5):
                ordered = keys if (number + turn) % 2 else keys[::-1]
                own.take([row(key, loads=10 * number + turn, predictions=100 - number) for key in ordered])
        except Exception as exc:  # noqa: BLE001 - shown below
            errors.append(exc)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert {(one.loads, one.predictions) for one in counts.list(ALL)} == {(54, 100)}
    assert len(counts.list(ALL)) == len(keys)


@given(sent=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 5)), max_size=12))
@settings(max_examples=40, deadline=None)
def test_any_order_gives_the_same_counts(migrated_sqlite: Path, sent: list[tuple[int, int, int]]) -> None:
    """Counts are the greatest of what was sent, however it was cut into reports and in whatever order."""
    engine = open_engine(f"sqlite:///{shutil.copy(migrated_sqlite, migrated_sqlite.with_name('usage.db'))}")
    counts = UsageCounts(engine, FixedClock(), lambda: ENVIRONMENTS)
    rows = [row(KEY._replace(version=str(version)), loads=loads, predictions=more) for version, loads, more in sent]
    elsewhere = [replace(one, key=one.key._replace(source="other")) for one in rows]
    counts.take(rows)
    for one in reversed(elsewhere):
        counts.take([one])
    kept = counts.list(ALL)
    engine.dispose()

    def of(source: str) -> list[tuple[str, int, int]]:
        return [(one.key.version, one.loads, one.predictions) for one in kept if one.key.source == source]

    assert of("api") == of("other")


def test_only_what_the_gate_knows(database: Engine, counts: UsageCounts) -> None:
    """Models that were live, in environments of the policy; those that are registered are tested over HTTP."""
    live(database, until=START)
    rows = [row(), row(KEY._replace(model="invented")), row(KEY._replace(environment="moon"))]

    assert counts.keep_known(rows) == (rows[0],)
