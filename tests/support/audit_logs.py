"""A real log in a real database, in a folder of the test's own."""

import sqlite3
import uuid
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from lockgate.audit import APP_EVENT, Actor, AuditLog, Event, KindCatalogue, Verification, verify_log
from lockgate.audit.export import export_log
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.clock import EpochNs
from lockgate.storage import open_engine, upgrade_schema

ORIGIN = "gate.example/audit"


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

    def fill(self, count: int) -> None:
        """Append events."""
        for _ in range(count):
            self.log.append(make_event())

    def edit(self, statement: str, *values: object) -> None:
        """Change the database behind the log's back, as somebody who may drop its triggers can."""
        connection = sqlite3.connect(self.database)
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement, values)
        connection.commit()
        connection.close()

    def reopened(self) -> AuditLog:
        """Return the log as another process finds it."""
        return _open(self.engine, self.signer, self.clock, self.checkpoint_file)

    @property
    def checkpoint_file(self) -> Path:
        """The file outside the database."""
        return self.folder / "checkpoints.txt"

    def export(self, name: str = "export") -> Path:
        """Export the log."""
        out = self.folder / name
        export_log(self.engine, ORIGIN, out)
        return out


def make_stand(folder: Path) -> LogStand:
    """Make a log with its genesis record."""
    engine = open_engine(f"sqlite:///{folder / 'lockgate.db'}")
    upgrade_schema(engine)
    signer = make_signer(ORIGIN, bytes(range(32)))
    clock = SteppingClock()
    log = _open(engine, signer, clock, folder / "checkpoints.txt")
    log.create()
    return LogStand(folder=folder, engine=engine, signer=signer, clock=clock, log=log)


def _open(engine: Engine, signer: SeedSigner, clock: SteppingClock, checkpoint_file: Path) -> AuditLog:
    return AuditLog(
        engine=engine,
        signer=signer,
        clock=clock,
        catalogue=KindCatalogue({}),
        instance="test",
        checkpoint_file=checkpoint_file,
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
