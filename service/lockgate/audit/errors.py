"""What can go wrong with an audit log, by name. Where one is raised by a write, nothing was written."""

from typing import ClassVar

from lockgate.errors import LockgateError


class AuditError(LockgateError):
    """The log could not record, or something of a log cannot be believed."""

    code: ClassVar[str] = "audit.failed"


class RecordInvalidError(AuditError):
    """An event or a record's bytes break the record format or the schema of its kind."""

    code: ClassVar[str] = "audit.record_invalid"


class KindUnknownError(AuditError):
    """An event's kind is not in the catalogue."""

    code: ClassVar[str] = "audit.kind_unknown"


class DuplicateIDError(AuditError):
    """The log already holds a record with this id."""

    code: ClassVar[str] = "audit.duplicate_id"


class NoEventError(AuditError):
    """Work in a write transaction left no event: a change without a record is refused."""

    code: ClassVar[str] = "audit.no_event"


class LogInconsistentError(AuditError):
    """The stored log contradicts itself or its own signed checkpoint; nothing more is appended to it."""

    code: ClassVar[str] = "audit.log_inconsistent"


class LogBehindError(LogInconsistentError):
    """The stored log is shorter than what was already signed: a restored backup, a stale replica or a deleted tail."""

    code: ClassVar[str] = "audit.log_behind"


class LogBusyError(AuditError):
    """Too many writers wait already; nothing was done."""

    code: ClassVar[str] = "audit.busy"


class CheckpointFileError(AuditError):
    """The file of checkpoints outside the database cannot be read or written, or is another log's.

    Raised by a write, it means: what was written is durable, but it is not acknowledged.
    """

    code: ClassVar[str] = "audit.checkpoint_file"


class LogForeignError(AuditError):
    """The database holds this log under another key, or does not hold it at all."""

    code: ClassVar[str] = "audit.log_foreign"


class RecordUnknownError(AuditError):
    """The log holds no such record, attachment or tree size."""

    code: ClassVar[str] = "audit.record_unknown"


class KeyInvalidError(AuditError):
    """A key's text or file cannot be used."""

    code: ClassVar[str] = "audit.key_invalid"


class NoteMalformedError(AuditError):
    """Bytes are not a signed note, or its text is not a checkpoint."""

    code: ClassVar[str] = "audit.note_malformed"


class NoteUnverifiedError(AuditError):
    """No known key signed the note."""

    code: ClassVar[str] = "audit.note_unverified"


class SignatureInvalidError(AuditError):
    """A signature that names a known key is not by that key."""

    code: ClassVar[str] = "audit.signature_invalid"


class ProofInvalidError(AuditError):
    """A proof is malformed, or does not lead to the root that it should."""

    code: ClassVar[str] = "audit.proof_invalid"


class LogPolicyInvalidError(AuditError):
    """A text is not a policy file: who is trusted about a log cannot be told from it."""

    code: ClassVar[str] = "audit.log_policy_invalid"


class SubmissionMalformedError(AuditError):
    """Bytes are not what a log sends to a witness."""

    code: ClassVar[str] = "audit.submission_malformed"


class OutboundError(AuditError):
    """Somebody else's server gave no whole answer within the limits."""

    code: ClassVar[str] = "audit.outbound_failed"


class ExportError(AuditError):
    """An export cannot be written or read."""

    code: ClassVar[str] = "audit.export_failed"
