"""Reports of uses: what is taken, and what is refused by which code."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.canonical_json import MalformedJSONError
from lockgate.clock import EpochNs, parse_timestamp
from lockgate.errors import LockgateError
from lockgate.schemas import SchemaError
from lockgate.usage import UsageDayError, UsageKey, UsageRow
from lockgate.usage.reports import DAYS_BACK_MAX, ROWS_MAX, parse_usage_report
from lockgate.usage.types import day_at, read_day, write_day

NOW = parse_timestamp("2026-11-23T09:00:00.000000Z")
ROW = {
    "model": "fraud-detector",
    "version": "1.4.0",
    "environment": "production",
    "day": "2026-11-23",
    "loads": 2,
    "predictions": 1042,
}


def report(*rows: dict[str, Any]) -> bytes:
    """Write a report."""
    return orjson.dumps({"schema_version": 1, "rows": list(rows)})


def test_a_row_says_whose_count_of_which_day_it_is() -> None:
    """Where nobody says who counted, it is the API; today's last use is now, at the latest."""
    (row,) = parse_usage_report(report(ROW), NOW)

    key = UsageKey("fraud-detector", "1.4.0", "production", read_day("2026-11-23"), "api")
    assert row == UsageRow(key=key, loads=2, predictions=1042, last=NOW)


def test_the_last_use_of_a_day_that_is_over_is_in_that_day() -> None:
    """When on that day is not known: at its end, at the latest."""
    (row,) = parse_usage_report(report({**ROW, "day": "2026-11-21"}), NOW)

    assert row.last == parse_timestamp("2026-11-22T00:00:00.000000Z") - 1


def test_a_day_without_use_has_no_last_use() -> None:
    """That nobody used it was counted; that is no use."""
    (row,) = parse_usage_report(report({**ROW, "loads": 0, "predictions": 0}), NOW)

    assert row.last is None


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"day": "2026-02-30"}, "/rows/1/day"),
        ({"day": "2026-13-01"}, "/rows/1/day"),
        ({"day": "0000-01-01"}, "/rows/1/day"),
        ({"day": 20_780}, "/rows/1/day"),
        ({"loads": -1}, "/rows/1/loads"),
        ({"loads": 2**53}, "/rows/1/loads"),
        ({"predictions": 1.5}, "/rows/1/predictions"),
        ({"model": "fraud detector"}, "/rows/1/model"),
        ({"environment": "Production"}, "/rows/1/environment"),
        ({"source": "prometheus:main"}, "/rows/1/source"),
        ({"note": "x"}, "/rows/1"),
    ],
)
def test_a_row_that_breaks_the_schema_is_named(change: dict[str, Any], pointer: str) -> None:
    """The whole report is refused, and the problem says where."""
    with pytest.raises(SchemaError) as caught:
        parse_usage_report(report(ROW, {**ROW, **change}), NOW)

    assert (caught.value.code, caught.value.pointer) == ("schema.invalid", pointer)


@pytest.mark.parametrize("days", [-DAYS_BACK_MAX - 1, 1])
def test_a_day_that_is_too_long_ago_or_not_yet_is_refused(days: int) -> None:
    """The borders themselves are taken."""
    border = write_day(day_at(NOW) + days - (1 if days > 0 else -1))
    beyond = write_day(day_at(NOW) + days)
    parse_usage_report(report({**ROW, "day": border}), NOW)
    with pytest.raises(UsageDayError, match="/rows/0/day: want") as caught:
        parse_usage_report(report({**ROW, "day": beyond}), NOW)

    assert caught.value.code == "usage.day_out_of_range"


def test_a_clock_that_is_a_little_ahead_counts_already_tomorrow() -> None:
    """Minutes before midnight; the use itself was not later than now."""
    late = EpochNs(parse_timestamp("2026-11-24T00:00:00.000000Z") - 5 * 60 * 10**9)
    (row,) = parse_usage_report(report({**ROW, "day": "2026-11-24"}), late)

    assert row.last == late


def test_no_report_is_too_long() -> None:
    """One row more than the most is refused, and no row at all."""
    assert len(parse_usage_report(report(*[ROW] * ROWS_MAX), NOW)) == ROWS_MAX
    for rows in ([ROW] * (ROWS_MAX + 1), []):
        with pytest.raises(SchemaError):
            parse_usage_report(report(*rows), NOW)


def test_the_largest_report_fits() -> None:
    """A thousand rows whose names are as long as may be are below the limit on bytes."""
    name = "n" * 128
    row = {**ROW, "model": name, "version": name, "environment": "e" * 64, "source": "s" * 64, "loads": 2**53 - 1}

    assert len(parse_usage_report(report(*[row] * ROWS_MAX), NOW)) == ROWS_MAX


@given(st.binary(max_size=200) | st.lists(st.none() | st.text()).map(lambda rows: orjson.dumps({"rows": rows})))
@settings(max_examples=100, deadline=None)
def test_hostile_bytes_are_refused_by_name(body: bytes) -> None:
    """Whatever comes, an error of ours says what was wanted."""
    with pytest.raises(LockgateError) as caught:
        parse_usage_report(body, NOW)

    assert isinstance(caught.value, MalformedJSONError | SchemaError)


@given(st.integers(min_value=0, max_value=60_000))
@settings(max_examples=100, deadline=None)
def test_a_day_that_is_written_is_read(day: int) -> None:
    """Both ways, each in one spelling."""
    assert read_day(write_day(day)) == day
