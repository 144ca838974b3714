"""The counts that we keep."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

from sqlalchemy import Engine

from lockgate.clock import Clock, EpochNs
from lockgate.storage import read_transaction, write_transaction
from lockgate.usage import store
from lockgate.usage.errors import UsageUnknownError
from lockgate.usage.reports import parse_usage_report
from lockgate.usage.types import DAY_NS, IdleVersion, UsageFilter, UsageKey, UsageRow

KNOWN: Final = "a model that is registered or was live, and an environment of the policy"


class UsageCounts:
    """Takes counts in, and tells of them. Safe to share between threads."""

    def __init__(self, database: Engine, clock: Clock, environments: Callable[[], Collection[str]]) -> None:
        """Take the parts.

        Args:
            database: Where counts are.
            clock: For what is told.
            environments: Returns those that the policy in force knows.
        """
        self._database = database
        self._clock = clock
        self._environments = environments

    def read_report(self, body: bytes) -> tuple[UsageRow, ...]:
        """Return the counts of a report as callers send it, to be taken.

        Raises:
            MalformedJSONError: `body` is not one JSON value within the limits.
            SchemaError: It is no report.
            UsageDayError: A day is in the future, or too long ago.
            UsageUnknownError: A count is of something that this gate does not know.
            StorageError: The database cannot be read.
        """
        rows = parse_usage_report(body, self._clock.now_ns())
        known = set(self.keep_known(rows))
        unknown = next((index for index, row in enumerate(rows) if row not in known), None)
        if unknown is not None:
            raise UsageUnknownError(f"/rows/{unknown}: want {KNOWN}")
        return rows

    def keep_known(self, rows: Sequence[UsageRow]) -> tuple[UsageRow, ...]:
        """Return the counts of models and environments that this gate knows; nobody fills the database with others.

        Raises:
            StorageError: The database cannot be read.
        """
        environments = frozenset(self._environments())
        with read_transaction(self._database) as connection:
            models = store.known_models(connection, sorted({row.key.model for row in rows}))
        return tuple(row for row in rows if row.key.model in models and row.key.environment in environments)

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
