"""The kinds of record that may be written, each with the schema of its body.

Three sources: the log's own kinds and those that Lockgate ships (`KindCatalogue`), and those that a module registered
in the log by a `log.kind` record (`lockgate.audit.writing.log_kinds`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lockgate.audit.errors import (
    BodyInvalidError,
    KindInvalidError,
    KindReservedError,
    KindUnknownError,
    RecordInvalidError,
)
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
    RESUME,
    SEAL,
)
from lockgate.audit.formats.records import encode_body
from lockgate.audit.kind_schemas import KindSchema
from lockgate.audit.own_events import OWN_WORD, may_record
from lockgate.audit.types import Actor, Event
from lockgate.canonical_json import RECORD_BYTES_MAX, CanonicalJSONError
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
    SEAL: "v1/audit/seal",
    RESUME: "v1/audit/resume",
    EXPORT: "v1/audit/export_made",
    READ: "v1/audit/read_made",
    KIND: "v1/audit/kind",
}
# The first words of the kinds that Lockgate ships, now or later: nobody may speak in the log's or the gate's name.
RESERVED_WORDS: Final = frozenset({"app", "gate", "identity", "log", "registry"})
_KIND: Final = re.compile(r"(?=.{3,64}\Z)[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedEvent:
    """An event that may be written."""

    event: Event
    body: bytes  # its body in canonical form: what was checked is what is written
    schema_sha256: str  # of the schema that the body was held to, 64 hex digits


class KindCatalogue:
    """The log's own kinds and those that ship with Lockgate, each with the schema of its body."""

    def __init__(self, shipped: Mapping[str, str]) -> None:
        """Take the kinds of Lockgate's rooms: kind -> name of the schema of its body, for example `v1/api/decision`.

        Raises:
            KindUnknownError: One of them would change the meaning of one of the log's own, or speak in its name.
        """
        taken = sorted(kind for kind in shipped if kind in OWN_KINDS or kind.startswith(OWN_WORD))
        if taken:
            raise KindUnknownError(f"want kinds of the module's own, got {taken}")
        self._schemas: Mapping[str, str] = {**OWN_KINDS, **shipped}

    def __contains__(self, kind: str) -> bool:
        return kind in self._schemas

    def __iter__(self) -> Iterator[str]:
        return iter(self._schemas)

    def check(self, event: Event) -> CheckedEvent:
        """Make sure that an event may be written.

        Raises:
            KindUnknownError: Its kind is not in the catalogue.
            KindReservedError: It is a caller's, and in the log's own name.
            BodyInvalidError: Its body has no canonical form or breaks its schema.
            KindInvalidError: It registers a kind that cannot be registered.
        """
        name = self._schema(event.kind)
        if not may_record(event):
            raise KindReservedError(f"want an event in the caller's own name, got {event.kind}")
        body = canonical_body(event)
        try:
            check_schema(name, event.body)
        except SchemaError as exc:
            message = f"the body of {event.kind} breaks {name} at '{exc.pointer}': {exc}"
            raise BodyInvalidError(message, exc.pointer) from exc
        if event.kind == KIND:
            self._check_registration(event)
        return CheckedEvent(event=event, body=body, schema_sha256=schema_sha256(name))

    def schema_sha256(self, kind: str) -> str:
        """Return the SHA-256 of the schema of a kind's body.

        Raises:
            KindUnknownError: The kind is not in the catalogue.
        """
        return schema_sha256(self._schema(kind))

    def _schema(self, kind: str) -> str:
        name = self._schemas.get(kind)
        if name is None:
            raise KindUnknownError(f"want a registered kind, got {kind[:64]!r}")
        return name

    def _check_registration(self, event: Event) -> None:
        check_name(event.body["kind"])
        if event.body["kind"] in self:
            raise KindInvalidError(f"want a kind that Lockgate does not ship, got {event.body['kind']}")
        if len(event.attachments) != 1 or event.body["schema"] != f"sha256:{KindSchema(event.attachments[0]).sha256}":
            raise KindInvalidError("want the schema that the body names as the one attachment")


def canonical_body(event: Event) -> bytes:
    """Return a body's canonical form. Asked before the schema is: it also bounds what a validator is made to read.

    Raises:
        BodyInvalidError: It has none.
        RecordInvalidError: It is too large.
    """
    try:
        body = encode_body(event)
    except CanonicalJSONError as exc:
        raise BodyInvalidError(f"the body of {event.kind} has no canonical form: {exc}", "") from exc
    if len(body) > RECORD_BYTES_MAX:
        raise RecordInvalidError(f"want a body of at most {RECORD_BYTES_MAX} bytes, got {len(body)}")
    return body


def check_name(kind: str) -> None:
    """Make sure that a kind is a module's to register.

    Raises:
        KindInvalidError: It is not of the form of a kind, or in the name of the log or the gate.
    """
    if not _KIND.fullmatch(kind):
        raise KindInvalidError(
            f"want a kind of dotted lower-case words, 3 to 64 characters, as access.review, got {kind[:64]!r}"
        )
    word = kind.partition(".")[0]
    if word in RESERVED_WORDS:
        raise KindInvalidError(f"want a kind that does not begin with '{word}.', which is Lockgate's own")


def registration(kind: str, schema: bytes, *, event_id: str, actor: Actor) -> Event:
    """Return the event that registers a kind with the schema of its body.

    Raises:
        KindInvalidError: The name is not a module's to take, or the schema cannot be used.
    """
    check_name(kind)
    body = {"kind": kind, "schema": f"sha256:{KindSchema(schema).sha256}"}
    return Event(id=event_id, kind=KIND, actor=actor, subject=f"kind:{kind}", body=body, attachments=(schema,))
