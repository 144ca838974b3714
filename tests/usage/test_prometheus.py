"""What a Prometheus is asked, and what becomes of its answers: a stand-in over HTTP (`support.prometheus`)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from lockgate.clock import EpochNs, parse_timestamp
from lockgate.storage import open_engine, write_transaction
from lockgate.storage.tables import live_interval
from lockgate.usage import UsageCounts, UsageFilter, UsageJob, UsageSource, UsageSourceError, parse_usage_sources
from lockgate.usage.prometheus import ANSWER_BYTES_MAX, SAMPLES_MAX, read_day_of
from lockgate.usage.types import read_day
from support.clocks import FixedClock
from support.misbehaving_server import answer, misbehaving_server
from support.prometheus import FakePrometheus, fake_prometheus, sample, vector

NOON = parse_timestamp("2026-11-23T12:00:00.000000Z")
TODAY = read_day("2026-11-23")
QUERY = "sum by (model, version, environment) (increase(predictions_total[$window]))"


def source_at(url: str, folder: Path = Path(), **changes: Any) -> UsageSource:
    """Make the settings of a source."""
    (source,) = parse_usage_sources(
        [{"name": "main", "url": url, "query": QUERY, "counts": "predictions", "timeout_s": 5, **changes}], folder
    )
    return source


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    """A stand-in that counted one version."""
    with fake_prometheus(sample("1042.4")) as fake:
        yield fake


@pytest.fixture
def counts(migrated_sqlite: Path, tmp_path: Path) -> UsageCounts:
    """Counts in a new database."""
    copy = tmp_path / "lockgate.db"
    copy.write_bytes(migrated_sqlite.read_bytes())
    database = open_engine(f"sqlite:///{copy}")
    with write_transaction(database) as connection:
        connection.execute(
            live_interval.insert().values(
                model="fraud-detector",
                environment="production",
                version="1.4.0",
                digest="sha256:" + "0" * 64,
                from_ns=1,
                promotion_id="",
                log="",
                record_id="",
            )
        )
    return UsageCounts(database, FixedClock(), lambda: ("production",))


def test_a_day_is_asked_for_from_its_midnight(prometheus: FakePrometheus) -> None:
    """Today up to now, a day that is over up to its end: the window stands in the query, its end beside it."""
    source = source_at(prometheus.url)
    read_day_of(source, TODAY, NOON)
    read_day_of(source, TODAY - 1, NOON)

    midnight = parse_timestamp("2026-11-23T00:00:00.000000Z") // 10**9
    assert prometheus.queries == [
        {"query": QUERY.replace("$window", "43200s"), "time": str(NOON // 10**9)},
        {"query": QUERY.replace("$window", "86400s"), "time": str(midnight)},
    ]


@pytest.mark.parametrize(("counted", "loads", "predictions"), [("loads", 1042, 0), ("predictions", 0, 1042)])
def test_a_sample_is_a_count_of_a_version(
    prometheus: FakePrometheus, counted: str, loads: int, predictions: int
) -> None:
    """Its labels say of which; the settings say of what. Prometheus's fractions are rounded."""
    (row,) = read_day_of(source_at(prometheus.url, counts=counted), TODAY, NOON).rows

    assert tuple(row.key) == ("fraud-detector", "1.4.0", "production", TODAY, "prometheus:main")
    assert (row.loads, row.predictions, row.last) == (loads, predictions, NOON)


