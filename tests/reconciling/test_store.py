"""Findings in the database: one of a kind that is open, on both databases."""

import pytest
from sqlalchemy import Engine

from lockgate.clock import EpochNs
from lockgate.reconciling import store
from lockgate.reconciling.types import Difference, FindingKind
from lockgate.storage import insert_new, open_engine, read_transaction, write_transaction
from lockgate.storage.tables import finding as finding_table

MOVED = Difference(
    kind=FindingKind.ALIAS_MOVED,
    model="fraud-detector",
    environment="production",
    registry="builtin",
    registry_model="fraud-detector",
    found_version="2",
)
NOW = EpochNs(1)


@pytest.fixture
def database(database_url: str) -> Engine:
    """A database of either kind."""
    return open_engine(database_url)


def _open(database: Engine, finding_id: str) -> bool:
    with write_transaction(database) as connection:
        return store.insert_finding(connection, finding_id, MOVED, "alert", NOW)


def test_a_finding_opens_once_until_it_is_closed(database: Engine) -> None:
    """Of two alike the second is told that there is one; after that was closed there may be another."""
    first, second = _open(database, "first"), _open(database, "second")
    with write_transaction(database) as connection:
        store.close_finding(connection, "first", NOW)
    third = _open(database, "third")
    with read_transaction(database) as connection:
        left = [finding.id for finding in store.list_open(connection)]

    assert (first, second, third) == (True, False, True)
    assert left == ["third"]


def test_who_opens_the_same_finding_at_the_same_moment_does_not_wait(postgresql_url: str) -> None:
    """The second process goes on at once, and is told that the finding is somebody else's."""
    database = open_engine(postgresql_url)
    with write_transaction(database) as connection:
        store.insert_finding(connection, "first", MOVED, "alert", NOW)
        second = _open(database, "second")

    assert not second
    with read_transaction(database) as connection:
        assert [finding.id for finding in store.list_open(connection)] == ["first"]


def test_a_key_that_is_not_in_the_row_is_refused(database: Engine) -> None:
    """A number that the database counts up is no key: every row would be a new one."""
    with write_transaction(database) as connection, pytest.raises(AssertionError, match="number"):
        insert_new(connection, finding_table, {"id": "first"})
