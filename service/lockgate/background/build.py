"""What `lockgate deliver` does in the background, wired: the one place that knows every job and every executor.

Adapters that the gate itself needs as well (registries, feature stores) come from `bootstrap`.
"""

from collections.abc import Mapping, Sequence

from lockgate.background.job import Job
from lockgate.background.reconciling import reconciling_jobs
from lockgate.bootstrap import Services
from lockgate.clock import Clock
from lockgate.config import Settings
from lockgate.delivery.executors.http_call import HTTPExecutor
from lockgate.delivery.executors.kserve import KServeExecutor
from lockgate.delivery.executors.port import RolloutPort
from lockgate.delivery.executors.registry_alias import RegistryAliasExecutor
from lockgate.delivery.rollout_settings import RolloutSettings
from lockgate.delivery.rollouts import RolloutJob
from lockgate.delivery.sender import UnsubscribedJob, WebhookJob
from lockgate.lifecycle import Pointers
from lockgate.lineage.job import LineageJob
from lockgate.registry import RegistryPort
from lockgate.settings_tables import read_all, read_webhooks
from lockgate.system_clock import SystemClock
from lockgate.usage import UsageJob


def build_jobs(settings: Settings, services: Services) -> tuple[Job, ...]:
    """Make what `lockgate deliver` does in the background, by these settings.

    Args:
        settings: Of the process.
        services: Its rooms.

    Raises:
        LockgateError: A setting cannot be used.
    """
    tables = read_all(settings)
    clock, database, logs = SystemClock(), services.database, services.logs
    webhooks = [webhook for webhook in read_webhooks(settings) if not webhook.disabled]
    public_url = settings.public_url.rstrip("/")
    return (
        *(
            WebhookJob(webhook=webhook, database=database, logs=logs, clock=clock, public_url=public_url)
            for webhook in webhooks
        ),
        UnsubscribedJob(active=frozenset(webhook.name for webhook in webhooks), database=database),
        *(UsageJob(source, services.usage, clock) for source in tables.usage_sources),
        LineageJob(services.lineage),
        *_build_rollout_jobs(tables.rollouts, services, clock),
        *reconciling_jobs(
            registries=services.registries,
            registry_settings=services.registry_settings,
            findings=services.findings,
            database=database,
            logs=logs,
            key=services.lifecycle.permit_key,
            clock=clock,
        ),
    )


def _build_rollout_jobs(
    rollouts: Sequence[RolloutSettings], services: Services, clock: Clock
) -> tuple[RolloutJob, ...]:
    if executors := build_executors(rollouts, services.registries):
        job = RolloutJob(
            rollouts=rollouts,
            executors=executors,
            lifecycle=services.lifecycle,
            register=services.register,
            pointers=Pointers(database=services.database, log=services.log, registries=services.registry_settings),
            database=services.database,
            clock=clock,
        )
        return (job,)
    return ()


def build_executors(
    rollouts: Sequence[RolloutSettings], registries: Mapping[str, RegistryPort]
) -> Mapping[str, RolloutPort]:
    """Make what carries promotions out, for each table that names an executor; nothing is connected to."""
    executors: dict[str, RolloutPort] = {}
    for rollout in rollouts:
        match rollout.type:
            case "mlflow":
                executors[rollout.name] = RegistryAliasExecutor(registries)
            case "kserve":
                executors[rollout.name] = KServeExecutor(rollout, registries)
            case "http":
                executors[rollout.name] = HTTPExecutor(rollout)
            case "pull":  # whoever asks
                pass
    return executors
