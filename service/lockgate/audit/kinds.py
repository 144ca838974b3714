"""The kinds of record that may be written, each with the schema of its body."""

from collections.abc import Mapping
from typing import Final

from lockgate.audit.errors import KindUnknownError, RecordInvalidError
from lockgate.audit.formats.kind_names import (
    ANCHOR,
    APP_EVENT,
    ERASE,
    EXPORT,
    GENESIS,
    HEARTBEAT,
    KEY_COMPROMISE,
    KEY_ROTATE,
    KIND,
    PRUNE,
    READ,
    RECOVER,
)
from lockgate.audit.types import Event
from lockgate.canonical_json import CanonicalJSONError, canonicalize
from lockgate.schemas import SchemaError, check_schema, schema_sha256

OWN_KINDS: Final[Mapping[str, str]] = {
    GENESIS: "v1/audit/genesis",
    APP_EVENT: "v1/audit/app_event",
    KEY_ROTATE: "v1/audit/key_rotate",
    KEY_COMPROMISE: "v1/audit/key_compromise",
    HEARTBEAT: "v1/audit/heartbeat",
    ANCHOR: "v1/audit/anchor",
    ERASE: "v1/audit/erase",
    PRUNE: "v1/audit/prune",
    RECOVER: "v1/audit/recover",
    EXPORT: "v1/audit/export_made",
    READ: "v1/audit/read_made",
    KIND: "v1/audit/kind",
}


class KindCatalogue:
    """The log's own kinds and those that a module registers, each with the schema of its body."""

    def __init__(self, registered: Mapping[str, str]) -> None:
        """Take a module's kinds: kind -> name of the schema of its body.

        Raises:
            KindUnknownError: One of them would change the meaning of one of the log's own.
        """
        taken = registered.keys() & OWN_KINDS.keys()
        if taken:
            raise KindUnknownError(f"want kinds of the module's own, got {sorted(taken)}")
        self._schemas: Mapping[str, str] = {**OWN_KINDS, **registered}

    def check(self, event: Event) -> None:
        """Make sure that an event may be written.

        Raises:
            KindUnknownError: Its kind is not in the catalogue.
            RecordInvalidError: Its body has no canonical form or breaks its schema.
        """
        name = self._schema(event.kind)
        try:
            canonicalize(dict(event.body))  # before the schema: it also bounds what the validator is made to read
            check_schema(name, event.body)
        except CanonicalJSONError as exc:
            raise RecordInvalidError(f"the body of {event.kind} has no canonical form: {exc}") from exc
        except SchemaError as exc:
            raise RecordInvalidError(f"the body of {event.kind} breaks {name} at '{exc.pointer}': {exc}") from exc

    def schema_sha256(self, kind: str) -> str:
        """Return the SHA-256 of the schema of a kind's body, in hex.

        Raises:
            KindUnknownError: The kind is not in the catalogue.
        """
        return schema_sha256(self._schema(kind))

    def _schema(self, kind: str) -> str:
        name = self._schemas.get(kind)
        if name is None:
            raise KindUnknownError(f"want a registered kind, got {kind[:64]!r}")
        return name
