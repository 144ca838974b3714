"""What a verification has found so far: the first problem of each code, and what else must be said. Pure."""

from typing import Final

from lockgate.audit.errors import AuditError, NoteMalformedError, NoteUnverifiedError, SignatureInvalidError
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.notes import split_note
from lockgate.audit.types import Note, Problem

# A check of this name failed although all it needed was at hand. Every other problem means: cannot be decided.
TAMPERED_CODES: Final = frozenset(
    {
        "record_malformed",
        "log_mismatch",
        "seq_mismatch",
        "prev_mismatch",
        "ts_backwards",
        "column_mismatch",
        "root_mismatch",
        "signature_invalid",
        "truncated",
        "attachment_missing",
        "attachment_mismatch",
        "anchor_mismatch",
        "prune_mismatch",
        "body_invalid",
    }
)
NOTE_CODES: Final[dict[type[AuditError], str]] = {
    SignatureInvalidError: "signature_invalid",
    NoteUnverifiedError: "key_unknown",
    NoteMalformedError: "checkpoint_malformed",
}
KEYS_NAMED_MAX: Final = 8  # of the up to 99 lines of a note: enough to find the key that is lacking
COMPLETENESS_CODES: Final = frozenset({"truncated"})  # what is there may be right, but there was more


class Findings:
    """Keeps the first problem and the newest note of each code."""

    def __init__(self) -> None:
        self._problems: dict[str, Problem] = {}
        self._notes: dict[str, Note] = {}

    def report(self, code: str, seq: int | None, detail: str) -> None:
        """Keep a problem, unless there is one of its code."""
        self._problems.setdefault(code, Problem(code=code, seq=seq, detail=detail))

    def report_note(self, exc: AuditError, note: bytes) -> None:
        """Keep why a checkpoint was not believed; `exc` is one of `NOTE_CODES`."""
        code = NOTE_CODES[type(exc)]
        if not self.has(code):  # to describe each of a million would take minutes
            self.report(code, None, _describe(exc, note))

    def note(self, code: str, detail: str) -> None:
        """Keep a note in the place of an older one of its code."""
        self._notes[code] = Note(code=code, detail=detail)

    def has(self, code: str) -> bool:
        """Tell whether there is a problem of this code."""
        return code in self._problems

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems, in the order in which they were met."""
        return tuple(self._problems.values())

    @property
    def notes(self) -> tuple[Note, ...]:
        """The notes, in the order in which they were made."""
        return tuple(self._notes.values())


def _describe(exc: AuditError, note: bytes) -> str:
    try:
        size, (_, signatures) = read_checkpoint(note).size, split_note(note)
    except NoteMalformedError:
        return f"a checkpoint: {exc}"
    named = ", ".join(dict.fromkeys(signature.key_id.hex() for signature in signatures[:KEYS_NAMED_MAX]))
    keys = f"; its lines name the keys {named}" if isinstance(exc, NoteUnverifiedError) else ""
    return f"checkpoint over {size} records: {exc}{keys}"
