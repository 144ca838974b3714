"""Events in the log's own name (`log.*`): what its keepers do to it. For `keeping` and `writing` alone. Pure.

Such a record changes what a verifier believes: a seal stops the log, a compromise takes its key's word away, an erasure
excuses a missing document. So a caller's `Event` of such a kind is refused; the act itself makes one of these, beside
what it does. `log.kind` is left to everybody, since a check of its own holds it.
"""

from dataclasses import dataclass
from typing import Final

from lockgate.audit.formats.kind_names import KIND
from lockgate.audit.types import Event

OWN_WORD: Final = "log."


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnEvent(Event):
    """An event that is recorded in the log's own name."""


def may_record(event: Event) -> bool:
    """Tell whether an event of this kind may come from whom it comes."""
    return isinstance(event, OwnEvent) or not event.kind.startswith(OWN_WORD) or event.kind == KIND
