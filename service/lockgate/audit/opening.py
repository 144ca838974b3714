"""A log of one's own in a folder, opened in one call: for a module that wants no more than that.

Whoever keeps the key elsewhere, shares a database with tables of its own or uses PostgreSQL puts an `AuditLog` together
from its parts instead, as this does.
"""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from lockgate.audit.errors import KeyInvalidError, LogForeignError
from lockgate.audit.formats.notes import Signer
from lockgate.audit.keys import create_key_file, load_key_file
from lockgate.audit.kinds import KindCatalogue
from lockgate.audit.types import Actor
from lockgate.audit.writing.log import AuditLog
from lockgate.storage import open_engine, upgrade_schema
from lockgate.system_clock import SystemClock

DATABASE_FILE: Final = "log.db"
KEY_FILE: Final = "log.key"
CHECKPOINT_FILE: Final = "checkpoints.txt"
FOLDER_MODE: Final = 0o700  # the key lies in it
_INSTANCE_CHARACTERS_MAX: Final = 64  # of a host's name in each record


def open_log(folder: Path, origin: str, kinds: Mapping[str, bytes]) -> AuditLog:
    """Open the log in a folder; the first time, make the folder, a key, an SQLite database and the log.

    Args:
        folder: Holds `log.key`, `log.db` and `checkpoints.txt`; several processes of one machine may open it.
        origin: The log's name for ever, a URL without a scheme, for example `reviews.example.org/audit`.
        kinds: The kinds of record that will be written -> the bytes of the JSON Schema file of their bodies. A kind or
            schema that is new to the log is registered in it, by a record.

    Raises:
        KindInvalidError: A kind's name is not a module's to take, or its schema cannot be used.
        KeyInvalidError: `origin` is not a log's name, or the key file cannot be used.
        LogForeignError: The folder holds another log, or a log without its key or its database.
        LogInconsistentError: The stored log contradicts what was signed.
        CheckpointFileError: The checkpoint file cannot be used.
        StorageError: The database cannot be written.
    """
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as exc:
        raise KeyInvalidError(f"cannot make the folder {folder}: {exc.strerror}") from exc
    signer = _signer(folder, origin)
    engine = open_engine(f"sqlite:///{(folder / DATABASE_FILE).absolute()}")
    upgrade_schema(engine)
    log = AuditLog(
        engine=engine,
        signer=signer,
        clock=SystemClock(),
        catalogue=KindCatalogue({}),
        instance=socket.gethostname()[:_INSTANCE_CHARACTERS_MAX] or "log",
        checkpoint_file=folder / CHECKPOINT_FILE,
    )
    log.create()
    for kind, schema in kinds.items():
        log.register_kind(kind, schema, Actor(type="system", id=log.origin))
    return log


def _signer(folder: Path, origin: str) -> Signer:
    path = folder / KEY_FILE
    # In this order: where another process makes the log meanwhile, its key is there before its database.
    has_database = (folder / DATABASE_FILE).exists()
    if not path.exists():
        if has_database:
            raise LogForeignError(
                f"want the key {path} of the log that is here; put it back from the backup: no other can continue it"
            )
        try:
            return create_key_file(path, origin)
        except KeyInvalidError:
            if not path.exists():  # else another process made it a moment ago
                raise
    signer = load_key_file(path)
    if signer.verifier_key.name != origin:
        raise LogForeignError(f"want the origin {signer.verifier_key.name!r}, which the key in {folder} is for")
    return signer
