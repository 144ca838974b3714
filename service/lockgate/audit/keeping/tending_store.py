"""The statements of tending. The caller holds the transaction; nothing here decides anything."""

from sqlalchemy import Connection, select

from lockgate.storage.tables import audit_checkpoint, audit_cosigned


def read_cosigned(connection: Connection, log: str, limit: int) -> list[bytes]:
    """Return the newest checkpoints with witnesses' lines, the largest first."""
    query = select(audit_cosigned.c.note).where(audit_cosigned.c.log == log)
    return list(connection.scalars(query.order_by(audit_cosigned.c.size.desc()).limit(limit)))


def read_checkpoint_of_size(connection: Connection, log: str, size: int) -> bytes | None:
    """Return the log's own checkpoint over exactly `size` records."""
    query = select(audit_checkpoint.c.note).where(audit_checkpoint.c.log == log, audit_checkpoint.c.size == size)
    return connection.scalars(query).one_or_none()