def test_the_token_is_sent_as_its_file_holds_it(prometheus: FakePrometheus, tmp_path: Path) -> None:
    """A file that changed counts at once; one that cannot be read is the source's failure, and shows nothing."""
    source = source_at(prometheus.url, tmp_path, token_file="token")
    (tmp_path / "token").write_text("first\n")
    read_day_of(source, TODAY, NOON)
    (tmp_path / "token").unlink()
    with pytest.raises(UsageSourceError, match="cannot read"):
        read_day_of(source, TODAY, NOON)

    assert prometheus.authorizations == ["Bearer first"]


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (sample("NaN"), "want a count from 0"),
        (sample("+Inf"), "want a count from 0"),
        (sample("-1"), "want a count from 0"),
        (sample("1e300"), "want a count from 0"),
        (sample("many"), "want a count from 0"),
        (sample(5), "want a count from 0"),
        (sample("1", version="1.4.0\n"), "want the label version"),
        (sample("1", model=""), "want the label model"),
        (sample("1", environment="Production"), "want the label environment"),
        (sample("1", environment=None), "want the label environment"),
        ({"metric": {}, "value": [0, "1"]}, "want the label model"),
        ({"metric": [], "value": [0, "1"]}, "want a sample with labels"),
        ({"metric": {}, "value": ["1"]}, "want a sample with labels"),
        ({"metric": {}, "histogram": [0, {}]}, "want a sample with labels"),
        ("sample", "want a sample with labels"),
    ],
)
def test_a_sample_that_is_none_is_left_out(bad: object, fault: str) -> None:
    """The others count; how many were left out and why the first was is said, in one bounded line."""
    with fake_prometheus(bad, sample("7", version="2"), bad) as fake:
        reading = read_day_of(source_at(fake.url), TODAY, NOON)

    assert [row.predictions for row in reading.rows] == [7]
    assert reading.skipped == 2
    assert reading.fault.startswith(fault)
    assert reading.fault.isprintable()
    assert len(reading.fault) < 400


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>login</html>", "want JSON within the limits, got status 200"),
        (200, b"", "want JSON"),
        (200, b"[]", "want the answer of a query"),
        (200, b'{"status":"success"}', "instant vector"),
        (200, b'{"status":"success","data":{"resultType":"matrix","result":[]}}', "instant vector"),
        (200, b'{"status":"success","data":{"resultType":"vector","result":{}}}', "instant vector"),
        (
            200,
            b'{"status":"success","data":{"resultType":"vector","result":[],"result":[]}}',
            "want JSON within the limits",
        ),
        (
            400,
            b'{"status":"error","errorType":"bad_data","error":"1:5: parse\\nerror"}',
            "got status 400: 1:5: parse error",
        ),
        (401, b"{}", "got status 401"),
        (503, vector()[1], "got status 503"),
        (200, b"[" * 10_000, "want JSON"),
        (200, vector(*["x"] * (SAMPLES_MAX + 1))[1], f"want at most {SAMPLES_MAX} samples"),
        (200, b" " * (ANSWER_BYTES_MAX + 1), "want an answer of at most"),
    ],
)
def test_an_answer_that_is_none_is_named(prometheus: FakePrometheus, status: int, body: bytes, words: str) -> None:
    """Nothing of it counts; the error is the source's, and short."""
    prometheus.answer = lambda _query: (status, body)
    with pytest.raises(UsageSourceError, match=words) as caught:
        read_day_of(source_at(prometheus.url), TODAY, NOON)

    assert caught.value.code == "usage.source_failed"
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def test_a_prometheus_that_hangs_up_is_named() -> None:
    """No answer is the source's failure."""
    with (
        misbehaving_server(lambda connection: connection.close()) as server,
        pytest.raises(UsageSourceError, match="no answer"),
    ):
        read_day_of(source_at(f"http://127.0.0.1:{server.address.port}"), TODAY, NOON)


def test_nobody_is_followed_elsewhere() -> None:
    """A redirect is no answer."""
    redirect = answer(302, b"{}", "Location: http://127.0.0.1:1/")
    with misbehaving_server(redirect) as server, pytest.raises(UsageSourceError, match="got status 302"):
        read_day_of(source_at(f"http://127.0.0.1:{server.address.port}"), TODAY, NOON)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text("ab.é1", max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["metric", "value", "model", "version", "environment"]), inner, max_size=3
            )
        ),
        max_leaves=12,
    )
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_sample_is_nothing_breaks(prometheus: FakePrometheus, hostile: object) -> None:
    """A sample of any shape is a count or is left out."""
    prometheus.answer = lambda _query: vector(hostile, sample("3"))
    reading = read_day_of(source_at(prometheus.url), TODAY, NOON)

    assert len(reading.rows) + reading.skipped == 2


def test_the_job_asks_for_yesterday_and_today(prometheus: FakePrometheus, counts: UsageCounts) -> None:
    """Each time both, so that the last minutes of a day are not lost; then it waits as the settings say."""
    job = UsageJob(source_at(prometheus.url, interval_s=120), counts, FixedClock(NOON))

    assert job.name == "usage:main"
    assert [job.run(), job.run()] == [120, 120]
    assert [(row.key.day, row.predictions) for row in counts.list(UsageFilter(limit=10))] == [
        (TODAY - 1, 1042),
        (TODAY, 1042),
    ]


def test_a_day_that_just_began_is_not_asked_for(prometheus: FakePrometheus, counts: UsageCounts) -> None:
    """Prometheus takes no window of no length."""
    midnight = parse_timestamp("2026-11-23T00:00:59.000000Z")
    UsageJob(source_at(prometheus.url), counts, FixedClock(EpochNs(midnight))).run()

    assert [row.key.day for row in counts.list(UsageFilter(limit=10))] == [TODAY - 1]


def test_the_job_says_what_went_wrong_and_goes_on(prometheus: FakePrometheus, counts: UsageCounts) -> None:
    """A source that is down is asked again as usual; samples that were left out are told of."""
    job = UsageJob(source_at(prometheus.url), counts, FixedClock(NOON))
    prometheus.answer = lambda _query: (500, orjson.dumps({"status": "error", "error": "out of memory"}))
    with capture_logs() as failed:
        assert job.run() == 300
    prometheus.answer = lambda _query: vector(sample("1"), sample("NaN"))
    with capture_logs() as skipped:
        job.run()

    assert [(line["event"], line["source"], line["code"]) for line in failed] == [
        ("usage_source_failed", "main", "usage.source_failed")
    ]
    assert [(line["event"], line["skipped"]) for line in skipped] == [("usage_samples_skipped", 1)] * 2
