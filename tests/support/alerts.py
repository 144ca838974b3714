"""Notifications of Alertmanager, as tests write them; no Alertmanager takes part.

Their form is that of its documentation, version 4 of the webhook's payload.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lockgate.clock import EpochNs, format_timestamp
from lockgate.identity import parse_principal
from lockgate.policy import PolicyEngine
from lockgate.policy.wasm import WasmEngine
from support.gates import DAY_NS, GateUnderTest, compile_config, make_gate, policy_config
from support.rollouts import Deployer

TOKEN: Final = "the-token-of-this-alertmanager"
SOURCE: Final[dict[str, Any]] = {
    "name": "main",
    "token_file": "alertmanager.token",
    "principal": "alertmanager",
    "severities": ["critical", "page"],
    "model_label": "model",
    "environment_label": "environment",
}
LABELS: Final = {
    "alertname": "FraudScoresDrift",
    "severity": "critical",
    "model": "fraud-detector",
    "environment": "production",
}
PATH: Final = "/v1/hooks/alertmanager/main"


def alert(began: int, **labels: str | None) -> dict[str, Any]:
    """Write a firing alert; a label that is None is left out."""
    return {
        "status": "firing",
        "labels": {name: value for name, value in {**LABELS, **labels}.items() if value is not None},
        "annotations": {"summary": "Scores drift."},
        "startsAt": format_timestamp(EpochNs(began)),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://prometheus.example.org/graph?g0.expr=up",
        "fingerprint": "c0ffee0123456789",
    }


def notification(*alerts: dict[str, Any], **group: str) -> dict[str, Any]:
    """Write a notification of a group of alerts."""
    return {
        "version": "4",
        "groupKey": f"{{}}:{group}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "lockgate",
        "groupLabels": group,
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "https://alertmanager.example.org",
        "alerts": list(alerts),
    }


def automatic_engine(folder: Path, *freezes: dict[str, Any]) -> WasmEngine:
    """Compile a policy that wants nobody's approval of a rollback."""
    rows = [
        {**row, "approvals": [] if row["kind"] == "rollback" else row["approvals"]}
        for row in policy_config()["matrix"]["rows"]
    ]
    matrix = {"tiers": ["high"], "roles": ["ml-lead", "risk"], "rows": rows}
    return WasmEngine(
        compile_config(folder / "automatic", policy_config(matrix=matrix, freezes={"freezes": list(freezes)}))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertedGate:
    """A gate with an alert source, and what deploys there."""

    gate: GateUnderTest
    deployer: Deployer

    def send(self, *alerts: dict[str, Any], token: str | None = TOKEN, path: str = PATH, **group: str) -> Any:
        """Send a notification as Alertmanager does."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return self.gate.client.post(path, json=notification(*alerts, **group), headers=headers)

    def deploy(self, *versions: str) -> None:
        """Bring versions to production, an hour after each other, and let an hour go by."""
        for version in versions:
            self.gate.clock.advance(DAY_NS // 24)
            self.deployer.deploy(version)
        self.gate.clock.advance(DAY_NS // 24)

    def firing(self, **labels: str | None) -> dict[str, Any]:
        """Write an alert that began to fire now."""
        return alert(self.gate.clock.now, **labels)

    def rollbacks(self) -> list[str]:
        """Return the ids of all rollbacks that were asked for."""
        page = self.gate.call("GET", "/v1/promotions?limit=100", "rita").json["items"]
        return [one["id"] for one in page if one["kind"] == "rollback"]


def make_alerted_gate(
    folder: Path,
    engine: PolicyEngine,
    *,
    roles: tuple[str, ...] = ("requester",),
    kind: str = "machine",
    **changes: Any,
) -> AlertedGate:
    """Make a gate with one alert source; its principal has these roles."""
    (folder / "alertmanager.token").write_text(TOKEN)
    database_url = changes.pop("database_url", None)
    environment_logs = changes.pop("environment_logs", ())
    gate = make_gate(
        folder,
        engine,
        alert_sources=[{**SOURCE, **changes}],
        database_url=database_url,
        environment_logs=environment_logs,
    )
    gate.identities.put_principal(parse_principal(subject="alertmanager", type=kind, roles=roles, identities=()))
    return AlertedGate(gate=gate, deployer=Deployer(gate=gate))
