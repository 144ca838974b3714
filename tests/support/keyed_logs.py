"""The log of a stand, as a process with other keys opens it."""

from lockgate.audit import AuditLog, KindCatalogue
from lockgate.audit.formats.notes import Signer
from support.audit_logs import LogStand


def log_under(stand: LogStand, signer: Signer, former: Signer | None = None) -> AuditLog:
    """Open the stand's log with a signer, and perhaps one of before."""
    return AuditLog(
        engine=stand.engine,
        signer=signer,
        clock=stand.clock,
        catalogue=KindCatalogue({}),
        instance="test",
        checkpoint_file=stand.checkpoint_file,
        former_signer=former,
    )
