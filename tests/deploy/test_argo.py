"""What deploy/argo-rollouts and deploy/kserve say is held to the API and to the executor; no cluster is needed."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from lockgate.promotion import PromotionState
from support.gates import GateUnderTest
from support.rollouts import Deployer, digest_of

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
ANALYSES: Final = {
    document["metadata"]["name"]: document["spec"]
    for document in yaml.safe_load_all((DEPLOY / "argo-rollouts" / "analysis.yaml").read_text())
}
NOTIFICATIONS: Final[Mapping[str, str]] = yaml.safe_load((DEPLOY / "argo-rollouts" / "notifications.yaml").read_text())[
    "data"
]
GATE_URL: Final = "https://lockgate.example"


@pytest.fixture
def deployer(gate: GateUnderTest) -> Deployer:
    """A gate, and a deployer there."""
    return Deployer(gate=gate)


def filled(text: str, values: Mapping[str, str]) -> str:
    """Fill in arguments as Argo does."""
    for name, value in values.items():
        text = text.replace("{{args." + name + "}}", value)
    assert "{{" not in text
    return text


def measure(gate: GateUnderTest, name: str, **values: str) -> tuple[Any, str]:
    """Make the call of an analysis; return the value that Argo compares, and the condition."""
    (metric,) = ANALYSES[name]["metrics"]
    assert {one["name"] for one in ANALYSES[name]["args"]} == {*values, "lockgate-token"}
    web = metric["provider"]["web"]
    values["lockgate-token"] = gate.tokens["dora"]
    response = gate.client.open(
        filled(web["url"], values).removeprefix(GATE_URL),
        method=web["method"],
        headers={header["key"]: filled(header["value"], values) for header in web["headers"]},
        data=filled(web["body"], values).encode() if "body" in web else None,
    )
    assert 200 <= response.status_code < 300, response.text  # what Argo takes for an answer
    value = response.json
    for step in web["jsonPath"].removeprefix("{$.").removesuffix("}").split("."):
        value = value[step]
    return value, metric["successCondition"]


def notify(gate: GateUnderTest, template: str, **annotations: str) -> Any:
    """Send what a template says, with the annotations of a Rollout."""

    def fill(text: str) -> str:
        pattern = r'\{\{index \.rollout\.metadata\.annotations "lockgate\.dev/([a-z]+)"\}\}'
        return re.sub(pattern, lambda found: annotations[found[1]], text)

    call = yaml.safe_load(NOTIFICATIONS[f"template.{template}"])["webhook"]["lockgate"]
    service = yaml.safe_load(NOTIFICATIONS["service.webhook.lockgate"])
    headers = {
        header["name"]: header["value"].replace("$lockgate-token", gate.tokens["dora"]) for header in service["headers"]
    }
    assert service["url"] == GATE_URL
    return gate.client.open(
        fill(call["path"]), method=call["method"], headers=headers, data=fill(call["body"]).encode()
    )


def test_each_step_of_a_canary_is_decided(deployer: Deployer) -> None:
    """The analysis between two steps asks the gate, and what it compares is the verdict."""
    promotion = deployer.allow("1.4.0")
    deployer.execute(promotion, percent=10)
    value, condition = measure(deployer.gate, "lockgate-step", promotion=promotion, percent="50")

    assert (value, condition) == ("allow", 'result == "allow"')
    assert deployer.gate.records("gate.step")[-1]["body"]["percent"] == 50


def test_the_state_is_watched_meanwhile(deployer: Deployer) -> None:
    """What the background analysis compares are states of a promotion; anything else ends the rollout."""
    promotion = deployer.allow("1.4.0")
    deployer.execute(promotion, percent=10)
    value, condition = measure(deployer.gate, "lockgate-state", promotion=promotion)
    good = set(yaml.safe_load(condition.removeprefix("result in ")))

    assert value in good
    assert good == {PromotionState.EXECUTING.value, PromotionState.CONFIRMED.value}


def test_what_argo_completed_is_confirmed(deployer: Deployer) -> None:
    """Its notification is an observation."""
    promotion = deployer.allow("1.4.0")
    deployer.execute(promotion, percent=10)
    where = {"model": "fraud-detector", "environment": "production", "digest": str(digest_of("1.4.0"))}
    answer = notify(deployer.gate, "lockgate-observed", **where)

    assert (answer.status_code, answer.json["result"]) == (201, "confirmed")
    assert deployer.state(promotion) == "confirmed"


def test_what_argo_aborted_has_failed(deployer: Deployer) -> None:
    """Its notification is a report."""
    promotion = deployer.allow("1.4.0")
    deployer.execute(promotion, percent=10)
    answer = notify(deployer.gate, "lockgate-failed", promotion=promotion)

    assert answer.status_code == 201, answer.text
    assert deployer.state(promotion) == "failed"


def test_every_trigger_sends_a_template_that_is_there() -> None:
    """By the names that Rollouts subscribe to."""
    triggers = {key: yaml.safe_load(text) for key, text in NOTIFICATIONS.items() if key.startswith("trigger.")}

    assert set(triggers) == {"trigger.on-rollout-completed", "trigger.on-rollout-aborted"}
    assert all(f"template.{name}" in NOTIFICATIONS for (one,) in triggers.values() for name in one["send"])


def test_lockgate_may_move_one_service_and_nothing_else() -> None:
    """The role for KServe: read and patch, by name."""
    service = yaml.safe_load((DEPLOY / "kserve" / "inferenceservice.yaml").read_text())
    documents = list(yaml.safe_load_all((DEPLOY / "kserve" / "rbac.yaml").read_text()))
    (role,) = [document for document in documents if document["kind"] == "Role"]

    assert role["rules"] == [
        {
            "apiGroups": ["serving.kserve.io"],
            "resources": ["inferenceservices"],
            "resourceNames": [service["metadata"]["name"]],
            "verbs": ["get", "patch"],
        }
    ]
    assert "@sha256:" in service["spec"]["predictor"]["model"]["storageUri"]
