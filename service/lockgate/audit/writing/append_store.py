"""The statements of an append, straight through the database's driver.

An append runs nine statements, and three more where another process wrote before it. Through SQLAlchemy each costs 13
to 24 us on top of what SQLite needs for it, more than all the hashing and signing together; so these, and no others, go
to the driver. The caller holds the transaction.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from lockgate.audit.formats.merkle import Node
from lockgate.audit.formats.records import Columns
from lockgate.audit.store import Entry, Head
from lockgate.digests import sha256_hex
from lockgate.storage import StorageError

_READ_HEAD: Final = "SELECT size, leaf FROM audit_head WHERE log = ?"
_ADD_HEAD: Final = "INSERT INTO audit_head (log, size, leaf) VALUES (?, 0, ?) ON CONFLICT (log) DO NOTHING"
_READ_ENTRY: Final = (
    "SELECT seq, body, leaf, prev, id, kind, ts, actor, subject FROM audit_entry WHERE log = ? AND seq = ?"
)
_READ_OF_KIND: Final = "SELECT seq, body FROM audit_entry WHERE log = ? AND kind = ? AND seq >= ? ORDER BY seq"
_READ_LAST_CHECKPOINT: Final = "SELECT note FROM audit_checkpoint WHERE log = ? ORDER BY size DESC LIMIT 1"
_READ_BODIES: Final = "SELECT body FROM audit_entry WHERE log = ? AND seq >= ? ORDER BY seq LIMIT ?"
_FIND_ID: Final = "SELECT 1 FROM audit_entry WHERE log = ? AND id = ?"
_ADD_ENTRY: Final = (
    "INSERT INTO audit_entry (log, seq, body, leaf, prev, id, kind, ts, actor, subject) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_ADD_NODE: Final = "INSERT INTO audit_node (log, level, idx, hash) VALUES (?, ?, ?, ?)"
_ADD_CHECKPOINT: Final = "INSERT INTO audit_checkpoint (log, size, note) VALUES (?, ?, ?)"
_MOVE_HEAD: Final = "UPDATE audit_head SET size = ?, leaf = ? WHERE log = ?"
_KEEP_ATTACHMENT: Final = (
    "INSERT INTO audit_attachment (log, sha256, body, seq) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (log, sha256) DO UPDATE SET seq = excluded.seq"
)


class AppendStore:
    """One log's rows, in one transaction."""

    def __init__(self, connection: Connection, log: str) -> None:
        self._cursor: Any = connection.connection.cursor()
        self._errors = connection.dialect.loaded_dbapi.Error
        self._log = log
        self._postgresql = connection.dialect.name == "postgresql"

    def add_head(self) -> None:
        """Make an empty log where there is none."""
        self._run(_ADD_HEAD, (self._log, bytes(32)))

    def lock_head(self) -> Head | None:
        """Return the log's end and keep other writers away from it until the transaction ends."""
        # SQLite's writers already queue before their transaction. On PostgreSQL a row that is always there is locked:
        # under READ COMMITTED whoever waited for it sees the newest size.
        rows = self._rows(_READ_HEAD + (" FOR UPDATE" if self._postgresql else ""), (self._log,))
        return Head(size=rows[0][0], leaf=bytes(rows[0][1])) if rows else None

    def read_bodies(self, first: int, limit: int) -> list[bytes]:
        """Return the stored bytes of up to `limit` records from `first` on."""
        return [bytes(row[0]) for row in self._rows(_READ_BODIES, (self._log, first, limit))]

    def read_entry(self, seq: int) -> Entry | None:
        """Return one record."""
        rows = self._rows(_READ_ENTRY, (self._log, seq))
        if not rows:
            return None
        seq, body, leaf, prev, event_id, kind, ts, actor, subject = rows[0]
        columns = Columns(
            seq=seq, leaf=bytes(leaf), prev=bytes(prev), id=event_id, kind=kind, ts=ts, actor=actor, subject=subject
        )
        return Entry(body=bytes(body), columns=columns)

    def read_of_kind(self, kind: str, first: int) -> list[tuple[int, bytes]]:
        """Return the position and bytes of each record of a kind from position `first` on, in order."""
        return [(row[0], bytes(row[1])) for row in self._rows(_READ_OF_KIND, (self._log, kind, first))]

    def read_last_checkpoint(self) -> bytes | None:
        """Return the newest signed checkpoint."""
        rows = self._rows(_READ_LAST_CHECKPOINT, (self._log,))
        return bytes(rows[0][0]) if rows else None

    def holds(self, event_id: str) -> bool:
        """Tell whether there is a record with this id."""
        return bool(self._rows(_FIND_ID, (self._log, event_id)))

    def keep_attachment(self, document: bytes, seq: int) -> None:
        """Keep a document under its SHA-256; `seq` is the newest record that names it."""
        self._run(_KEEP_ATTACHMENT, (self._log, sha256_hex(document), document, seq))

    def add_entries(self, entries: Iterable[Entry]) -> None:
        """Add records."""
        self._run_many(
            _ADD_ENTRY,
            [
                (self._log, at.seq, entry.body, at.leaf, at.prev, at.id, at.kind, at.ts, at.actor, at.subject)
                for entry in entries
                for at in (entry.columns,)
            ],
        )

    def add_nodes(self, nodes: Mapping[Node, bytes]) -> None:
        """Add hashes of complete subtrees."""
        self._run_many(_ADD_NODE, [(self._log, level, index, digest) for (level, index), digest in nodes.items()])

    def add_checkpoint(self, size: int, note: bytes) -> None:
        """Add a signed checkpoint."""
        self._run(_ADD_CHECKPOINT, (self._log, size, note))

    def move_head(self, head: Head) -> None:
        """Set the log's end."""
        self._run(_MOVE_HEAD, (head.size, head.leaf, self._log))

    @contextmanager
    def undone_on_error(self) -> Iterator[None]:
        """Take back what the block did to the database if it raises; what came before it stays.

        Raises:
            StorageError: The database refused a row of the block's; that too is taken back.
            DBAPIError: The database failed, and perhaps ended the transaction by itself: nothing of it counts any more.
        """
        self._run("SAVEPOINT job", ())
        try:
            yield
        except (IntegrityError, DataError) as exc:
            self._undo()
            raise StorageError(f"the database refused a row: {type(exc.orig).__name__}") from exc
        except DBAPIError:
            raise
        except BaseException:
            self._undo()
            raise
        self._run("RELEASE SAVEPOINT job", ())

    def _undo(self) -> None:
        self._run("ROLLBACK TO SAVEPOINT job", ())
        self._run("RELEASE SAVEPOINT job", ())

    def _rows(self, statement: str, values: Sequence[object]) -> list[Any]:
        try:
            self._cursor.execute(self._sql(statement), values)
            rows: list[Any] = self._cursor.fetchall()
        except self._errors as exc:
            raise self._named(exc) from exc
        return rows

    def _run(self, statement: str, values: Sequence[object]) -> None:
        try:
            self._cursor.execute(self._sql(statement), values)
        except self._errors as exc:
            raise self._named(exc) from exc

    def _run_many(self, statement: str, rows: list[tuple[object, ...]]) -> None:
        try:
            self._cursor.executemany(self._sql(statement), rows)
        except self._errors as exc:
            raise self._named(exc) from exc

    def _sql(self, statement: str) -> str:
        return statement.replace("?", "%s") if self._postgresql else statement

    def _named(self, error: Exception) -> Exception:
        return DBAPIError.instance(None, None, error, self._errors)  # as SQLAlchemy would; `storage` names it
