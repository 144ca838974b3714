"""Why a record that somebody asked for by its position is not there."""

from sqlalchemy import Connection

from lockgate.audit import store


def explain_absence(connection: Connection, log: str, seq: int) -> str:
    """Say whether a record that is not in the log was pruned, or is not known at all."""
    head = store.read_head(connection, log)
    if head is not None and seq < head.first_seq:
        return f"record {seq} was pruned, with all before {head.first_seq}; see the archive"
    return f"the log holds no record {seq}"
