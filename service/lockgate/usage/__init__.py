"""How much live versions are used: loads and predictions a day, told by deployers or asked of Prometheus.

Promises: what is told twice counts once; a use that was counted is never forgotten, and who counts nothing is told
apart from what is not used. Counts are no evidence: no decision reads them, and no record holds them.

May be imported: everything named here, and the pure files `types` and `reports`.
"""

from lockgate.usage.counts import UsageCounts
from lockgate.usage.errors import UsageDayError, UsageError, UsageSourceError, UsageUnknownError
from lockgate.usage.job import UsageJob
from lockgate.usage.settings import UsageSettingsError, UsageSource, parse_usage_sources
from lockgate.usage.types import IdleVersion, UsageFilter, UsageKey, UsageRow

__all__ = [
    "IdleVersion",
    "UsageCounts",
    "UsageDayError",
    "UsageError",
    "UsageFilter",
    "UsageJob",
    "UsageKey",
    "UsageRow",
    "UsageSettingsError",
    "UsageSource",
    "UsageSourceError",
    "UsageUnknownError",
    "parse_usage_sources",
]
