"""An allow that ran out reads as an allow nowhere."""

from typing import Any

import pytest

from lockgate.cli.answers import check_promotion_answer
from lockgate.cli.errors import PromotionClosedError
from support.gates import DAY_NS, GateUnderTest
from support.rollouts import Deployer


def _listed(gate: GateUnderTest, state: str) -> list[str]:
    answer: dict[str, Any] = gate.call("GET", f"/v1/promotions?state={state}", "rita").json
    return [item["state"] for item in answer["items"]]


def test_it_is_expired_at_the_instant(gate: GateUnderTest) -> None:
    """State, header, filter and command line agree, to the nanosecond."""
    promotion_id = Deployer(gate=gate).allow("1")
    path = f"/v1/promotions/{promotion_id}"
    gate.clock.advance(7 * DAY_NS - 1)
    before = gate.call("GET", path, "rita")
    listed_before = (_listed(gate, "allowed"), _listed(gate, "expired"))
    gate.clock.advance(1)
    listed = (_listed(gate, "allowed"), _listed(gate, "expired"))
    at = gate.call("GET", path, "rita")

    assert (before.json["promotion"]["state"], before.headers["Lockgate-Verdict"]) == ("allowed", "allow")
    assert listed_before == (["allowed"], [])
    assert listed == ([], ["expired"])
    assert (at.json["promotion"]["state"], at.headers.get("Lockgate-Verdict")) == ("expired", None)
    assert check_promotion_answer(before.json, [gate.key], asked={}) is not None
    with pytest.raises(PromotionClosedError) as caught:
        check_promotion_answer(at.json, [gate.key], asked={})
    assert caught.value.code == "client.promotion_closed"


def test_the_filter_waits_for_no_record(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be recorded, what ran out is listed as expired all the same."""
    Deployer(gate=gate).allow("1")
    gate.clock.advance(7 * DAY_NS)
    monkeypatch.setattr(gate.services.register, "_expire_due", lambda *_: None)

    assert (_listed(gate, "allowed"), _listed(gate, "expired")) == ([], ["expired"])
    assert gate.records("gate.expiry") == []
