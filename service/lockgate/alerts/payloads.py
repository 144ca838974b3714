"""Alertmanager's webhook payload, read strictly where we read it at all. Pure.

It is somebody else's format and may grow, so what we do not read is left alone.

Source: Prometheus, "Alertmanager configuration", `<webhook_config>`, version 4.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from lockgate.alerts.errors import AlertPayloadError, AlertTargetsError
from lockgate.alerts.settings import AlertSource
from lockgate.canonical_json import parse_json
from lockgate.clock import NS_PER_US, EpochNs
from lockgate.names import ENVIRONMENT, NAME

PAYLOAD_BYTES_MAX: Final = 4 * 1024 * 1024  # ten thousand alerts with a dozen short labels each
PAYLOAD_DEPTH_MAX: Final = 8  # its own structure has four levels
PAYLOAD_NODES_MAX: Final = 400_000  # forty for each of so many alerts
ALERTS_MAX: Final = 10_000  # a worse storm than one group of alerts should be
TARGETS_MAX: Final = 16  # models times environments in one group: who groups by both has one
_LABEL_CHARS_MAX: Final = 100  # of a label in a reason
_REASON_CHARS_MAX: Final = 900  # of a rollback's reason, which may have 1,000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What firing alerts are about.

    Attributes:
        began: When the newest of them began to fire.
        reason: What a rollback is asked for with.
    """

    model: str
    environment: str
    began: EpochNs
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a notification asks for.

    Attributes:
        targets: By model and environment.
        ignored: Alerts that are resolved, not severe enough, or about nothing that the settings know.
    """

    targets: tuple[Target, ...]
    ignored: int


def parse_notification(body: bytes, source: AlertSource, latest: EpochNs) -> Notification:
    """Read a notification, and map its alerts.

    Args:
        body: The notification.
        source: Whose it is.
        latest: When an alert can have begun to fire at the latest: one from the future would never be of an incident
            that was answered before.

    Raises:
        MalformedJSONError: `body` is not one JSON value within the limits.
        AlertPayloadError: It is no notification of version 4.
        AlertTargetsError: It is about too many models and environments.
    """
    document = parse_json(body, bytes_max=PAYLOAD_BYTES_MAX, depth_max=PAYLOAD_DEPTH_MAX, nodes_max=PAYLOAD_NODES_MAX)
    if not isinstance(document, dict) or document.get("version") != "4":
        raise AlertPayloadError("want a notification of Alertmanager, version '4'")
    group = _read_labels(document, "groupLabels", "/groupLabels")
    alerts = document.get("alerts")
    if not isinstance(alerts, list) or len(alerts) > ALERTS_MAX:
        raise AlertPayloadError(f"/alerts: want a list of at most {ALERTS_MAX} alerts")
    began: dict[tuple[str, str], EpochNs] = {}
    mapped = 0
    for target, start in _map_alerts(alerts, source, latest):
        mapped += 1
        began[target] = max(start, began.get(target, start))
    if len(began) > TARGETS_MAX:
        raise AlertTargetsError(
            f"want alerts about at most {TARGETS_MAX} models and environments in one notification, got {len(began)}; "
            "let Alertmanager group by both"
        )
    reason = _write_reason(source, group)
    targets = tuple(
        Target(model=model, environment=environment, began=start, reason=reason)
        for (model, environment), start in sorted(began.items())
    )
    return Notification(targets=targets, ignored=len(alerts) - mapped)


def _map_alerts(alerts: list[Any], source: AlertSource, latest: EpochNs) -> Iterator[tuple[tuple[str, str], EpochNs]]:
    for index, alert in enumerate(alerts):
        path = f"/alerts/{index}"
        status = alert.get("status") if isinstance(alert, dict) else None
        if status not in {"firing", "resolved"}:
            raise AlertPayloadError(f"{path}/status: want 'firing' or 'resolved'")
        labels = _read_labels(alert, "labels", f"{path}/labels")
        start = _read_time(alert.get("startsAt"), f"{path}/startsAt")
        if start > latest:
            raise AlertPayloadError(f"{path}/startsAt: want a time that is past; are the clocks within a minute?")
        if status == "firing" and labels.get(source.severity_label) in source.severities:
            target = _find_target(labels, source)
            if target is not None:
                yield target, start


def _find_target(labels: Mapping[str, str], source: AlertSource) -> tuple[str, str] | None:
    for mapping in source.mappings:
        if mapping.labels.items() <= labels.items():
            return mapping.model, mapping.environment
    model, environment = labels.get(source.model_label, ""), labels.get(source.environment_label, "")
    if NAME.fullmatch(model) and ENVIRONMENT.fullmatch(environment):
        return model, environment
    return None


def _read_labels(holder: Mapping[str, Any], key: str, path: str) -> dict[str, str]:
    labels = holder.get(key)
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise AlertPayloadError(f"{path}: want labels, each a text")
    return labels


def _read_time(text: object, path: str) -> EpochNs:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
        since = None if moment is None else moment - _EPOCH
    except (ValueError, TypeError, OverflowError):  # no time; a time without a zone; a year that nobody lives to see
        since = None
    if since is None or since < timedelta():
        raise AlertPayloadError(f"{path}: want a time as in RFC 3339, since 1970")
    return EpochNs(since // timedelta(microseconds=1) * NS_PER_US)


def _write_reason(source: AlertSource, group: Mapping[str, str]) -> str:
    labels = ", ".join(f"{_printable(name)}={_printable(group[name])}" for name in sorted(group))
    return f"alert of {source.name}: {labels or 'no group labels'}"[:_REASON_CHARS_MAX]


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text[:_LABEL_CHARS_MAX])
