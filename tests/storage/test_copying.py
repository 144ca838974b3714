"""Every row of one database in another, of whichever kinds: byte for byte, or nothing at all."""

import itertools
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql
from sqlalchemy import BigInteger, Engine, UniqueConstraint, insert, select

from lockgate.storage import (
    StorageError,
    StorageNotEmptyError,
    StorageSchemaError,
    copy_rows,
    copying,
    count_rows,
    grant_service_role,
    open_engine,
    prepare_target,
    read_transaction,
    upgrade_schema,
    write_transaction,
)
from lockgate.storage.tables import approval, audit_attachment, audit_entry, idempotency, metadata, principal, promotion
from support.databases import PostgreSQLServer

LOG = "gate.example/audit"
EVERY_BYTE = bytes(range(256))
ROWS = 7  # of each table
KINDS = ("sqlite", "postgresql")

MakeDatabase = Callable[[str], Engine]


@pytest.fixture
def make(tmp_path: Path, postgresql_server: PostgreSQLServer, _closed_connections: None) -> MakeDatabase:
    """Make an empty database of a kind."""
    numbers = itertools.count()

    def make(kind: str) -> Engine:
        url = f"sqlite:///{tmp_path / f'{next(numbers)}.db'}"
        return open_engine(url if kind == "sqlite" else postgresql_server.new_database())

    return make


def fill(engine: Engine) -> None:
    """Put rows into every table: the widest values, every byte, letters of many alphabets, and NULL."""
    upgrade_schema(engine)
    with write_transaction(engine) as connection:
        for table in metadata.sorted_tables:
            connection.execute(insert(table), [made_row(table.name, number) for number in range(ROWS)])


def made_row(table: str, number: int) -> dict[str, Any]:
    """Make a row."""
    row: dict[str, Any] = {}
    columns = metadata.tables[table].columns
    unique = {
        column for one in metadata.tables[table].constraints if isinstance(one, UniqueConstraint) for column in one
    }
    for column in columns:
        kind = column.type.python_type
        if column.foreign_keys:
            row[column.name] = f"{number}"  # refers to another table
        elif kind is bytes:
            row[column.name] = EVERY_BYTE[number:] if column.name in {"body", "note", "request"} else EVERY_BYTE[:32]
        elif kind is int:
            widest = 2**62 if isinstance(column.type, BigInteger) else 2**31 - ROWS
            row[column.name] = number + 1 if column.primary_key or column.name == "level" else widest + number
        elif column.nullable and number % 2:
            row[column.name] = None
        else:
            row[column.name] = f"{number}" if column.primary_key or column in unique else "é\t漢😀"
    return row | ({"row_version": number} if table == "promotion" else {})


