"""Moving a log to another database: sealed here, copied, and let go on there.

Two databases that both grow one log fork it, and both are signed. So the log is sealed before it is copied: its last
record says so, and no process appends behind it, on whatever machine, because each looks at the last record under the
log's lock. The copy ends with the same record; only `resume_log` writes behind it.
"""

from lockgate.audit.errors import LogSealedError
from lockgate.audit.formats.kind_names import RESUME, SEAL
from lockgate.audit.keeping.log_writer import LogWriter, record_behind
from lockgate.audit.own_events import OwnEvent
from lockgate.audit.types import Actor
from lockgate.audit.writing.append_store import AppendStore
from lockgate.audit.writing.appending import check_ending
from lockgate.audit.writing.checkpoint_file import CheckpointFile
from lockgate.audit.writing.log import AuditLog
from lockgate.storage import write_transaction


def seal_log(log: AuditLog, *, event_id: str, reason: str, actor: Actor) -> bool:
    """Let nothing more be appended to the log in this database.

    Args:
        log: The log. Other processes that write to it are refused from then on (`audit.log_sealed`).
        event_id: A UUID for the record.
        reason: What for, for people; it stays in the log for ever.
        actor: Who does it.

    Returns:
        Whether it was not sealed before.

    Raises:
        AuditError: The log cannot be appended to for another reason.
        StorageError: The database cannot be written.
    """
    try:
        log.append(OwnEvent(id=event_id, kind=SEAL, actor=actor, body={"reason": reason}))
    except LogSealedError:
        return False
    return True


def resume_log(writer: LogWriter, *, reason: str, actor: Actor) -> int:
    """Let a sealed log go on in this database, and record it.

    Whoever calls this knows that it does not go on in another one already: the seal in this database cannot tell, and
    the checkpoint file only on the machine where it does.

    Args:
        writer: The log, with the database where it goes on.
        reason: What happened, for people; it stays in the log for ever.
        actor: Who does it.

    Returns:
        The record's position.

    Raises:
        LogNotSealedError: The log goes on here already.
        LogBehindError: By the checkpoint file it goes on elsewhere.
        LogForeignError, LogInconsistentError: As before an append.
        CheckpointFileError: The file cannot be read; or it cannot be written, and then the rest is done.
        StorageError: The database cannot be written.
    """
    file = None if writer.checkpoint_file is None else CheckpointFile(writer.checkpoint_file)
    newest = None if file is None else file.newest(writer.keys)
    with write_transaction(writer.engine) as connection:
        rows = AppendStore(connection, writer.origin)
        signed = () if newest is None else (newest,)
        ending = check_ending(connection, rows.lock_head(), writer.keys, signed, sealed=True)
        batch, seq = record_behind(ending, rows, writer, kind=RESUME, actor=actor, body={"reason": reason})
    if file is not None:
        file.write(batch.note)
    return seq
