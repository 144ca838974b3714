"""Times have one spelling and one expiry predicate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockgate.clock import EpochNs, TimestampError, format_timestamp, is_expired, parse_timestamp

YEAR_9999_US = 253_402_300_799_999_999


@given(st.integers(min_value=0, max_value=YEAR_9999_US))
def test_a_time_reads_back_to_the_microsecond(microseconds: int) -> None:
    """What `format_timestamp` writes, `parse_timestamp` reads."""
    when = EpochNs(microseconds * 1000)

    assert parse_timestamp(format_timestamp(when)) == when


def test_below_the_microsecond_is_cut_off() -> None:
    """A record never claims a later time than the clock said."""
    assert format_timestamp(EpochNs(1_999)) == "1970-01-01T00:00:00.000001Z"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23T07:15:02Z",
        "2026-11-23T07:15:02.123Z",
        "2026-11-23T07:15:02.123456+00:00",
        "2026-11-23t07:15:02.123456z",
        "2026-11-23 07:15:02.123456Z",
        "2026-13-23T07:15:02.123456Z",
        "2026-02-30T07:15:02.123456Z",
        "2026-11-23T24:00:00.000000Z",
        "2026-11-23T07:15:60.000000Z",
        "٢٠٢٦-11-23T07:15:02.123456Z",
        "2026-11-23T07:15:02.123456Z\n",
    ],
)
def test_another_spelling_is_refused(text: str) -> None:
    """A time in any other form is no time."""
    with pytest.raises(TimestampError) as caught:
        parse_timestamp(text)

    assert caught.value.code == "time.unparsable"


def test_what_ends_at_an_instant_has_ended_at_it() -> None:
    """Expiry is closed at the end: the instant itself is too late, the nanosecond before is not."""
    end = EpochNs(1_000)

    assert not is_expired(end, EpochNs(999))
    assert is_expired(end, EpochNs(1_000))
    assert is_expired(end, EpochNs(1_001))


def test_no_expiry_is_expired() -> None:
    """A missing time never means "for ever"."""
    assert is_expired(None, EpochNs(0))
