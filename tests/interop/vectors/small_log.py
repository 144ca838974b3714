"""Logs of a few records, the same bytes each time: the keys, the clock and the ids are fixed."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lockgate.audit import Actor, Event
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.merkle import leaf_hash, node_hash
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.audit.formats.records import Place, encode_record
from lockgate.clock import EpochNs
from lockgate.digests import sha256_hex

ORIGIN = "gate.example/audit"
SIGNER = make_signer(ORIGIN, bytes(range(32)))
NEW_SIGNER = make_signer(ORIGIN, bytes(range(1, 33)))
STRANGER = make_signer("other.example/audit", bytes(range(2, 34)))
BEGIN = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z
SECOND = 1_000_000_000
_SYSTEM = Actor(type="system", id="lockgate")
BOOT = "0b6b2f2e-6d57-4f57-9d0a-000000000000"
# Not the digest of a schema file that ships: vectors do not change with a schema's wording.
SCHEMA = sha256_hex(b'{"type":"object"}')


def make_event(text: str = "tested", *, kind: str = "app.event", attachments: tuple[bytes, ...] = ()) -> Event:
    """Make an event; a log that gets it twice gives it another id each time."""
    body = {"event": text, "facts": [{"name": "n", "value": 1}], "level": "info"}
    return Event(
        id=str(uuid.UUID(int=0)),
        kind=kind,
        actor=Actor(type="user", id="ann@example.com", roles=("owner",)),
        body=body,
        attachments=attachments,
    )


def make_act(kind: str, body: Mapping[str, Any], *, attachments: tuple[bytes, ...] = ()) -> Event:
    """Make an event of the log's own."""
    return Event(id="", kind=kind, actor=_SYSTEM, body=body, attachments=attachments)


@dataclass(kw_only=True)
class SmallLog:
    """Records, and a checkpoint over each transaction of them; the fields are what a wicked log would change."""

    origin: str = ORIGIN
    signers: tuple[SeedSigner, ...] = (SIGNER,)
    now: int = BEGIN
    step: int = SECOND
    records: list[bytes] = field(default_factory=list)
    notes: list[bytes] = field(default_factory=list)
    attachments: dict[str, bytes] = field(default_factory=dict)

    @classmethod
    def begun(cls, *, signer: SeedSigner = SIGNER) -> "SmallLog":
        """Return a log with its genesis record."""
        log = cls(origin=signer.verifier_key.name, signers=(signer,))
        return log.add(make_act("log.genesis", {"key": str(signer.verifier_key)}))

    def add(self, *events: Event) -> "SmallLog":
        """Write events as one transaction."""
        for event in events:
            self.put(event)
        return self.sign()

    def put(self, event: Event, *, seq: int | None = None, prev: bytes | None = None, log: str | None = None) -> None:
        """Write one record, unsigned yet."""
        position = len(self.records)
        place = Place(
            log=log or self.origin,
            seq=position if seq is None else seq,
            prev=(leaf_hash(self.records[-1]) if self.records else bytes(32)) if prev is None else prev,
            ts=EpochNs(self.now),
            instance="gate-1",
            boot=BOOT,
            schema_sha256=SCHEMA,
        )
        named = Event(
            id=str(uuid.UUID(int=(0x019B_0000_0000_7000_8000 << 48) + position)),
            kind=event.kind,
            actor=event.actor,
            body=event.body,
            subject=event.subject,
            trace=event.trace,
            attachments=event.attachments,
        )
        self.records.append(encode_record(named, place))
        self.attachments |= {sha256_hex(document): document for document in event.attachments}
        self.now += self.step

    def sign(self, *, root: bytes | None = None) -> "SmallLog":
        """Write a checkpoint over all records."""
        size = len(self.records)
        checkpoint = Checkpoint(origin=self.origin, size=size, root=self.root(0, size) if root is None else root)
        self.notes.append(sign_checkpoint(checkpoint, *self.signers))
        return self

    def root(self, begin: int, end: int) -> bytes:
        """Return the hash over some records, by RFC 6962's own recursion."""
        if end - begin == 1:
            return leaf_hash(self.records[begin])
        middle = begin + (1 << ((end - begin - 1).bit_length() - 1))
        return node_hash(self.root(begin, middle), self.root(middle, end))

    def files(self) -> dict[str, bytes]:
        """Return the log as an export: the bytes of each file."""
        files = {
            "records.jsonl": b"".join(record + b"\n" for record in self.records),
            "checkpoints.txt": b"\n".join(self.notes),
            "checkpoint": self.notes[-1] if self.notes else b"",
        }
        return files | {f"attachments/{name}": document for name, document in self.attachments.items()}
