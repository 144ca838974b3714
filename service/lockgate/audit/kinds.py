"""The kinds of record that may be written, each with the schema of its body."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lockgate.audit.errors import KindUnknownError, RecordInvalidError
from lockgate.audit.formats.records import GENESIS
from lockgate.audit.types import Event
from lockgate.canonical_json import CanonicalJSONError, canonicalize
from lockgate.schemas import SchemaError, check_schema, schema_sha256

APP_EVENT: Final = "app.event"
_OWN_KINDS: Final[Mapping[str, str]] = {GENESIS: "v1/audit/genesis", APP_EVENT: "v1/audit/app_event"}


@dataclass(frozen=True, slots=True)
class KindCatalogue:
    """The log's own kinds and those that a module registers: kind -> name of the schema of its body."""

    registered: Mapping[str, str]

    def __post_init__(self) -> None:
        """Refuse a module's kind that would change the meaning of one of the log's own."""
        taken = self.registered.keys() & _OWN_KINDS.keys()
        if taken:
            raise KindUnknownError(f"want kinds of the module's own, got {sorted(taken)}")

    def check(self, event: Event) -> str:
        """Make sure that an event may be written.

        Returns:
            The SHA-256 of the schema that its body keeps to, in hex.

        Raises:
            KindUnknownError: Its kind is not in the catalogue.
            RecordInvalidError: Its body has no canonical form or breaks its schema.
        """
        name = {**_OWN_KINDS, **self.registered}.get(event.kind)
        if name is None:
            raise KindUnknownError(f"want a registered kind, got {event.kind[:64]!r}")
        try:
            canonicalize(dict(event.body))  # before the schema: it also bounds what jsonschema is made to read
            check_schema(name, event.body)
        except CanonicalJSONError as exc:
            raise RecordInvalidError(f"the body of {event.kind} has no canonical form: {exc}") from exc
        except SchemaError as exc:
            raise RecordInvalidError(f"the body of {event.kind} breaks {name} at '{exc.pointer}': {exc}") from exc
        return schema_sha256(name)