def rows(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything."""
    with read_transaction(engine) as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in metadata.sorted_tables
        }


@pytest.mark.parametrize(("source_kind", "target_kind"), list(itertools.product(KINDS, KINDS)))
def test_everything_arrives_as_it_was(
    make: MakeDatabase, source_kind: str, target_kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every column of every table, whatever the chunks; the source is as before."""
    monkeypatch.setattr(copying, "CHUNK_ROWS_MAX", 3)
    source, target = make(source_kind), make(target_kind)
    advanced: list[int] = []
    fill(source)
    before = rows(source)
    prepare_target(target)
    copied = copy_rows(source, target, advanced.append)

    assert rows(target) == rows(source) == before
    assert copied == count_rows(target) == dict.fromkeys((table.name for table in metadata.sorted_tables), ROWS)
    assert sum(advanced) == ROWS * len(metadata.sorted_tables)
    assert max(advanced) == 3


@pytest.mark.parametrize("target_kind", KINDS)
@pytest.mark.parametrize("filled", [True, False])
def test_numbers_go_on(make: MakeDatabase, target_kind: str, *, filled: bool) -> None:
    """The next row gets the next number; in a copy of nothing, the first."""
    source, target = make("sqlite"), make(target_kind)
    if filled:
        fill(source)
    else:
        upgrade_schema(source)
    prepare_target(target)
    copy_rows(source, target, lambda _: None)
    for table in (promotion, approval):
        row = made_row(table.name, 0) | {"id": "new"} | ({"promotion_id": "new"} if table is approval else {})
        del row["number"]
        with write_transaction(target) as connection:
            key = connection.execute(insert(table).values(row)).inserted_primary_key
            assert key is not None

        assert key[0] == (ROWS + 1 if filled else 1)


@pytest.mark.parametrize("target_kind", KINDS)
def test_nothing_is_copied_over_rows(make: MakeDatabase, target_kind: str) -> None:
    """One row anywhere refuses the copy, before and during it."""
    source, target = make("sqlite"), make(target_kind)
    fill(source)
    upgrade_schema(target)
    with write_transaction(target) as connection:
        connection.execute(insert(idempotency), made_row("idempotency", 1))
    with pytest.raises(StorageNotEmptyError, match="rows in idempotency") as preparing:
        prepare_target(target)
    with pytest.raises(StorageNotEmptyError) as copied:
        copy_rows(source, target, lambda _: None)

    assert preparing.value.code == copied.value.code == "storage.not_empty"
    assert {name: count for name, count in count_rows(target).items() if count} == {"idempotency": 1}


@pytest.mark.parametrize("kind", KINDS)
def test_a_database_is_not_copied_onto_itself(make: MakeDatabase, kind: str) -> None:
    """It holds rows; nothing happens to them."""
    engine = make(kind)
    fill(engine)
    before = rows(engine)
    with pytest.raises(StorageNotEmptyError):
        prepare_target(engine)

    assert rows(engine) == before


@pytest.mark.parametrize("target_kind", KINDS)
def test_a_copy_that_fails_leaves_nothing(make: MakeDatabase, target_kind: str) -> None:
    """What the target had got when the source failed, or somebody stopped the command, is gone; it works again then."""
    source, target = make("sqlite"), make(target_kind)
    fill(source)
    prepare_target(target)

    def stop(_rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_rows(source, target, stop)
    left = count_rows(target)
    copy_rows(source, target, lambda _: None)

    assert not any(left.values())
    assert rows(target) == rows(source)


def test_a_copy_is_of_one_moment(make: MakeDatabase) -> None:
    """What is written to the source meanwhile, in a table not reached yet, is not in the copy."""
    for kind in KINDS:
        source, target = make(kind), make("sqlite")
        fill(source)
        prepare_target(target)
        before = rows(source)
        added = iter([made_row("idempotency", 50), made_row("principal", 50)])

        def write(_rows: int, source: Engine = source, added: Any = added) -> None:
            row = next(added, None)
            if row is not None:
                with write_transaction(source) as connection:
                    connection.execute(insert(principal if "roles" in row else idempotency).values(row))

        copy_rows(source, target, write)

        assert rows(target) == before
        assert rows(source) != before


def test_text_that_postgresql_cannot_hold_is_told(make: MakeDatabase) -> None:
    """SQLite keeps U+0000 in text, PostgreSQL does not: the copy fails by name, and nothing was copied."""
    source, target = make("sqlite"), make("postgresql")
    fill(source)
    with write_transaction(source) as connection:
        connection.execute(insert(principal).values(made_row("principal", 90) | {"roles": "a\0b"}))
    prepare_target(target)
    with pytest.raises(StorageError, match="NUL") as caught:
        copy_rows(source, target, lambda _: None)

    assert caught.value.code == "storage.unavailable"
    assert not any(count_rows(target).values())


def test_tables_of_a_newer_version_are_refused(make: MakeDatabase) -> None:
    """A target that a newer Lockgate migrated is left alone."""
    target = make("sqlite")
    upgrade_schema(target)
    with write_transaction(target) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageSchemaError) as caught:
        prepare_target(target)

    assert caught.value.code == "storage.schema"


def test_only_the_owner_copies(make: MakeDatabase, postgresql_server: PostgreSQLServer) -> None:
    """The service's role could not set the counters: it is refused before anything is sealed."""
    target = make("postgresql")
    upgrade_schema(target)
    password = sql.Literal(postgresql_server.password)
    postgresql_server.execute(sql.SQL("CREATE ROLE copying_service LOGIN PASSWORD {}").format(password))
    grant_service_role(target, "copying_service")
    theirs = open_engine(postgresql_server.url(target.url.database or "", "copying_service"))
    with pytest.raises(StorageError, match="rights of service") as caught:
        prepare_target(theirs)

    assert caught.value.code == "storage.unavailable"


@pytest.mark.parametrize(("source_kind", "target_kind"), [("sqlite", "postgresql"), ("postgresql", "sqlite")])
def test_memory_does_not_grow_with_the_database(make: MakeDatabase, source_kind: str, target_kind: str) -> None:
    """Of 36 MiB in large and small rows, less than 16 MiB are held at once."""
    source, target = make(source_kind), make(target_kind)
    upgrade_schema(source)
    with write_transaction(source) as connection:
        for number in range(26):
            row = {"log": LOG, "sha256": f"{number}", "body": os.urandom(1016 * 1024), "seq": number}
            connection.execute(insert(audit_attachment).values(row))
        for first in range(0, 1000, 100):
            many = [made_row("audit_entry", number) | {"body": bytes(10_240)} for number in range(first, first + 100)]
            connection.execute(insert(audit_entry), many)
    prepare_target(target)
    tracemalloc.start()
    copy_rows(source, target, lambda _: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count_rows(target)["audit_entry"] == 1000
    assert peak < 24 * 1024 * 1024
