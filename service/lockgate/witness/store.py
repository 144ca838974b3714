"""What a witness remembers: for each log the checkpoint that it cosigned last. An SQLite file of its own.

The file is the witness's promise. If it is lost, or an older copy is put back, the witness could contradict itself: its
key must then be given up. So the file names the key that it belongs to, and is never made by serving.
"""

from pathlib import Path

from sqlalchemy import Column, Connection, Engine, LargeBinary, MetaData, String, Table, Text, delete, insert, select

from lockgate.audit.formats.cosignatures import WitnessKey
from lockgate.digests import sha256_hex
from lockgate.storage import StorageError, open_engine, read_transaction, write_transaction
from lockgate.witness.errors import StateForeignError

_metadata = MetaData()
_identity = Table("witness_identity", _metadata, Column("key", Text, primary_key=True))
_cosigned = Table(
    "witness_cosigned",
    _metadata,
    Column("origin_sha256", String(64), primary_key=True),
    Column("note", LargeBinary, nullable=False),  # with the log's signature and our cosignature
)


def create_state(path: Path, key: WitnessKey) -> None:
    """Make the state of a new witness.

    Raises:
        StorageError: The file exists, or cannot be written.
    """
    if path.exists():
        raise StorageError(f"want no file at {path}, got one")
    engine = open_engine(f"sqlite:///{path}")
    with write_transaction(engine) as connection:
        _metadata.create_all(connection)
        connection.execute(insert(_identity).values(key=str(key)))
    engine.dispose()


def open_state(path: Path, key: WitnessKey) -> Engine:
    """Open the state of this witness.

    Raises:
        StateForeignError: There is none, or it is another witness's.
    """
    if not path.is_file():
        raise StateForeignError(
            f"there is no state at {path}; a witness that ever served must not go on without it: "
            "give its key up, and run 'lockgate witness init' for a new one in an empty folder"
        )
    engine = open_engine(f"sqlite:///{path}")
    try:
        with read_transaction(engine) as connection:
            owner = connection.scalars(select(_identity.c.key)).one()
    except StorageError as exc:
        raise StateForeignError(f"want the state of a witness at {path}: {exc}") from exc
    if owner != str(key):
        raise StateForeignError(f"the state at {path} is of the witness key {owner[:80]}")
    return engine


def read_cosigned(connection: Connection, origin_sha256: str) -> bytes | None:
    """Return the checkpoint cosigned last for the log whose origin has this SHA-256, 64 hex digits."""
    query = select(_cosigned.c.note).where(_cosigned.c.origin_sha256 == origin_sha256)
    return connection.scalars(query).one_or_none()


def keep_cosigned(connection: Connection, origin: str, note: bytes) -> None:
    """Keep a checkpoint in the place of the one before."""
    origin_sha256 = hash_origin(origin)
    connection.execute(delete(_cosigned).where(_cosigned.c.origin_sha256 == origin_sha256))
    connection.execute(insert(_cosigned).values(origin_sha256=origin_sha256, note=note))


def hash_origin(origin: str) -> str:
    """Return what a log is called in a path: the SHA-256 of its origin, 64 lower-case hex digits."""
    return sha256_hex(origin.encode())
