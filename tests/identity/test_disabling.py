"""A principal that is disabled, or lost its role, while something of it is pending: nothing moves by it any more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lockgate.administration import Administration
from lockgate.identity import Principal, parse_principal
from lockgate.policy.wasm import WasmEngine
from support.gates import PEOPLE, GateUnderTest, make_gate

ADMINISTER = Callable[[Administration], None]


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine) -> GateUnderTest:
    """A fresh gate."""
    return make_gate(tmp_path, engine)


def person(subject: str, *roles: str) -> Principal:
    """Make one of the people, with other roles."""
    return parse_principal(subject=subject, type="user", roles=roles, identities=[f"{subject}@example.com"])


def put(subject: str, *roles: str) -> ADMINISTER:
    """Give somebody these roles and no others."""
    return lambda administration: administration.put_principal(person(subject, *roles))


def disable(subject: str) -> ADMINISTER:
    """Disable somebody."""
    return lambda administration: administration.disable_principal(subject)


def apply(gate: GateUnderTest, change: ADMINISTER) -> None:
    """Change something as the command line does."""
    change(Administration(gate.services.log, gate.clock))


def decision(gate: GateUnderTest, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the newest decision on a promotion."""
    response = gate.call("GET", f"/v1/promotions/{answer['promotion']['id']}", "aude")
    document: dict[str, Any] = response.json["decision"]
    return document


def codes(document: dict[str, Any]) -> list[str]:
    """Return why a decision denied."""
    return [violation["code"] for violation in document["violations"]]


@pytest.mark.parametrize(
    "change",
    [disable("ravi"), put("ravi"), put("ravi", "auditor", "approver:ml-lead")],
    ids=["disabled", "no role", "other roles"],
)
def test_nothing_is_allowed_to_a_requester_who_may_not_request(gate: GateUnderTest, change: ADMINISTER) -> None:
    """Who asked must hold the role when it is decided: the last approval of a pending promotion opens nothing."""
    asked = gate.request("ravi")
    assert gate.approve("leo", "ml-lead", asked).json["decision"]["verdict"] == "pending"
    apply(gate, change)
    response = gate.approve("maya", "risk", asked)

    assert response.json["decision"]["verdict"] == "deny"
    assert codes(response.json["decision"]) == ["requester.role_not_held"]
    assert response.json["promotion"]["state"] == "denied"


def test_a_requester_who_is_enabled_in_time_gets_what_was_asked(gate: GateUnderTest) -> None:
    """Between two decisions nothing is lost."""
    asked = gate.request("ravi")
    apply(gate, disable("ravi"))
    apply(gate, lambda administration: administration.enable_principal("ravi"))
    gate.approve("leo", "ml-lead", asked)

    assert gate.approve("maya", "risk", asked).json["decision"]["verdict"] == "allow"


@pytest.mark.parametrize(
    "change",
    [disable("leo"), put("leo"), put("leo", "approver:risk")],
    ids=["disabled", "no role", "another role"],
)
def test_an_approval_of_somebody_disabled_does_not_count(gate: GateUnderTest, change: ADMINISTER) -> None:
    """An approval counts only as long as who gave it may give it."""
    asked = gate.request("ravi")
    gate.approve("leo", "ml-lead", asked)
    apply(gate, change)
    response = gate.approve("maya", "risk", asked)

    assert response.json["decision"]["verdict"] == "pending"
    assert gate.approve("lena", "ml-lead", asked).json["decision"]["verdict"] == "allow"


@pytest.mark.parametrize("subject", sorted(PEOPLE))
def test_a_disabled_principal_calls_nothing(gate: GateUnderTest, subject: str) -> None:
    """Every token of it is nobody's, from the next call on."""
    assert gate.call("GET", "/v1/policy", subject).status_code == 200
    apply(gate, disable(subject))
    response = gate.call("GET", "/v1/policy", subject)

    assert (response.status_code, response.json["code"]) == (401, "identity.unauthenticated")


def test_a_disabled_principal_that_is_put_again_stays_disabled(gate: GateUnderTest) -> None:
    """Only enabling enables; other roles are other roles."""
    apply(gate, disable("ravi"))
    apply(gate, put("ravi", "requester", "operator"))
    info = gate.services.identities.find_principal("ravi")

    assert info is not None
    assert info.disabled_ns == gate.clock.now
    assert info.principal.roles == ("operator", "requester")
    assert gate.call("GET", "/v1/policy", "ravi").status_code == 401


def test_a_dry_run_needs_no_requester(gate: GateUnderTest) -> None:
    """Whoever may ask what would be is answered as a requester would be."""
    document = gate.request_document()
    told = gate.call("POST", "/v1/decisions:dry-run", "aude", document)
    asked = gate.request("ravi")

    assert told.status_code == 200, told.text
    assert told.json["decision"]["violations"] == asked["decision"]["violations"]
