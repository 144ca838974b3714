"""Verifying a log where it lives: in its database, beside the checkpoints that the gate keeps outside of it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from sqlalchemy import Connection, Engine

from lockgate.audit import LogForeignError, LogInconsistentError, store
from lockgate.audit.formats.merkle import nodes_of
from lockgate.audit.reading import query_store
from lockgate.audit.store import Head
from lockgate.audit.types import Note, Verification
from lockgate.audit.verification.pruned import Pruned
from lockgate.audit.verification.verifier import Trust, verify_log
from lockgate.audit.writing.checkpoint_file import CheckpointFile
from lockgate.storage import StorageError, database_exists, open_engine, read_transaction

Progress: TypeAlias = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Shows how far a check came: called with the number of records, it gives what is called with the position."""


def verify_database(
    url: str, trust: Trust, log: str, *, checkpoint_file: Path | None = None, progress: Progress
) -> Verification:
    """Verify a log in one snapshot of its database.

    Args:
        url: The database's.
        trust: Whom the auditor believes.
        log: The log's origin.
        checkpoint_file: The gate's own file of checkpoints. Its newest must be in the database: a backup that was
            restored lacks it. The file makes no log complete, since whoever has the database may well have it too.
        progress: Shows how far the check came.

    Raises:
        StorageError: There is no such database, or it cannot be read.
        CheckpointFileError: The checkpoint file cannot be read.
        LogInconsistentError: Of a pruned log too little is left to begin with.
    """
    engine = _open(url)
    # Keys of other logs count for nothing here: their records in this log's place must not look right.
    its_keys = tuple(each for each in trust.policy.logs if each.key.name == log)
    trust = replace(trust, policy=replace(trust.policy, logs=its_keys))
    # Before the snapshot: a log that is being written has every checkpoint of its file in its database already.
    newest, why_not = (None, None) if checkpoint_file is None else _newest(checkpoint_file, trust)
    with read_transaction(engine) as connection:
        head = store.read_head(connection, log)
        cosigned = store.read_newest_cosigned(connection, log)
        with progress(head.size if head else 0) as advance:
            verification = verify_log(
                records=((entry.body, entry.columns) for entry in store.stream_entries(connection, log)),
                checkpoints=store.stream_checkpoints(connection, log),
                trust=trust,
                attachments=partial(store.read_attachment, connection, log),
                newest=newest,
                cosigned=() if cosigned is None else (cosigned,),
                pruned=_pruned(connection, log, head),
                on_progress=advance,
            )
    if why_not is None:
        return verification
    return replace(verification, notes=(*verification.notes, Note(code="file_not_compared", detail=why_not)))


def logs_in_database(url: str) -> tuple[str, ...]:
    """Return the origins of the logs in a database, sorted: an environment's log follows the main one.

    Raises:
        StorageError: There is no such database, or it cannot be read.
    """
    with read_transaction(_open(url)) as connection:
        return tuple(store.read_logs(connection))


def _open(url: str) -> Engine:
    engine = open_engine(url)
    if not database_exists(engine):  # SQLite would make one
        raise StorageError("there is no database at this place")
    return engine


def _newest(path: Path, trust: Trust) -> tuple[bytes | None, str | None]:
    try:
        note = CheckpointFile(path).newest_note([each.key for each in trust.policy.logs])
    except LogForeignError:
        return None, f"no checkpoint in {path} is signed by a known key"
    return note, f"there is no {path}, where the gate keeps its checkpoints" if note is None else None


def _pruned(connection: Connection, log: str, head: Head | None) -> Pruned | None:
    if head is None or head.first_seq == 0:
        return None
    nodes = nodes_of((0, head.first_seq))
    hashes = store.read_nodes(connection, log, nodes)
    leaf = query_store.read_prev(connection, log, head.first_seq)
    if leaf is None or len(hashes) != len(nodes):
        raise LogInconsistentError("a part of the log at the place where it was pruned is missing")
    return Pruned(before=head.first_seq, leaf=leaf, edge=tuple(hashes[node] for node in nodes))
