"""A row that whoever can write the tables forged, or put there, stops nothing but what it is the row of."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from lockgate.clock import NS_PER_S
from lockgate.ids import new_id
from lockgate.policy.wasm import WasmEngine
from lockgate.promotion import store
from lockgate.promotion.register import EXPIRE_BATCH_MAX
from lockgate.storage.tables import promotion as promotion_table
from support.attacks import INCONSISTENT, forge, refusal, row_of
from support.gates import DAY_NS, GateUnderTest, make_gate
from support.rollouts import MODEL, PRODUCTION, Deployer


@pytest.fixture
def deployer(tmp_path: Path, engine: WasmEngine, database_url: str) -> Deployer:
    """Somebody who carries promotions out, on either database."""
    return Deployer(gate=make_gate(tmp_path, engine, database_url=database_url))


def put_row(gate: GateUnderTest, like: str, **values: Any) -> str:
    """Put a row there that is like another, but for its id."""
    forged = {**row_of(gate, like), "id": new_id(gate.clock.now), **values}
    del forged["number"]
    with gate.database.begin() as connection:
        connection.execute(insert(promotion_table).values(**forged))
    return str(forged["id"])


@pytest.mark.parametrize(
    "forged",
    [
        {"row_version": 0, "expires_ns": 1},  # the next change's id is the first decision's
        {"expires_ns": 1},
        {"expires_ns": 1, "request": b"not a request"},
        {"expires_ns": 1, "request": b"{}"},
        {"expires_ns": 1, "request": b"[]"},
        {"expires_ns": 1, "state": "permitted"},
    ],
    ids=str,
)
def test_a_row_that_seems_to_have_run_out_stops_no_other(deployer: Deployer, forged: dict[str, Any]) -> None:
    """Beside it others are asked for, listed, approved, permitted and withdrawn; and it is not made to expire."""
    gate = deployer.gate
    asked, other = gate.request(), gate.request()
    put_row(gate, asked["promotion"]["id"], **forged)
    forge(gate, asked["promotion"]["id"], **forged)
    path = f"/v1/promotions/{other['promotion']['id']}"
    answers = [
        gate.approve("leo", "ml-lead", other).status_code,
        gate.call("GET", path, "rita").status_code,
        gate.call("POST", f"{path}/withdraw", "rita", {"schema_version": 1}).status_code,
    ]

    assert answers == [201, 200, 200]
    assert deployer.permit(deployer.allow("1")).permit
    assert gate.records("gate.expiry") == []
    assert refusal(gate.approve("leo", "ml-lead", asked))[1] in {INCONSISTENT[1], "promotion.closed"}


def test_what_did_run_out_is_recorded_beside_forged_rows(deployer: Deployer) -> None:
    """More forged rows than are closed at once do not hide what the log confirms."""
    gate = deployer.gate
    asked = gate.request()
    for _ in range(EXPIRE_BATCH_MAX + 1):
        put_row(gate, asked["promotion"]["id"], expires_ns=1)
    later = gate.request()["promotion"]["id"]
    gate.clock.advance(7 * DAY_NS + NS_PER_S)
    state = gate.call("GET", f"/v1/promotions/{later}", "rita").json["promotion"]["state"]
    recorded = {record["body"]["promotion_id"] for record in gate.records("gate.expiry")}

    assert state == "expired"
    assert recorded == {asked["promotion"]["id"], later}
    assert row_of(gate, later)["state"] == "expired"


def test_a_forged_row_stops_no_confirmation(deployer: Deployer) -> None:
    """What runs is confirmed and what was asked for before is superseded, but no row that the log does not confirm."""
    gate = deployer.gate
    older, chosen = deployer.allow("1"), deployer.allow("2")
    forged = [
        put_row(gate, older, number=number, **values)
        for number, values in ((-1, {"row_version": 0}), (-2, {"request": b"{}"}), (-3, {}))
    ]
    deployer.execute(chosen)

    assert deployer.observe("2").result == "confirmed"
    assert [record["body"]["promotion_id"] for record in gate.records("gate.supersession")] == [older]
    assert {row_of(gate, each)["state"] for each in forged} == {"allowed"}


def test_a_row_that_cannot_be_read_opens_and_stops_no_rollback(deployer: Deployer) -> None:
    """Neither as something to go back to, nor as an arrival of before."""
    gate = deployer.gate
    oldest, older = deployer.deploy("1"), deployer.deploy("2")
    deployer.deploy("3")
    forge(gate, older, request=b"{}")

    assert row_of(gate, deployer.roll_back())["version"] == row_of(gate, oldest)["version"]


def test_what_becomes_allowed_meanwhile_is_superseded_too(deployer: Deployer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promotion that is allowed after the older ones were looked at is looked at in another try."""
    gate = deployer.gate
    asked, chosen = deployer.ask("1"), deployer.allow("2")
    deployer.execute(chosen)
    looks = store.older_allowed

    def look_then_approve(*args: Any) -> Any:
        monkeypatch.setattr(store, "older_allowed", looks)
        rows = looks(*args)
        deployer.approve(asked)
        return rows

    monkeypatch.setattr(store, "older_allowed", look_then_approve)

    assert deployer.observe("2").result == "confirmed"
    assert deployer.state(asked["promotion"]["id"]) == "superseded"
    assert gate.services.lifecycle.live.now(MODEL, PRODUCTION).desired is None
