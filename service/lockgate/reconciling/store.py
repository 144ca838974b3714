"""Findings in the database, and when what was looked at. Every function works inside its caller's transaction."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from sqlalchemy import Connection, RowMapping, func, select

from lockgate.canonical_json import canonicalize, parse_canonical
from lockgate.clock import EpochNs
from lockgate.reconciling.types import Difference, Finding, FindingFilter, FindingKind
from lockgate.registry.settings import Response
from lockgate.storage import insert_new
from lockgate.storage.tables import finding as finding_table
from lockgate.storage.tables import seen_message

OPEN_MAX: Final = 20_000  # read at once; who has more open ones has switched the gate off
LOOKED: Final = "reconciled"  # among the sources of `seen_message`: when a registry was looked at last, whole
_OPEN_KEY: Final = ("kind", "model", "environment", "is_open")  # of which there is one finding
_IN_COLUMNS: Final = frozenset({"kind", "model", "environment"})


def list_open(connection: Connection) -> list[Finding]:
    """Return the open findings, oldest first, at most `OPEN_MAX`."""
    statement = select(finding_table).where(finding_table.c.is_open == 1).order_by(finding_table.c.number)
    return [_finding(row) for row in connection.execute(statement.limit(OPEN_MAX)).mappings()]


def list_findings(connection: Connection, wanted: FindingFilter) -> list[Finding]:
    """Return a page of findings, newest first."""
    columns = finding_table.c
    statement = select(finding_table).order_by(columns.number.desc()).limit(wanted.limit)
    if wanted.before_number is not None:
        statement = statement.where(columns.number < wanted.before_number)
    if wanted.state:
        statement = statement.where(columns.is_open == 1 if wanted.state == "open" else columns.is_open.is_(None))
    if wanted.kind:
        statement = statement.where(columns.kind == wanted.kind)
    if wanted.model:
        statement = statement.where(columns.model == wanted.model)
    return [_finding(row) for row in connection.execute(statement).mappings()]


def read_finding(connection: Connection, finding_id: str) -> Finding | None:
    """Return a finding, or None."""
    row = connection.execute(select(finding_table).where(finding_table.c.id == finding_id)).mappings().first()
    return None if row is None else _finding(row)


def read_open(connection: Connection, difference: Difference) -> Finding | None:
    """Return the open finding like a difference, or None."""
    columns = finding_table.c
    statement = select(finding_table).where(
        columns.kind == difference.kind.value,
        columns.model == difference.model,
        columns.environment == difference.environment,
        columns.is_open == 1,
    )
    row = connection.execute(statement).mappings().first()
    return None if row is None else _finding(row)


def insert_finding(
    connection: Connection, finding_id: str, difference: Difference, response: Response, now: EpochNs
) -> bool:
    """Open a finding; tell whether there was none open like it."""
    row = {
        "id": finding_id,
        "kind": difference.kind.value,
        "model": difference.model,
        "environment": difference.environment,
        "document": _document(difference, response, standing=True),
        "is_open": 1,
        "opened_ns": now,
    }
    return insert_new(connection, finding_table, row, key=_OPEN_KEY)


def change_finding(connection: Connection, before: Finding, difference: Difference, *, standing: bool) -> bool:
    """Say what is found now, if the finding is as it was read; tell whether it was."""
    columns = finding_table.c
    as_read = _document(before.difference, before.response, standing=before.standing)
    statement = finding_table.update().where(columns.id == before.id, columns.is_open == 1, columns.document == as_read)
    document = _document(difference, before.response, standing=standing)
    return connection.execute(statement.values(document=document)).rowcount == 1


def close_finding(connection: Connection, finding_id: str, now: EpochNs) -> bool:
    """Close a finding; tell whether it was open."""
    columns = finding_table.c
    statement = finding_table.update().where(columns.id == finding_id, columns.is_open == 1)
    return connection.execute(statement.values(is_open=None, closed_ns=now)).rowcount == 1


# --- marks: `seen_message` is the one table whose rows both processes may add and take away ---------------------------


def mark(connection: Connection, source: str, mark_id: str, now: EpochNs) -> None:
    """Remember when something was done last."""
    columns = seen_message.c
    connection.execute(seen_message.delete().where(columns.source == source, columns.id == mark_id))
    insert_new(connection, seen_message, {"source": source, "id": mark_id, "seen_ns": now})


def add_mark(connection: Connection, source: str, mark_id: str, now: EpochNs) -> bool:
    """Remember something that comes once; tell whether it was not there yet."""
    return insert_new(connection, seen_message, {"source": source, "id": mark_id, "seen_ns": now})


def read_marks(connection: Connection, source: str) -> dict[str, EpochNs]:
    """Return everything of a source, and when."""
    columns = seen_message.c
    rows = connection.execute(select(columns.id, columns.seen_ns).where(columns.source == source))
    return {row.id: row.seen_ns for row in rows}


def newest_mark(connection: Connection, source: str) -> EpochNs:
    """Return when the newest of a source came; 0 = none is kept."""
    columns = seen_message.c
    newest = select(func.coalesce(func.max(columns.seen_ns), 0)).where(columns.source == source)
    return EpochNs(connection.execute(newest).scalar_one())


def forget_marks(
    connection: Connection, source: str, *, before: EpochNs | None = None, ids: Sequence[str] = ()
) -> None:
    """Take away what came before an instant, and these."""
    columns = seen_message.c
    of_source = seen_message.delete().where(columns.source == source)
    if before is not None:
        connection.execute(of_source.where(columns.seen_ns < before))
    if ids:
        connection.execute(of_source.where(columns.id.in_(ids)))


def _document(difference: Difference, response: Response, *, standing: bool) -> bytes:
    fields = {name: value for name, value in asdict(difference).items() if name not in _IN_COLUMNS}
    return canonicalize({**fields, "response": response, "standing": standing})


def _finding(row: RowMapping) -> Finding:
    document = parse_canonical(row["document"])
    response, standing = document.pop("response"), document.pop("standing")
    difference = Difference(
        kind=FindingKind(row["kind"]), model=row["model"], environment=row["environment"], **document
    )
    return Finding(
        number=row["number"],
        id=row["id"],
        difference=difference,
        response=response,
        standing=standing,
        opened=row["opened_ns"],
        closed=row["closed_ns"],
    )
