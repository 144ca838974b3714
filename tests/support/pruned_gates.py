"""A gate whose log was pruned."""

from lockgate.audit import Actor, Outcome
from lockgate.audit.keeping.pruning import Pruning, prune
from lockgate.audit.reading.export import export_log
from lockgate.config import MAIN_LOG
from lockgate.promotion import open_needs
from support.audit_logs import make_event
from support.gates import GateUnderTest

OPERATOR = Actor(type="system", id="operator")


def fill_log(gate: GateUnderTest, count: int) -> None:
    """Append records about nothing, at most 64."""
    outcome = Outcome(value=None, events=tuple(make_event() for _ in range(count)))
    gate.services.log.transact(lambda _: outcome)


def prune_gate(gate: GateUnderTest, before: int) -> Pruning:
    """Prune the main log, as the command does."""
    archive = gate.folder / f"archive-{before}"
    if not archive.exists():
        export_log(gate.database, gate.services.log.origin, archive)
    return prune(
        gate.database,
        gate.services.log,
        archive,
        before=before,
        reason="old",
        actor=OPERATOR,
        keys=[gate.key],
        needed=lambda connection: open_needs(connection, gate.clock.now, MAIN_LOG),
    )
