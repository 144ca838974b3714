"""What the reconciler found and when it looked, as metrics."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric

from lockgate.clock import NS_PER_S, EpochNs
from lockgate.reconciling.types import Finding, FindingKind


def finding_metrics(
    findings: Iterable[Finding], looked_at: Mapping[str, EpochNs], registries: Iterable[str], now: EpochNs
) -> Iterator[Metric]:
    """Return how many findings are open, and how long ago each registry was looked at.

    Args:
        findings: The open ones.
        looked_at: By registry.
        registries: Those of the settings; one that was never looked at has no age.
        now: The time.
    """
    count = Counter((finding.difference.kind, finding.response) for finding in findings)
    family = GaugeMetricFamily("lockgate_findings", "Findings that nobody closed", labels=("kind", "response"))
    for kind in FindingKind:  # where there is none, that is said: no figure would mean that nobody could see
        count[kind, "alert"] += 0
    for (kind, response), number in sorted(count.items()):
        family.add_metric((kind.value, response), number)
    yield family
    age = GaugeMetricFamily(
        "lockgate_reconcile_age_seconds", "How long ago a registry was last looked at, whole", labels=("registry",)
    )
    for registry in sorted(registries):
        if registry in looked_at:
            age.add_metric((registry,), max(now - looked_at[registry], 0) / NS_PER_S)
    yield age
