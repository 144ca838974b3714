"""Logs written by hand, record by record: what a verifier must judge, without a database behind it."""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockgate.audit import Actor, Event
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.kind_names import APP_EVENT, GENESIS
from lockgate.audit.formats.log_policy import LogKey, LogPolicy
from lockgate.audit.formats.merkle import GrowingTree, leaf_hash, node_hash
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.audit.formats.records import Place, encode_record
from lockgate.audit.types import Verification
from lockgate.audit.verification.export_folder import ATTACHMENTS, CHECKPOINT, CHECKPOINTS, COSIGNED, RECORDS
from lockgate.audit.verification.pruned import PRUNED
from lockgate.audit.verification.verifier import Trust, verify_log
from lockgate.canonical_json import canonicalize
from lockgate.clock import EpochNs
from lockgate.digests import sha256_hex

ORIGIN = "written.example/audit"
SIGNER = make_signer(ORIGIN, bytes(range(32)))
START_NS = 1_700_000_000_000_000_000
MILLISECOND_NS = 1_000_000
ACTOR = Actor(type="user", id="ann", roles=("owner",))


def only(signer: SeedSigner = SIGNER) -> LogPolicy:
    """Return the policy of somebody who knows one key."""
    return LogPolicy(logs=(LogKey(key=signer.verifier_key),))


@dataclass
class WrittenLog:
    """Records, checkpoints and documents; a test may change each behind the writer's back."""

    lines: list[bytes] = field(default_factory=list)
    notes: list[bytes] = field(default_factory=list)
    documents: dict[str, bytes] = field(default_factory=dict)
    signers: tuple[SeedSigner, ...] = (SIGNER,)
    tree: GrowingTree = field(default_factory=GrowingTree)
    paused_ns: int = 0  # in all; a record follows the one before by a millisecond and what was paused between
    edges: list[tuple[bytes, ...]] = field(default_factory=lambda: [()])  # of the tree over the first n records

    def add(
        self,
        kind: str = APP_EVENT,
        body: Any = None,
        attachments: tuple[bytes, ...] = (),
        change: Callable[[bytes], bytes] = lambda line: line,
    ) -> int:
        """Append a record; return its position. `change`: what a writer with the key may put in its place."""
        seq = len(self.lines)
        kind = kind if seq else GENESIS
        event = Event(
            id=str(uuid.UUID(int=seq)), kind=kind, actor=ACTOR, body=body or {"n": seq}, attachments=attachments
        )
        place = Place(
            log=ORIGIN,
            seq=seq,
            prev=leaf_hash(self.lines[-1]) if self.lines else bytes(32),
            ts=EpochNs(START_NS + seq * MILLISECOND_NS + self.paused_ns),
            instance="test",
            boot=str(uuid.UUID(int=1)),
            schema_sha256=sha256_hex(kind.encode()),
        )
        self.lines.append(change(encode_record(event, place)))
        self.tree.append(leaf_hash(self.lines[-1]))
        self.edges.append(tuple(self.tree._edge))
        for document in attachments:
            self.documents[sha256_hex(document)] = document
        return seq

    def sign(self) -> bytes:
        """Add a checkpoint over all records so far; return it."""
        checkpoint = Checkpoint(origin=ORIGIN, size=self.tree.size, root=self.tree.root())
        self.notes.append(sign_checkpoint(checkpoint, *self.signers))
        return self.notes[-1]

    def fill(self, count: int, *, batch: int = 1) -> "WrittenLog":
        """Append records, with a checkpoint behind each batch."""
        for number in range(1, count + 1):
            self.add()
            if number % batch == 0:
                self.sign()
        return self

    def root(self, size: int) -> bytes:
        """Return the root over the first records."""
        *larger, digest = self.edges[size]
        for left in reversed(larger):
            digest = node_hash(left, digest)
        return digest

    def verify(self, trust: Trust | None = None, **more: Any) -> Verification:
        """Verify it from memory."""
        return verify_log(
            records=((line, None) for line in self.lines),
            checkpoints=self.notes,
            trust=trust or Trust(policy=only()),
            attachments=self.documents.get,
            **more,
        )

    def write(self, folder: Path, *, cosigned: bytes | None = None, before: int = 0) -> Path:
        """Write it as an export; `before`: without the records before this position."""
        (folder / ATTACHMENTS).mkdir(parents=True)
        (folder / RECORDS).write_bytes(b"".join(line + b"\n" for line in self.lines[before:]))
        (folder / CHECKPOINTS).write_bytes(b"\n".join(self.notes))
        (folder / CHECKPOINT).write_bytes(self.notes[-1])
        for sha256, document in self.documents.items():
            (folder / ATTACHMENTS / sha256).write_bytes(document)
        if cosigned is not None:
            (folder / COSIGNED).write_bytes(cosigned)
        if before:
            (folder / PRUNED).write_bytes(canonicalize(self.pruned_document(before)))
        return folder

    def pruned_document(self, before: int) -> dict[str, Any]:
        """Return what `pruned.json` says."""
        return {
            "schema_version": 1,
            "before": before,
            "leaf": f"sha256:{leaf_hash(self.lines[before - 1]).hex()}",
            "edge": [f"sha256:{digest.hex()}" for digest in self.edges[before]],
        }

    def prune_body(self, before: int) -> dict[str, Any]:
        """Return the body of the `log.prune` record."""
        return {
            "before": before,
            "root": f"sha256:{self.root(before).hex()}",
            "leaf": f"sha256:{leaf_hash(self.lines[before - 1]).hex()}",
            "archive": f"sha256:{hashlib.sha256(b'archive').hexdigest()}",
            "reason": "old",
        }


def found(verification: Verification) -> tuple[str, int | None, set[str]]:
    """Return the verdict, the first record in doubt and the problems' codes."""
    return verification.verdict, verification.first_bad_seq, {problem.code for problem in verification.problems}
