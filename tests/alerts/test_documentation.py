"""docs/howto/roll-back-on-alerts.md: what people copy from it works together."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from lockgate.alerts import AlertSource
from lockgate.alerts.payloads import parse_notification
from lockgate.clock import EpochNs
from lockgate.config import load
from lockgate.settings_tables import read_alert_sources
from lockgate.web.api.operations_alerts import ALERT_OPERATIONS
from support.alerts import notification

PAGE = (Path(__file__).parents[2] / "docs" / "howto" / "roll-back-on-alerts.md").read_text()
STARTED = "2026-11-23T09:00:00Z"


def shown(language: str) -> list[str]:
    """Return the blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def source(tmp_path: Path) -> AlertSource:
    """The source that the page names."""
    (table,) = shown("toml")
    file = tmp_path / "lockgate.toml"
    file.write_text(f'data_dir = "data"\n{table}')
    (found,) = read_alert_sources(load({}, config=file).settings)
    return found


@pytest.fixture
def alertmanager() -> Any:
    """The configuration of Alertmanager that the page shows."""
    return yaml.safe_load(shown("yaml")[0])


def test_alertmanager_calls_the_path_of_the_source(source: AlertSource, alertmanager: Any) -> None:
    """Its receiver posts where the gate listens, with a bearer token, and not about what is resolved."""
    (hook,) = next(one for one in alertmanager["receivers"] if one["name"] == "lockgate")["webhook_configs"]
    (route,) = ALERT_OPERATIONS

    assert hook["url"] == "https://gate.example.org" + route.path.replace("{source}", source.name)
    assert hook["http_config"]["authorization"]["type"] == "Bearer"
    assert hook["send_resolved"] is False


def test_alerts_are_grouped_by_what_they_are_about(source: AlertSource, alertmanager: Any) -> None:
    """By both labels that the gate reads, so that a notification has one model; people are told too."""
    (route,) = alertmanager["route"]["routes"]

    assert {source.model_label, source.environment_label} <= set(route["group_by"])
    assert route["receiver"] == "lockgate"
    assert route["continue"] is True
    assert {one["name"] for one in alertmanager["receivers"]} == {"people", "lockgate"}


def test_the_rules_alert_is_about_its_model(source: AlertSource) -> None:
    """Its labels, as Alertmanager sends them, are mapped and severe enough."""
    (group,) = yaml.safe_load(shown("yaml")[1])["groups"]
    (rule,) = group["rules"]
    labels = {"alertname": rule["alert"], **rule["labels"]}
    sent = notification({"status": "firing", "labels": labels, "startsAt": STARTED}, alertname=rule["alert"])
    (target,) = parse_notification(orjson.dumps(sent), source, EpochNs(2**62)).targets

    assert (target.model, target.environment) == ("fraud-detector", "production")
    assert target.reason == "alert of main: alertname=FraudScoresDrift"


def test_the_exact_table_is_about_its_model(source: AlertSource) -> None:
    """An alert without labels of ours is known by its own."""
    labels = {"alertname": "ScoringLatencyHigh", "service": "fraud-scoring", "severity": "critical", "pod": "x"}
    sent = notification({"status": "firing", "labels": labels, "startsAt": STARTED})
    (target,) = parse_notification(orjson.dumps(sent), source, EpochNs(2**62)).targets

    assert (target.model, target.environment) == ("fraud-detector", "production")
