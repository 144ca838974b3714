"""What a verification has found so far: the first problem of each code, and what else must be said. Pure."""

from typing import Final

from lockgate.audit.errors import AuditError, NoteMalformedError, NoteUnverifiedError, SignatureInvalidError
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
COMPLETENESS_CODES: Final = frozenset({"truncated"})  # what is there may be right, but there was more


class Findings:
    """Keeps the first problem and the newest note of each code."""

    def __init__(self) -> None:
        self._problems: dict[str, Problem] = {}
        self._notes: dict[str, Note] = {}

    def report(self, code: str, seq: int | None, detail: str) -> None:
        """Keep a problem, unless there is one of its code."""
        self._problems.setdefault(code, Problem(code=code, seq=seq, detail=detail))

    def report_note(self, exc: AuditError) -> None:
        """Keep why a checkpoint was not believed; `exc` is one of `NOTE_CODES`."""
        self.report(NOTE_CODES[type(exc)], None, f"a checkpoint: {exc}")

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
