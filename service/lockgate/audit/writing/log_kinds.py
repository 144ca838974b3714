"""The kinds of one log: those of its catalogue, and those that modules registered in it by a `log.kind` record.

A body is held to the newest schema that was registered before the transaction that writes its record: the writer looks
for registrations under the log's write lock whenever somebody else wrote, so that no process writes under a stale one.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from lockgate.audit import store
from lockgate.audit.errors import BodyInvalidError, KindInvalidError, KindUnknownError
from lockgate.audit.formats.kind_names import KIND
from lockgate.audit.formats.records import parse_record
from lockgate.audit.kind_schemas import KIND_SCHEMA_BYTES_MAX, KindSchema
from lockgate.audit.kinds import CheckedEvent, KindCatalogue, canonical_body
from lockgate.audit.types import Event
from lockgate.audit.writing.append_store import AppendStore
from lockgate.digests import sha256_hex

KINDS_MAX: Final = 60  # pruning registers what goes on again, in one transaction of at most 64 events


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A `log.kind` record."""

    kind: str
    schema_sha256: str
    seq: int


def read_registrations(connection: Connection, log: str, first: int = 0) -> list[Registration]:
    """Return the registrations from position `first` on, in order; of one kind the last counts."""
    rows = AppendStore(connection, log).read_of_kind(KIND, first)
    return [_registration(seq, parse_record(body)["body"]) for seq, body in rows]


def is_registered(connection: Connection, log: str, kind: str, schema: bytes) -> bool:
    """Tell whether a kind's newest registration is with this schema, and the log still keeps it."""
    newest = {made.kind: made.schema_sha256 for made in read_registrations(connection, log)}.get(kind)
    return newest is not None and store.read_attachment(connection, log, newest) == schema


class LogKinds:
    """Holds the events of one log to the schemas of their kinds."""

    def __init__(self, catalogue: KindCatalogue, log: str) -> None:
        self._catalogue = catalogue
        self._log = log
        self._registered: dict[str, KindSchema | None] = {}  # None: the schema is gone, or not one that we can use
        self._asked: set[str] = set()  # new kinds that events of the transaction in hand register
        self._read_to = 0  # the registrations before this position are known

    def check_early(self, event: Event) -> CheckedEvent | None:
        """Check an event before it waits for its turn to be written.

        Returns:
            None where only the writer can tell, since another process may have registered another schema meanwhile.

        Raises:
            AuditError: As `check`, of a kind that ships with Lockgate.
        """
        if event.kind in self._catalogue:
            checked = self._catalogue.check(event)
            return None if event.kind == KIND else checked
        try:
            return self.check(event)
        except (KindUnknownError, BodyInvalidError):
            return None

    def check(self, event: Event) -> CheckedEvent:
        """Make sure that an event may be written, as far as is known since the last look.

        Raises:
            KindUnknownError: Its kind is neither in the catalogue nor registered, or its schema cannot be had.
            KindReservedError: It is a caller's, and in the log's own name.
            BodyInvalidError: Its body has no canonical form or breaks its schema.
            KindInvalidError: It registers a kind that cannot be registered.
        """
        if event.kind in self._catalogue:
            checked = self._catalogue.check(event)
            if event.kind == KIND:
                self._check_room(event.body["kind"])
            return checked
        schema, body = self._schema(event.kind), canonical_body(event)
        schema.check(event.body)
        return CheckedEvent(event=event, body=body, schema_sha256=schema.sha256)

    def schema_sha256(self, kind: str) -> str:
        """Return the SHA-256 of the schema of a kind's body.

        Raises:
            KindUnknownError: The kind is neither in the catalogue nor registered, or its schema cannot be had.
        """
        if kind in self._catalogue:
            return self._catalogue.schema_sha256(kind)
        return self._schema(kind).sha256

    def catch_up(self, connection: Connection, size: int) -> None:
        """Learn of the kinds that were registered since the last look.

        Args:
            connection: In the transaction that is about to write.
            size: The log's.
        """
        self._asked.clear()
        if self._read_to >= size:
            return
        for made in read_registrations(connection, self._log, self._read_to):
            self._registered[made.kind] = _load(connection, self._log, made)
        self._read_to = size

    def skip_to(self, size: int) -> None:
        """Note that between the last look and this size nothing was registered."""
        self._read_to = size

    def _check_room(self, kind: str) -> None:
        # Writers that share a transaction share the room too. An event that fails after this keeps its place to the
        # transaction's end: what came too late for that finds it free when it asks again.
        if kind in self._registered:
            return
        if len(self._registered) + len(self._asked | {kind}) > KINDS_MAX:
            raise KindInvalidError(f"want at most {KINDS_MAX} registered kinds in one log")
        self._asked.add(kind)

    def _schema(self, kind: str) -> KindSchema:
        schema = self._registered.get(kind)
        if schema is None:
            gone = ", whose schema can be read" if kind in self._registered else ""
            raise KindUnknownError(f"want a registered kind{gone}, got {kind[:64]!r}")
        return schema


def _registration(seq: int, body: dict[str, Any]) -> Registration:
    return Registration(kind=body["kind"], schema_sha256=body["schema"].removeprefix("sha256:"), seq=seq)


def _load(connection: Connection, log: str, made: Registration) -> KindSchema | None:
    # A schema that was erased, or that another version of Lockgate accepted, stops the writing of its kind alone.
    data = store.read_attachment(connection, log, made.schema_sha256)
    if data is None or len(data) > KIND_SCHEMA_BYTES_MAX or sha256_hex(data) != made.schema_sha256:
        return None
    try:
        return KindSchema(data)
    except KindInvalidError:
        return None
