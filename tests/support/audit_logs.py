"""A real log in a real database, in a folder of the test's own."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine

from lockgate.audit import APP_EVENT, Actor, AuditLog, Event, KindCatalogue, Verification, verify_log
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.audit.reading.export import export_log
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.writing.checkpoint_file import CheckpointSync
from lockgate.clock import EpochNs
from lockgate.storage import open_engine, upgrade_schema

ORIGIN = "gate.example/audit"


_TRIGGERS: Final = {
    "sqlite": "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'",
    "postgresql": (
        "SELECT relname, tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid WHERE NOT tgisinternal"
    ),
}


class SteppingClock:
    """A clock that gains one millisecond with each look, unless it is set back."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000_000

    def now_ns(self) -> EpochNs:
        """Return the time now."""
        self.now += 1_000_000
        return EpochNs(self.now)


@dataclass
class LogStand:
    """A log, and what a test needs to look behind it."""

    folder: Path
    engine: Engine
    signer: SeedSigner
    clock: SteppingClock
    log: AuditLog

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "lockgate.db"

    @property
    def url(self) -> str:
        """The database's URL, its password too."""
        return self.engine.url.render_as_string(hide_password=False)

    def fill(self, count: int) -> None:
        """Append events."""
        for _ in range(count):
            self.log.append(make_event())

    def edit(self, statement: str, *values: object) -> None:
        """Change the database behind the log's back, as somebody who may drop its triggers can."""
        with self.engine.connect() as connection:
            drop_triggers(connection)
            postgresql = connection.dialect.name == "postgresql"
            connection.exec_driver_sql(statement.replace("?", "%s") if postgresql else statement, values)
            connection.commit()

    def change(self, table: str, column: str, where: str, change: Callable[[bytes], bytes]) -> None:
        """Change the bytes in one column of one row behind the log's back."""
        with self.engine.connect() as connection:
            before = connection.exec_driver_sql(f"SELECT {column} FROM {table} WHERE {where}").scalar_one()  # noqa: S608 - a test's own names
        self.edit(f"UPDATE {table} SET {column} = ? WHERE {where}", change(before))  # noqa: S608 - same

    def cut(self, size: int) -> None:
        """Make the database what it was when it held `size` records, as restoring a backup does."""
        (leaf,) = [record.leaf for record in self.log.records(after=size - 2, limit=1)]
        self.edit("DELETE FROM audit_entry WHERE seq >= ?", size)
        self.edit("DELETE FROM audit_node WHERE ((idx + 1) << level) > ?", size)
        self.edit("DELETE FROM audit_checkpoint WHERE size > ?", size)
        self.edit("UPDATE audit_head SET size = ?, leaf = ?", size, leaf)

    def reopened(self, *, elsewhere: bool = False, checkpoint_sync: CheckpointSync = "second") -> AuditLog:
        """Return the log as another process finds it; elsewhere: on a machine without the checkpoint file."""
        file = None if elsewhere else self.checkpoint_file
        return _open(self.engine, self.signer, self.clock, file, checkpoint_sync)

    @property
    def checkpoint_file(self) -> Path:
        """The file outside the database."""
        return self.folder / "checkpoints.txt"

    def export(self, name: str = "export") -> Path:
        """Export the log."""
        out = self.folder / name
        export_log(self.engine, ORIGIN, out)
        return out


def drop_triggers(connection: Connection) -> None:
    """Take the database's own guards away, as its owner can."""
    on_table = connection.dialect.name == "postgresql"
    for table, trigger in connection.exec_driver_sql(_TRIGGERS[connection.dialect.name]).all():
        connection.exec_driver_sql(f"DROP TRIGGER {trigger}" + (f" ON {table}" if on_table else ""))


def make_stand(folder: Path, url: str | None = None) -> LogStand:
    """Make a log with its genesis record, in the database at `url` or in a new SQLite file."""
    engine = open_engine(url or f"sqlite:///{folder / 'lockgate.db'}")
    if url is None:
        upgrade_schema(engine)
    signer = make_signer(ORIGIN, bytes(range(32)))
    clock = SteppingClock()
    log = _open(engine, signer, clock, folder / "checkpoints.txt")
    log.create()
    return LogStand(folder=folder, engine=engine, signer=signer, clock=clock, log=log)


def _open(
    engine: Engine,
    signer: SeedSigner,
    clock: SteppingClock,
    checkpoint_file: Path | None,
    checkpoint_sync: CheckpointSync = "second",
) -> AuditLog:
    return AuditLog(
        engine=engine,
        signer=signer,
        clock=clock,
        catalogue=KindCatalogue({}),
        instance="test",
        checkpoint_file=checkpoint_file,
        checkpoint_sync=checkpoint_sync,
    )


def make_event(text: str = "tested", event_id: str | None = None, attachments: tuple[bytes, ...] = ()) -> Event:
    """Make an event that every catalogue knows."""
    return Event(
        id=event_id or str(uuid.uuid4()),
        kind=APP_EVENT,
        actor=Actor(type="user", id="ann@example.com", roles=("owner",)),
        body={"event": text, "level": "info", "facts": [{"name": "n", "value": 1}]},
        attachments=attachments,
    )


def verify_export(path: Path, *signers: SeedSigner, held: tuple[bytes, ...] = ()) -> Verification:
    """Verify an export under the keys of these signers."""
    folder = ExportFolder(path)
    verification = verify_log(
        records=folder.records(),
        checkpoints=folder.checkpoints(),
        keys=[signer.verifier_key for signer in signers],
        attachments=folder.attachment,
        held=[folder.newest_checkpoint(), *held],
    )
    if verification.verdict == "valid":
        folder.check_whole()
    return verification
