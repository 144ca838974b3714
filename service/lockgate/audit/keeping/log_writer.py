"""Writing to a log that `AuditLog` refuses to write to: behind what was put back, or behind a seal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from lockgate.audit.formats.notes import Signer, VerifierKey
from lockgate.audit.kinds import KindCatalogue
from lockgate.audit.own_events import OwnEvent
from lockgate.audit.types import Actor
from lockgate.audit.writing.append_store import AppendStore
from lockgate.audit.writing.appending import Ending
from lockgate.audit.writing.batch import Author, Batch
from lockgate.audit.writing.log_kinds import LogKinds
from lockgate.clock import Clock, EpochNs
from lockgate.ids import new_id


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWriter:
    """Who writes to a log, and where: what `AuditLog` is made of."""

    engine: Engine
    signers: Sequence[Signer]  # the one whose key the log is under, and perhaps the one of before
    clock: Clock
    instance: str
    checkpoint_file: Path | None

    @property
    def origin(self) -> str:
        """The log's name."""
        return self.signers[0].verifier_key.name

    @property
    def keys(self) -> list[VerifierKey]:
        """The keys that sign."""
        return [signer.verifier_key for signer in self.signers]


def record_behind(  # noqa: PLR0913 - where it goes, and what it says
    ending: Ending, rows: AppendStore, writer: LogWriter, *, kind: str, actor: Actor, body: Mapping[str, Any]
) -> tuple[Batch, int]:
    """Append one record of the log's own kinds, signed, in the caller's transaction.

    Returns:
        The signed batch, whose note belongs into the checkpoint file after the commit; and the record's position.
    """
    now = writer.clock.now_ns()
    kinds = LogKinds(KindCatalogue({}), writer.origin)
    author = Author(log=writer.origin, instance=writer.instance, boot=new_id(now))
    event = OwnEvent(id=new_id(now), kind=kind, actor=actor, body=body)
    batch = Batch(rows, ending, author, EpochNs(max(now, ending.ts)))
    (seq,) = batch.chain((kinds.check(event),))
    batch.sign(writer.signers)
    return batch, seq
