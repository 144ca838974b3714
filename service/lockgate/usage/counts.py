"""The counts that we keep."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Engine

from lockgate.clock import Clock, EpochNs
from lockgate.storage import read_transaction, write_transaction
from lockgate.usage import store
from lockgate.usage.reports import parse_usage_report
from lockgate.usage.types import DAY_NS, IdleVersion, UsageFilter, UsageKey, UsageRow


class UsageCounts:
    """Takes counts in, and tells of them. Safe to share between threads."""

    def __init__(self, database: Engine, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def take_report(self, body: bytes) -> int:
        """Keep the counts of a report as callers send it; return how many rows it has.

        Raises:
            MalformedJSONError: `body` is not one JSON value within the limits.
            SchemaError: It is no report.
            UsageDayError: A day is in the future, or too long ago.
            StorageError: The database cannot be written; nothing was kept.
        """
        rows = parse_usage_report(body, self._clock.now_ns())
        self.take(rows)
        return len(rows)

    def take(self, rows: Iterable[UsageRow]) -> None:
        """Keep counts; of two with one key the greatest holds, so that one sent twice or late changes nothing.

        Raises:
            StorageError: The database cannot be written; nothing was kept.
        """
        greatest: dict[UsageKey, UsageRow] = {}
        for row in rows:
            before = greatest.get(row.key)
            greatest[row.key] = row if before is None else _greatest(before, row)
        if greatest:
            with write_transaction(self._database) as connection:
                # Sorted, so that no two transactions wait for each other's rows.
                store.put_rows(connection, [greatest[key] for key in sorted(greatest)])

    def list(self, wanted: UsageFilter) -> tuple[UsageRow, ...]:
        """Return a page of counts, by key.

        Raises:
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            return store.list_rows(connection, wanted)

    def last_used(self, models: Sequence[str]) -> dict[str, EpochNs]:
        """Return when each of these models was last used anywhere; those that never were are left out.

        Raises:
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            return store.last_used(connection, models)

    def last_used_versions(self, model: str, versions: Sequence[str]) -> dict[str, EpochNs]:
        """Return when each of these versions was last used anywhere; those that never were are left out.

        Raises:
            StorageError: The database cannot be read.
        """
        with read_transaction(self._database) as connection:
            return store.last_used_versions(connection, model, versions)

    def idle(self, *, days: int, after: int = 0, limit: int) -> tuple[IdleVersion, ...]:
        """Return a page of the live versions of which no use was counted in the last so many days.

        Only of those that were live all that time: what came yesterday had no time to be used.

        Args:
            days: How long nobody used them.
            after: The number of the last one seen; the cursor.
            limit: The most to return.

        Raises:
            StorageError: The database cannot be read.
        """
        since = EpochNs(self._clock.now_ns() - days * DAY_NS)
        with read_transaction(self._database) as connection:
            return store.idle_versions(connection, since, after=after, limit=limit)


def _greatest(one: UsageRow, other: UsageRow) -> UsageRow:
    return UsageRow(
        key=one.key,
        loads=max(one.loads, other.loads),
        predictions=max(one.predictions, other.predictions),
        last=max(one.last or EpochNs(0), other.last or EpochNs(0)) or None,
    )
