"""What looks for changes out of band, wired for `lockgate deliver`."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Engine

from lockgate.clock import Clock
from lockgate.gate_logs import Logs
from lockgate.permits import PermitKey
from lockgate.reconciling.findings import Findings
from lockgate.reconciling.hashing import HashingJob
from lockgate.reconciling.reconciler import ReconcileJob
from lockgate.reconciling.responding import Responder
from lockgate.registry import RegistryPort, RegistrySettings


def reconciling_jobs(  # noqa: PLR0913 - each argument is one part
    *,
    registries: Mapping[str, RegistryPort],
    registry_settings: Sequence[RegistrySettings],
    findings: Findings,
    database: Engine,
    logs: Logs,
    key: PermitKey | None,
    clock: Clock,
) -> tuple[ReconcileJob, HashingJob]:
    """Make the two jobs: one looks at pointers, versions and stages, the other at bytes, however long that takes."""
    settings = {registry.name: registry for registry in registry_settings}
    responder = Responder(
        findings=findings,
        registries=registries,
        settings=settings,
        database=database,
        logs=logs,
        key=key,
        clock=clock,
    )
    looking = ReconcileJob(
        registries=registries,
        settings=settings,
        findings=findings,
        responder=responder,
        database=database,
        clock=clock,
    )
    hashing = HashingJob(registries=registries, findings=findings, responder=responder, database=database, clock=clock)
    return looking, hashing
