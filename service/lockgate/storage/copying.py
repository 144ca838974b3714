"""Copying every row of one database into another, of whichever kinds."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import Connection, Engine, Table, func, insert, select

from lockgate.storage.database import describe_database, read_transaction, write_transaction
from lockgate.storage.errors import StorageError, StorageNotEmptyError
from lockgate.storage.migrate import check_schema, upgrade_schema
from lockgate.storage.tables import audit_attachment, metadata

CHUNK_ROWS_MAX: Final = 1000  # sent to the target together
CHUNK_BYTES_MAX: Final = 4 * 1024 * 1024
_FETCH_ROWS: Final = 256  # held from the source at once: 8 MiB of the largest records
_FETCH_ROWS_OF: Final[Mapping[str, int]] = {audit_attachment.name: 1}  # up to 16 MiB each

Advance = Callable[[int], None]
"""Called with the number of rows that were copied since the last call."""


def prepare_target(engine: Engine) -> None:
    """Bring a database that rows shall be copied into to this version's tables, and make sure that they are empty.

    Raises:
        StorageNotEmptyError: It holds rows.
        StorageSchemaError: Its tables are those of a newer version.
        StorageError: It cannot be written, or not by this role.
    """
    upgrade_schema(engine)
    check_schema(engine)
    rights = describe_database(engine).rights
    if rights != "owner":
        raise StorageError(f"want the owner of the tables to copy rows into, got a role with rights of {rights}")
    with read_transaction(engine) as connection:
        _check_empty(connection)


def count_rows(engine: Engine) -> Mapping[str, int]:
    """Return how many rows each table has.

    Raises:
        StorageError: The database cannot be read.
    """
    with read_transaction(engine) as connection:
        return {table.name: _count(connection, table) for table in metadata.sorted_tables}


def copy_rows(source: Engine, target: Engine, advance: Advance) -> Mapping[str, int]:
    """Copy every row, from one snapshot of the source, in one transaction of the target; memory does not grow.

    Columns are copied as they are, binary ones byte for byte. Counters that number rows go on behind the largest.

    Args:
        source: With this version's tables. Whoever writes there meanwhile is not in the copy: seal its logs first.
        target: Prepared by `prepare_target`; as its tables' owner.
        advance: Is told how far it came.

    Returns:
        How many rows of each table were copied.

    Raises:
        StorageNotEmptyError: The target holds rows.
        StorageError: A database failed, or the target does not hold what it was given. It then holds nothing.
    """
    copied: dict[str, int] = {}
    # Patient: a slow source must not make the target's server end the transaction.
    with read_transaction(source) as reading, write_transaction(target, patient=True) as writing:
        _check_empty(writing)
        for table in metadata.sorted_tables:  # what is referred to comes first
            copied[table.name] = 0
            for chunk in _chunks(_rows(reading, table)):
                writing.execute(insert(table), chunk)
                copied[table.name] += len(chunk)
                advance(len(chunk))
            _continue_numbers(writing, table)
            found = _count(writing, table)
            if found != copied[table.name]:
                raise StorageError(f"want {copied[table.name]} rows in the copy of {table.name}, got {found}")
    return copied


def _check_empty(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        if connection.execute(select(table).limit(1)).first() is not None:
            raise StorageNotEmptyError(f"want a database without rows to copy into, got one with rows in {table.name}")


def _count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    fetched = _FETCH_ROWS_OF.get(table.name, _FETCH_ROWS)
    for row in connection.execute(select(table).execution_options(yield_per=fetched)).mappings():
        yield dict(row)


def _chunks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += sum(len(value) for value in row.values() if isinstance(value, (bytes, str)))
        if len(chunk) >= CHUNK_ROWS_MAX or size >= CHUNK_BYTES_MAX:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _continue_numbers(connection: Connection, table: Table) -> None:
    # SQLite counts on from the largest number by itself; PostgreSQL from the numbers that it gave itself.
    column = table.autoincrement_column
    if column is None or connection.dialect.name == "sqlite":
        return
    sequence = func.pg_get_serial_sequence(table.name, column.name)
    largest = func.max(column)
    connection.execute(select(func.setval(sequence, func.coalesce(largest, 1), largest.is_not(None))))
