"""The audit log: hash-chained records, an RFC 6962 tree over them, signed checkpoints, receipts. Stands alone.

For any Python service that must prove later what it did: the gate is one user. Promises: a record is durable before its
receipt exists; a change and its record are one transaction; what is hashed is what is stored; nothing is signed that
contradicts what was signed before; a verifier needs the records and a public key, no server and no database.

Import the names below. In the rooms within, `formats` and `verification` know no database; `reading`, `writing` and
`keeping` work on one, each on top of the one before. What only a writer needs is loaded when first asked for, so that
whoever verifies loads neither SQLAlchemy nor a schema validator.
"""

import importlib
from typing import TYPE_CHECKING, Any, Final

from lockgate.audit.errors import (
    ArchiveInvalidError,
    AuditError,
    BodyInvalidError,
    CheckpointFileError,
    DisclosureInvalidError,
    DuplicateIDError,
    ErasedError,
    ExportError,
    KeyInvalidError,
    KindInvalidError,
    KindReservedError,
    KindUnknownError,
    LogBehindError,
    LogBusyError,
    LogForeignError,
    LogInconsistentError,
    LogSealedError,
    NoEventError,
    NoteMalformedError,
    NoteUnverifiedError,
    ProofInvalidError,
    RecordInvalidError,
    RecordPrunedError,
    RecordUnknownError,
    RetentionRefusedError,
    SignatureInvalidError,
    SignerError,
)
from lockgate.audit.formats.checkpoints import Checkpoint, open_checkpoint
from lockgate.audit.formats.kind_names import APP_EVENT
from lockgate.audit.formats.notes import Signer, VerifierKey, parse_verifier_key
from lockgate.audit.types import (
    SYSTEM,
    Actor,
    Committed,
    Event,
    Outcome,
    Problem,
    Receipt,
    StoredRecord,
    Verification,
)
from lockgate.audit.verification.receipts import verify_receipt
from lockgate.audit.verification.verifier import verify_log

if TYPE_CHECKING:
    from lockgate.audit.keys import create_key_file, load_key_file, load_public_key, load_signer
    from lockgate.audit.kinds import KindCatalogue
    from lockgate.audit.opening import open_log
    from lockgate.audit.writing.log import AuditLog

_LOADED_LATER: Final = {
    "AuditLog": "writing.log",
    "KindCatalogue": "kinds",
    "create_key_file": "keys",
    "load_key_file": "keys",
    "load_public_key": "keys",
    "load_signer": "keys",
    "open_log": "opening",
}

__all__ = [
    "APP_EVENT",
    "SYSTEM",
    "Actor",
    "ArchiveInvalidError",
    "AuditError",
    "AuditLog",
    "BodyInvalidError",
    "Checkpoint",
    "CheckpointFileError",
    "Committed",
    "DisclosureInvalidError",
    "DuplicateIDError",
    "ErasedError",
    "Event",
    "ExportError",
    "KeyInvalidError",
    "KindCatalogue",
    "KindInvalidError",
    "KindReservedError",
    "KindUnknownError",
    "LogBehindError",
    "LogBusyError",
    "LogForeignError",
    "LogInconsistentError",
    "LogSealedError",
    "NoEventError",
    "NoteMalformedError",
    "NoteUnverifiedError",
    "Outcome",
    "Problem",
    "ProofInvalidError",
    "Receipt",
    "RecordInvalidError",
    "RecordPrunedError",
    "RecordUnknownError",
    "RetentionRefusedError",
    "SignatureInvalidError",
    "Signer",
    "SignerError",
    "StoredRecord",
    "Verification",
    "VerifierKey",
    "create_key_file",
    "load_key_file",
    "load_public_key",
    "load_signer",
    "open_checkpoint",
    "open_log",
    "parse_verifier_key",
    "verify_log",
    "verify_receipt",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for (PEP 562)
    if name in _LOADED_LATER:
        return getattr(importlib.import_module(f"lockgate.audit.{_LOADED_LATER[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
