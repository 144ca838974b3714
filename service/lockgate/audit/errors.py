"""What can go wrong with an audit log, by name. Where one is raised by a write, nothing was written."""

from typing import ClassVar

from lockgate.errors import LockgateError


class AuditError(LockgateError):
    """The log could not record, or something of a log cannot be believed."""

    code: ClassVar[str] = "audit.failed"


class RecordInvalidError(AuditError):
    """An event or a record's bytes break the record format or the schema of its kind."""

    code: ClassVar[str] = "audit.record_invalid"


class BodyInvalidError(RecordInvalidError):
    """An event's body has no canonical form, or breaks the schema of its kind.

    Attributes:
        pointer: Where, as a JSON Pointer (RFC 6901) into the body.
    """

    code: ClassVar[str] = "audit.body_invalid"

    def __init__(self, message: str, pointer: str) -> None:
        super().__init__(message)
        self.pointer = pointer


class KindUnknownError(AuditError):
    """An event's kind is neither in the catalogue nor registered in the log."""

    code: ClassVar[str] = "audit.kind_unknown"


class KindInvalidError(AuditError):
    """A kind cannot be registered: its name is not a module's to take, or its schema is not one to hold bodies to."""

    code: ClassVar[str] = "audit.kind_invalid"


class KindReservedError(RecordInvalidError):
    """An event speaks in the log's own name: `log.*` is recorded by what keeps the log, beside the act itself."""

    code: ClassVar[str] = "audit.kind_reserved"


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


class LogSealedError(AuditError):
    """The log was sealed because it goes on in another database; nothing is appended to it here."""

    code: ClassVar[str] = "audit.log_sealed"


class LogNotSealedError(AuditError):
    """Only a sealed log is let go on; this one was never stopped."""

    code: ClassVar[str] = "audit.log_not_sealed"


class LogBusyError(AuditError):
    """Too many writers wait already; nothing was done."""

    code: ClassVar[str] = "audit.busy"


class LogReentrantError(AuditError):
    """Work in a write transaction called its own log; nothing was written."""

    code: ClassVar[str] = "audit.reentrant"


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


class NotWitnessedError(RecordUnknownError):
    """The record is there, but no checkpoint that a witness signed covers it yet."""

    code: ClassVar[str] = "audit.not_witnessed"


class ReceiptUnwitnessedError(AuditError):
    """A receipt is right, but no quorum of witnesses signed its checkpoint."""

    code: ClassVar[str] = "audit.receipt_unwitnessed"


class ReceiptStaleError(AuditError):
    """A receipt is right, but of a record that is older than it may be, or by a clock that is ahead."""

    code: ClassVar[str] = "audit.receipt_stale"


class ProgramError(AuditError):
    """A program of the settings gave no answer that can be used."""

    code: ClassVar[str] = "audit.program_failed"


class ErasedError(AuditError):
    """The attachment was erased on purpose, and a `log.erase` record says so."""

    code: ClassVar[str] = "audit.erased"


class RecordPrunedError(AuditError):
    """The record was deleted after it was archived, and a `log.prune` record says so; the archive holds it."""

    code: ClassVar[str] = "audit.record_pruned"


class RetentionRefusedError(AuditError):
    """What shall be erased or pruned must stay or is not there; nothing was deleted."""

    code: ClassVar[str] = "audit.retention_refused"


class ArchiveInvalidError(AuditError):
    """An archive cannot stand in for the records that shall be pruned; nothing was deleted."""

    code: ClassVar[str] = "audit.archive_invalid"


class DisclosureInvalidError(AuditError):
    """Bytes are not a disclosure, or not the one that was committed to."""

    code: ClassVar[str] = "audit.disclosure_invalid"


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


class SignerError(AuditError):
    """The program that keeps the key gave no signature of it."""

    code: ClassVar[str] = "audit.signer_failed"


class KeyChangeError(AuditError):
    """A change of keys is refused: it would leave records that nobody could believe."""

    code: ClassVar[str] = "audit.key_change_refused"


class RecoveryError(AuditError):
    """An export cannot put back what the log lacks; nothing was changed."""

    code: ClassVar[str] = "audit.recovery_refused"


class NothingMissingError(RecoveryError):
    """The log lacks nothing that the export has; nothing was changed."""

    code: ClassVar[str] = "audit.nothing_missing"


class AnchorError(AuditError):
    """What is to be recorded as an anchor does not attest a checkpoint of this log; nothing was recorded."""

    code: ClassVar[str] = "audit.anchor_refused"


class TimestampTrustError(AuditError):
    """The certificates of time-stamping authorities cannot be used."""

    code: ClassVar[str] = "audit.timestamp_trust_invalid"


class ExportError(AuditError):
    """An export cannot be written or read."""

    code: ClassVar[str] = "audit.export_failed"
