"""Reports of uses as callers send them. Pure."""

from typing import Any, Final

from lockgate.canonical_json import parse_json
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.schemas import SchemaError, check_schema
from lockgate.usage.errors import UsageDayError
from lockgate.usage.types import UsageKey, UsageRow, day_at, last_use, read_day, write_day

ROWS_MAX: Final = 1000  # of one report, as in the schema: a hundred versions with ten days each
REPORT_BYTES_MAX: Final = 1024 * 1024  # a row with names as long as may be is below 700 bytes
REPORT_DEPTH_MAX: Final = 4  # the schema needs three levels
DAYS_BACK_MAX: Final = 400  # a year and a month: what comes later is history, and not how we find what is idle
_SKEW_NS: Final = 600 * NS_PER_S  # how far ahead a caller's clock may be around midnight
_SOURCE: Final = "api"  # whose count it is where nobody said; no source of the settings has such a name


def parse_usage_report(body: bytes, now: EpochNs) -> tuple[UsageRow, ...]:
    """Read a report (schema `v1/api/usage_report`).

    Raises:
        MalformedJSONError: `body` is not one JSON value within the limits.
        SchemaError: It is no report.
        UsageDayError: A day is in the future, or too long ago.
    """
    document = parse_json(body, bytes_max=REPORT_BYTES_MAX, depth_max=REPORT_DEPTH_MAX)
    check_schema("v1/api/usage_report", document)
    return tuple(_parse_row(row, f"/rows/{index}", now) for index, row in enumerate(document["rows"]))


def _parse_row(row: dict[str, Any], pointer: str, now: EpochNs) -> UsageRow:
    try:
        day = read_day(row["day"])
    except ValueError as exc:
        raise SchemaError("want a real day as YYYY-MM-DD", f"{pointer}/day") from exc
    first, last = day_at(now) - DAYS_BACK_MAX, day_at(now + _SKEW_NS)
    if not first <= day <= last:
        raise UsageDayError(f"{pointer}/day: want {write_day(first)} to {write_day(last)} (UTC), got {row['day']}")
    key = UsageKey(
        model=row["model"],
        version=row["version"],
        environment=row["environment"],
        day=day,
        source=row.get("source", _SOURCE),
    )
    loads, predictions = row["loads"], row["predictions"]
    return UsageRow(key=key, loads=loads, predictions=predictions, last=last_use(day, loads + predictions, now))
