"""What the tests of erasing and pruning share."""

from collections.abc import Callable, Iterable
from pathlib import Path

from sqlalchemy import Connection

from lockgate.audit import Actor, Outcome, Receipt
from lockgate.audit.keeping.erasing import Erasure, erase
from lockgate.audit.keeping.pruning import Needs, Pruning, prune
from lockgate.audit.types import Verification
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.verifier import Trust, trust_in_keys, verify_export
from lockgate.digests import Sha256Hex, sha256_hex
from support.audit_logs import LogStand, make_event

OPERATOR = Actor(type="system", id="operator")
_BATCH = 64  # events that one transaction may record


def fill_quickly(stand: LogStand, count: int) -> list[Receipt]:
    """Append events, many in one transaction."""
    receipts: list[Receipt] = []
    while len(receipts) < count:
        outcome = Outcome(value=None, events=tuple(make_event() for _ in range(min(_BATCH, count - len(receipts)))))
        receipts += stand.log.transact(outcome_of(outcome)).receipts
    return receipts


def outcome_of(outcome: Outcome[None]) -> Callable[[Connection], Outcome[None]]:
    """Return work that does nothing but record."""
    return lambda _connection: outcome


def keep(stand: LogStand, *documents: bytes) -> Receipt:
    """Record an event that names documents."""
    return stand.log.append(make_event(attachments=documents))


def name_of(document: bytes) -> Sha256Hex:
    """Return what a document is kept under."""
    return sha256_hex(document)


def erase_documents(stand: LogStand, *documents: bytes, reason: str = "asked to") -> Erasure:
    """Erase documents."""
    return erase(stand.engine, stand.log, map(name_of, documents), reason=reason, actor=OPERATOR)


def prune_log(
    stand: LogStand, before: int, archive: Path, *, records: Iterable[str] = (), attachments: Iterable[Sha256Hex] = ()
) -> Pruning:
    """Prune, with what is still needed."""
    keys = [stand.signer.verifier_key]
    needs = Needs(records=tuple(records), attachments=tuple(attachments))
    return prune(
        stand.engine,
        stand.log,
        archive,
        before=before,
        reason="two years are over",
        actor=OPERATOR,
        keys=keys,
        needed=lambda _: needs,
    )


def verify(stand: LogStand, path: Path, *held: bytes) -> Verification:
    """Verify an export, pruned or not, under the log's key and checkpoints that an auditor holds."""
    policy = trust_in_keys([stand.signer.verifier_key])
    return verify_export(ExportFolder(path), Trust(policy=policy, held=held))
