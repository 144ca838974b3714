"""Alerts that ask for a rollback: Alertmanager's webhook, mapped to a model in an environment.

Promises: an alert only asks, the policy decides; however many alerts come, there is one request at a time for a model
in an environment, and none for what was answered before. Sits above `promotion` and `authorization`; knows no Flask.
"""

from lockgate.alerts.errors import (
    AlertPayloadError,
    AlertSettingsError,
    AlertSourceUnusableError,
    AlertTargetsError,
    AlertUnauthenticatedError,
)
from lockgate.alerts.receiving import AlertAnswer, AlertReceiver, AlertResult
from lockgate.alerts.settings import AlertSource, parse_alert_sources

__all__ = [
    "AlertAnswer",
    "AlertPayloadError",
    "AlertReceiver",
    "AlertResult",
    "AlertSettingsError",
    "AlertSource",
    "AlertSourceUnusableError",
    "AlertTargetsError",
    "AlertUnauthenticatedError",
    "parse_alert_sources",
]
