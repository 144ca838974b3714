"""What was live when: intervals of one model in one environment, one after the other. Pure.

They are facts of records: `rebuild_intervals` makes them of the audit log alone, and must make the ones that are kept.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from lockgate.clock import EpochNs, parse_timestamp
from lockgate.promotion.kinds import CONFIRMATION, LIVE

INTERVAL_KINDS: Final = frozenset({CONFIRMATION, LIVE})  # records with which an interval begins


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveInterval:
    """From when to when one version was live in an environment.

    Attributes:
        version: "" where nobody knows: the digest was seen, and no promotion brought it.
        begins: First instant.
        ends: First instant after it; None while it lasts.
        promotion_id: What brought it; "" = out of band.
        log: The name of the log with the record that says so.
        record_id: That record.
    """

    model: str
    environment: str
    version: str
    digest: str
    begins: EpochNs
    ends: EpochNs | None
    promotion_id: str
    log: str
    record_id: str


def begin_after(before: LiveInterval | None, now: EpochNs) -> EpochNs:
    """Return when the next interval begins: now, but never before the one that it ends began.

    A clock that was set back must not make an interval end before it began. Whoever reads the record sees both times.
    """
    return now if before is None else EpochNs(max(now, before.begins))


def rebuild_intervals(records: Iterable[tuple[str, Mapping[str, Any]]]) -> tuple[LiveInterval, ...]:
    """Make the intervals of the records that tell of them.

    Args:
        records: The name of the log and the record, each log's in its order. Other kinds of records are passed over.

    Returns:
        The intervals, by model, environment and time. Of a log that was pruned, those that are left.
    """
    begun: dict[tuple[str, str], list[LiveInterval]] = {}
    for log, record in records:
        if record["kind"] in INTERVAL_KINDS:
            interval = begun_by(log, record)
            begun.setdefault((interval.model, interval.environment), []).append(interval)
    rebuilt: list[LiveInterval] = []
    for _, intervals in sorted(begun.items()):
        intervals.sort(key=lambda interval: interval.begins)  # stable: within one log its order stays
        ends = [*(after.begins for after in intervals[1:]), None]
        rebuilt += (replace(interval, ends=end) for interval, end in zip(intervals, ends, strict=True))
    return tuple(rebuilt)


def begun_by(log: str, record: Mapping[str, Any]) -> LiveInterval:
    """Return the interval that a record of `INTERVAL_KINDS` begins, as if it lasted."""
    body = record["body"]
    return LiveInterval(
        model=body["model"],
        environment=body["environment"],
        version=body["version"],
        digest=body["digest"],
        begins=parse_timestamp(body["live_from"]),
        ends=None,
        promotion_id=body["promotion_id"],
        log=log,
        record_id=record["id"],
    )
