"""The dashboard, the rules and the alerts speak of what a gate says, and of nothing else."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson
import pytest
import yaml
from limits import parse

from lockgate.policy.wasm import WasmEngine
from lockgate.web.app import create_app
from lockgate.web.limits import Limits
from support.expositions import labels_by_name, scrape, seed
from support.gates import GateUnderTest, make_gate
from support.promql import PromQLError, read

ROOT: Final = Path(__file__).parents[2]
DASHBOARDS: Final = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
RULES: Final = ROOT / "deploy/prometheus"
PANELS: Final = frozenset({"timeseries", "stat", "row"})
UNITS: Final = frozenset({"bool_yes_no", "none", "percentunit", "reqps", "s"})
OF_PROMETHEUS: Final[Mapping[str, set[str]]] = {"up": {"job", "instance"}}
OF_EXPORTERS: Final[Mapping[str, set[str]]] = {  # of kube-state-metrics and of the node exporter: about what runs a job
    "kube_job_status_failed": {"job_name"},
    "kube_cronjob_status_last_successful_time": {"cronjob"},
    "node_systemd_unit_state": {"name", "state"},
    "node_systemd_timer_last_trigger_seconds": {"name"},
}
ADDED: Final = {"job", "instance", "le"}  # by Prometheus, or the label of a histogram's buckets


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory, engine: WasmEngine) -> Mapping[str, set[str]]:
    """Every metric of a gate in which everything happened once, with its labels; and what Prometheus adds."""
    gate: GateUnderTest = make_gate(tmp_path_factory.mktemp("gate"), engine)
    seed(gate)
    limited = replace(gate, client=create_app(gate.services, limits=Limits(requests=parse("1/minute"))).test_client())
    assert [limited.call("GET", "/v1/policy", "rita").status_code for _ in "12"] == [200, 429]
    labels = {**labels_by_name(scrape(limited).text), **labels_by_name(scrape(gate).text)}
    issuers = {"lockgate_issuer_keys_age_seconds": {"issuer"}}  # seen with issuers: tests/web/test_observation.py
    # Seen where somebody was not told yet: tests/web/test_events.py.
    late = {"lockgate_delivery_oldest_seconds": {"subscriber"}, "lockgate_reconcile_age_seconds": {"registry"}}
    # Seen where promotions are carried out: tests/web/test_rollouts.py.
    rollouts = {"lockgate_rollouts_total": {"to_env", "outcome"}, "lockgate_rollback_seconds": {"to_env"}}
    return {
        **labels,
        **issuers,
        **late,
        **rollouts,
        **OF_PROMETHEUS,
        **OF_EXPORTERS,
        **{rule["record"]: set() for rule in rules("recording")},
    }


def rules(name: str) -> list[dict[str, Any]]:
    """Return the rules of a file."""
    document = yaml.safe_load((RULES / f"{name}.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def dashboard(path: Path) -> dict[str, Any]:
    """Read a dashboard."""
    document: dict[str, Any] = orjson.loads(path.read_bytes())
    return document


def panels(path: Path) -> Iterator[dict[str, Any]]:
    """Return the panels that show something."""
    yield from (panel for panel in dashboard(path)["panels"] if panel["type"] != "row")


def check_expression(expression: str, known: Mapping[str, set[str]]) -> None:
    """Make sure that an expression names what there is."""
    named = read(expression.replace("$job", "lockgate"))
    assert set(named.metrics) <= set(known), f"no such metric in {expression}"
    recorded = {name for name in named.metrics if ":" in name}
    for name, labels in named.metrics.items():
        assert name in recorded or labels <= known[name] | ADDED, f"no such label of {name} in {expression}"
    everywhere = ADDED.union(*(known[name] for name in named.metrics))
    assert recorded or named.groupings <= everywhere, f"grouped by no label there is: {expression}"


# --- rules -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["recording", "alerts"])
def test_rules_name_what_a_gate_says(name: str, known: Mapping[str, set[str]]) -> None:
    """Each metric and label of each rule exists at `/metrics`."""
    for rule in rules(name):
        check_expression(rule["expr"], known)


def test_recording_rules_are_named_by_convention() -> None:
    """level:metric:operation; the level is what the rule groups by, the metric one that it reads."""
    for rule in rules("recording"):
        level, metric, operation = rule["record"].split(":")
        named = read(rule["expr"])

        assert re.fullmatch(r"[a-z0-9_]+", operation, re.ASCII)
        assert set(level.replace("to_env", "toenv").split("_")) == {
            label.replace("_", "") for label in named.groupings - {"le"}
        }
        assert any(name.startswith(metric.split("_errors")[0].split("_age")[0]) for name in named.metrics)


def test_every_alert_says_what_to_do() -> None:
    """A severity, a summary, a description, and a place in the runbook; no name twice."""
    alerts = rules("alerts")
    for alert in alerts:
        assert re.fullmatch(r"Lockgate[A-Z][A-Za-z]+", alert["alert"], re.ASCII)
        assert alert["labels"]["severity"] in {"critical", "warning"}
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
        assert alert["annotations"]["runbook_url"].startswith("https://lockgate.dev/docs/runbook#")
    assert len({alert["alert"] for alert in alerts}) == len(alerts)


def test_every_alert_has_its_place_in_the_runbook() -> None:
    """The anchor of each alert is a heading there."""
    headings = re.findall(r"^#+ (.+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
    wanted = {alert["annotations"]["runbook_url"].partition("#")[2] for alert in rules("alerts")}

    assert wanted - anchors == set()


def test_alerts_are_described() -> None:
    """docs/observability.md names every alert, and no other."""
    page = (ROOT / "docs/observability.md").read_text()

    assert set(re.findall(r"`(Lockgate[A-Z][A-Za-z]+)`", page)) == {alert["alert"] for alert in rules("alerts")}


def test_labels_of_annotations_are_those_of_the_alert(known: Mapping[str, set[str]]) -> None:
    """What a summary wants to show is a label that the expression leaves."""
    for alert in rules("alerts"):
        named = read(alert["expr"])
        shown = set(re.findall(r"\$labels\.(\w+)", "".join(alert["annotations"].values())))
        kept = set(named.groupings) or {"job", "instance"}.union(*(known[name] for name in named.metrics))
        for name in named.metrics:
            kept |= {"job", *name.partition(":")[0].replace("job_", "").split(",")} if ":" in name else set()

        assert shown <= kept, alert["alert"]


def test_prometheus_reads_these_rules_and_asks_with_a_token() -> None:
    """The file that is shipped loads both files; the credential comes from a file."""
    document = yaml.safe_load((RULES / "prometheus.yml").read_text())
    (job,) = document["scrape_configs"]

    assert {(RULES / name).exists() for name in document["rule_files"]} == {True}
    assert job["job_name"] == "lockgate"
    assert set(job["authorization"]) == {"credentials_file"}
    assert job.get("metrics_path", "/metrics") == "/metrics"


# --- the dashboard -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_name_what_a_gate_says(path: Path, known: Mapping[str, set[str]]) -> None:
    """Each metric and label of each panel exists at `/metrics`; legends show labels that are left."""
    for panel in panels(path):
        for target in panel["targets"]:
            check_expression(target["expr"], known)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_fits_every_grafana(path: Path) -> None:
    """Classic JSON without an id; the data source is a variable, and every panel and target asks that one."""
    document = dashboard(path)
    variables = {variable["name"]: variable for variable in document["templating"]["list"]}
    source = {"type": "prometheus", "uid": "${datasource}"}

    assert document["id"] is None
    assert document["uid"] == path.stem
    assert document["schemaVersion"] >= 39
    assert document["tags"] == ["lockgate"]
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert variables["job"]["datasource"] == source
    assert {link["url"].startswith("${lockgate}/") for link in document["links"]} == {True}
    for panel in panels(path):
        assert panel["datasource"] == source
        assert {orjson.dumps(target["datasource"]) for target in panel["targets"]} == {orjson.dumps(source)}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_each_panel_says_what_it_shows(path: Path) -> None:
    """A title, a sentence, a unit; names of queries in order; no panel on another."""
    document = dashboard(path)
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        assert panel["type"] in PANELS
        assert panel["title"]
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    for panel in panels(path):
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert [target["refId"] for target in panel["targets"]] == list("ABCDEF"[: len(panel["targets"])])
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)


def test_dashboards_have_different_ids() -> None:
    """No two dashboards claim one place in Grafana."""
    assert len({dashboard(path)["uid"] for path in DASHBOARDS}) == len(DASHBOARDS) >= 1


def test_grafana_finds_the_dashboards_and_prometheus() -> None:
    """What is provisioned is where docker-compose.yml mounts it, and where Prometheus listens there."""
    provisioning = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((provisioning / "dashboards/lockgate.yml").read_text())["providers"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]

    assert source["url"] == "http://prometheus:9090"
    assert "prometheus" in compose
    assert f"./deploy/grafana/dashboards:{provider['options']['path']}:ro" in compose["grafana"]["volumes"]


# --- the reader of PromQL ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expression",
    ["sum(rate(a_total[5m])", "sum by (x (a)", "rat(a[5m])", 'a{b="c"', "a{b}", 'a{b="c" d="e"}', "a[5 m]", "a ? b"],
)
def test_broken_expressions_are_found(expression: str) -> None:
    """A bracket too few, a function that is none, a selector that cannot be read."""
    with pytest.raises((PromQLError, ValueError)):
        read(expression)


def test_an_expression_is_read() -> None:
    """Metrics with their labels, groupings apart from them, strings left alone."""
    named = read('max by (x, le) (rate(a_total{b="sum(", c!~"d"}[5m])) / on_time > 2 and absent(up{job="j"})')

    assert named.metrics == {"a_total": {"b", "c"}, "on_time": set(), "up": {"job"}}
    assert named.groupings == {"x", "le"}


def test_every_metric_is_described(known: Mapping[str, set[str]]) -> None:
    """docs/observability.md has a row for each metric with its labels, and for no other."""
    page = (ROOT / "docs/observability.md").read_text()
    rows = dict(re.findall(r"^\| `(lockgate_[a-z_]+)` \|([^|]*)\|", page, re.MULTILINE))
    described = {name: set(re.findall(r"`([a-z_]+)`", labels)) for name, labels in rows.items()}
    seen: dict[str, set[str]] = {}
    for name, labels in known.items():
        if name.startswith("lockgate_"):
            seen.setdefault(re.sub(r"_(bucket|sum|count)$", "", name), set()).update(labels - {"le"})

    assert described == seen
