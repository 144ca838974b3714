"""Whoever can write the tables cannot write the log: a row that the log does not confirm opens nothing."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from lockgate.audit import LogInconsistentError
from lockgate.canonical_json import canonicalize, parse_canonical
from lockgate.clock import NS_PER_S
from lockgate.ids import new_id
from lockgate.policy.wasm import WasmEngine
from lockgate.storage.tables import hold as hold_table
from lockgate.storage.tables import promotion as promotion_table
from lockgate.storage.tables import rollout as rollout_table
from support.attacks import INCONSISTENT, code_of, forge, refusal, row_of
from support.gates import ROLLBACK, GateUnderTest, make_gate
from support.promotions import verdict_of, violated
from support.rollouts import MODEL, PERSON, PRODUCTION, Deployer, claims_of, kinds_of


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine, database_url: str) -> GateUnderTest:
    """A gate on either database."""
    return make_gate(tmp_path, engine, database_url=database_url)


@pytest.fixture
def deployer(gate: GateUnderTest) -> Deployer:
    """Somebody who carries promotions out."""
    return Deployer(gate=gate)


def test_another_contributor_in_the_row_is_found_out(gate: GateUnderTest) -> None:
    """Whoever made the model does not get to approve it by a row that names somebody else."""
    asked = gate.request(contributors=[{"subject": "leo", "role": "trainer"}])
    promotion_id = asked["promotion"]["id"]
    request = parse_canonical(row_of(gate, promotion_id)["request"])
    request["contributors"] = [{"subject": "zoe", "role": "trainer"}]
    forge(gate, promotion_id, request=canonicalize(request))
    answer = gate.approve("leo", "ml-lead", asked)

    assert refusal(answer) == INCONSISTENT
    assert gate.records("gate.approval") == []


@pytest.mark.parametrize(
    "change",
    [
        {"requester": "ravi"},
        {"expires_ns": 2**60 * 2},
        {"created_ns": 1_000},
        {"log": "production"},
        {"state": "allowed"},
        {"row_version": 2},
        {"row_version": 0},
        {"decision_id": "01936e1a-0000-7000-8000-000000000000"},
    ],
    ids=str,
)
def test_no_part_of_a_row_can_be_changed(gate: GateUnderTest, change: dict[str, Any]) -> None:
    """Whatever of a pending row is changed, nothing is decided on it."""
    asked = gate.request()
    forge(gate, asked["promotion"]["id"], **change)
    answer = gate.approve("leo", "ml-lead", asked)

    assert answer.status_code != 201
    assert answer.json["code"] in {"audit.log_inconsistent", "promotion.log_not_configured", "promotion.closed"}
    assert gate.records("gate.approval") == []


@pytest.mark.parametrize("part", ["version", "from", "lineage", "evidence"])
def test_no_part_of_the_request_can_be_changed(gate: GateUnderTest, part: str) -> None:
    """Nor what was asked for."""
    asked = gate.request()
    promotion_id = asked["promotion"]["id"]
    request = parse_canonical(row_of(gate, promotion_id)["request"])
    forged = {"version": "9", "from": "dev", "lineage": "0" * 64, "evidence": []}[part]
    forge(gate, promotion_id, request=canonicalize({**request, part: forged}))

    assert refusal(gate.call("GET", f"/v1/promotions/{promotion_id}", "rita")) == INCONSISTENT
    assert gate.approve("leo", "ml-lead", asked).status_code != 201
    assert gate.records("gate.approval") == []


@pytest.mark.parametrize("back", [0, 1])
def test_a_withdrawn_promotion_does_not_come_back(gate: GateUnderTest, back: int) -> None:
    """The log holds the withdrawal, whatever state and number the row has."""
    asked = gate.request()
    promotion_id = asked["promotion"]["id"]
    gate.approve("leo", "ml-lead", asked)
    gate.call("POST", f"/v1/promotions/{promotion_id}/withdraw", "rita", {"schema_version": 1})
    forge(gate, promotion_id, state="pending", row_version=row_of(gate, promotion_id)["row_version"] - back)
    answer = gate.approve("maya", "risk", asked)

    assert refusal(answer) == INCONSISTENT
    assert refusal(gate.call("GET", f"/v1/promotions/{promotion_id}", "rita")) == INCONSISTENT
    assert len(gate.records("gate.approval")) == 1


def test_an_older_decision_is_not_the_newest(gate: GateUnderTest) -> None:
    """A row that goes back to an older decision, with the number of that time or of now, is found out."""
    asked = gate.request()
    promotion_id = asked["promotion"]["id"]
    first = row_of(gate, promotion_id)
    gate.approve("leo", "ml-lead", asked)
    forge(gate, promotion_id, decision_id=first["decision_id"])
    with_the_number_of_now = gate.approve("maya", "risk", asked)
    forge(gate, promotion_id, row_version=first["row_version"])

    assert refusal(with_the_number_of_now) == INCONSISTENT
    assert refusal(gate.approve("maya", "risk", asked)) == INCONSISTENT


def test_what_was_denied_when_decided_anew_is_not_allowed_again(deployer: Deployer) -> None:
    """An allow of before, put back into the row with its number, gets no permit and does not read as an allow."""
    promotion_id = deployer.allow("1")
    allowed = row_of(deployer.gate, promotion_id)
    deployer.execute(promotion_id)
    deployer.report(promotion_id, status="failed", code="executor.refused", detail="")
    forge(deployer.gate, promotion_id, **{name: allowed[name] for name in ("state", "row_version", "decision_id")})

    assert code_of(deployer.permit, promotion_id) == LogInconsistentError.code
    assert refusal(deployer.gate.call("GET", f"/v1/promotions/{promotion_id}", "rita")) == INCONSISTENT


def rollback_after(gate: GateUnderTest, **forged: Any) -> dict[str, Any]:
    """Ask for a rollback to something, after a row was forged that says it was allowed."""
    asked = gate.request()  # pending, never allowed
    forge(gate, asked["promotion"]["id"], **forged)
    return gate.request(**ROLLBACK)


def test_a_row_in_an_allowed_state_opens_no_way_back(gate: GateUnderTest) -> None:
    """What the log does not hold as allowed is nothing to roll back to."""
    answer = rollback_after(gate, state="allowed", allowed_ns=gate.clock.now)

    assert verdict_of(answer) == "deny"
    assert "LG-013" in violated(answer)


def test_an_inserted_row_opens_no_way_back(gate: GateUnderTest) -> None:
    """Nor does a row that was put there, with the decision of another promotion."""
    pending = row_of(gate, gate.request()["promotion"]["id"])
    del pending["number"]
    for state in ("allowed", "permitted", "executing", "confirmed", "superseded", "expired"):
        forged = {**pending, "id": new_id(gate.clock.now), "state": state, "allowed_ns": gate.clock.now}
        with gate.database.begin() as connection:
            connection.execute(insert(promotion_table).values(**forged))
    answer = gate.request(**ROLLBACK)

    assert verdict_of(answer) == "deny"
    assert "LG-013" in violated(answer)


def test_a_forged_row_closes_no_way_back(deployer: Deployer) -> None:
    """Beside what the log confirms, a row that it does not confirm changes nothing."""
    gate = deployer.gate
    asked = gate.request()
    deployer.approve(asked)
    forged = {**row_of(gate, asked["promotion"]["id"]), "id": new_id(gate.clock.now)}
    del forged["number"]
    with gate.database.begin() as connection:
        connection.execute(insert(promotion_table).values(**forged))

    assert verdict_of(gate.request(**ROLLBACK)) == "pending"


def test_permitted_without_a_permit_is_found_out(deployer: Deployer) -> None:
    """A row that says permitted, and a rollout that names some permit, let nobody report that it was used."""
    gate = deployer.gate
    other = deployer.allow("1")
    permit_id = deployer.permit_id(other)
    deployer.report(other, status="failed", code="executor.refused", detail="")
    promotion_id = deployer.allow("2")
    forge(gate, promotion_id, state="permitted")
    with gate.database.begin() as connection:
        taken = connection.execute(select(rollout_table).where(rollout_table.c.promotion_id == other)).mappings().one()
        connection.execute(insert(rollout_table).values({**taken, "promotion_id": promotion_id, "under_way": 1}))
    before = kinds_of(gate, promotion_id)

    assert code_of(_use, deployer, promotion_id, permit_id) == LogInconsistentError.code
    assert code_of(deployer.observe, "2") == LogInconsistentError.code
    assert kinds_of(gate, promotion_id) == before


@pytest.mark.parametrize(("is_permitted", "forged"), [(True, "allowed"), (False, "permitted")])
def test_a_state_without_its_permit_is_found_out(deployer: Deployer, *, is_permitted: bool, forged: str) -> None:
    """Allowed and permitted are told apart by the permit's record, not by the row."""
    promotion_id = deployer.allow("1")
    if is_permitted:
        deployer.permit(promotion_id)
    forge(deployer.gate, promotion_id, state=forged)

    assert code_of(deployer.permit, promotion_id) == LogInconsistentError.code
    assert code_of(_look, deployer.gate, promotion_id) == LogInconsistentError.code


def test_a_promotion_of_before_there_were_such_ids_goes_on(
    gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first decision has another kind of id; it can be decided, and what closes it cannot be taken back."""
    monkeypatch.setattr("lockgate.promotion.gate.first_id", lambda _: new_id(gate.clock.now))
    asked, other = gate.request(), gate.request()
    first = gate.approve("leo", "ml-lead", asked)
    second = gate.approve("maya", "risk", asked)
    path = f"/v1/promotions/{other['promotion']['id']}"
    gate.call("POST", f"{path}/withdraw", "rita", {"schema_version": 1})
    forge(gate, other["promotion"]["id"], state="pending", row_version=1)

    assert (verdict_of(first.json), verdict_of(second.json)) == ("pending", "allow")
    assert refusal(gate.call("GET", path, "rita")) == INCONSISTENT


def test_the_permit_of_another_decision_is_not_the_newest(deployer: Deployer) -> None:
    """A rollout that goes back to a permit of before is found out."""
    gate = deployer.gate
    promotion_id = deployer.allow("1")
    former: str = claims_of(deployer.permit(promotion_id).permit)["jti"]
    gate.clock.advance(60 * NS_PER_S)
    deployer.permit(promotion_id)
    with gate.database.begin() as connection:
        of_it = rollout_table.c.promotion_id == promotion_id
        connection.execute(update(rollout_table).where(of_it).values(permit_id=former))

    assert code_of(_use, deployer, promotion_id, former) == LogInconsistentError.code
    assert code_of(deployer.observe, "1") == LogInconsistentError.code


def test_what_is_carried_out_goes_back_to_no_earlier_state(deployer: Deployer) -> None:
    """Where the pointer was moved, no state of before it, and none of after it, can be put into the row."""
    gate = deployer.gate
    promotion_id = deployer.allow("1")
    deployer.execute(promotion_id, percent=10)
    codes = []
    for state in ("pending", "allowed", "permitted"):
        forge(gate, promotion_id, state=state)
        codes.append(
            code_of(deployer.permit, promotion_id) if state != "pending" else code_of(_look, gate, promotion_id)
        )
    forge(gate, promotion_id, state="executing")
    deployer.report(promotion_id, status="step", percent=50)
    forge(gate, promotion_id, state="permitted")
    codes.append(code_of(deployer.permit, promotion_id))
    forge(gate, promotion_id, state="executing")

    assert codes == [LogInconsistentError.code] * 4
    assert deployer.observe("1").result == "confirmed"


def test_another_digest_in_the_row_confirms_nothing(deployer: Deployer) -> None:
    """What runs is no confirmation of a promotion of something else."""
    gate = deployer.gate
    promotion_id = deployer.allow("1")
    deployer.execute(promotion_id)
    request = parse_canonical(row_of(gate, promotion_id)["request"])
    other = gate.request_document()["digest"]
    forge(gate, promotion_id, digest=other, request=canonicalize({**request, "digest": other}))

    assert code_of(deployer.observe, "9") == LogInconsistentError.code
    assert gate.records("gate.confirmation") == []


def _use(deployer: Deployer, promotion_id: str, permit_id: str) -> None:
    deployer.report(promotion_id, status="executing", permit_id=permit_id, percent=100, former_version="")


def _look(gate: GateUnderTest, promotion_id: str) -> None:
    gate.services.register.get(promotion_id)


def lift_in_row(gate: GateUnderTest) -> None:
    """End every hold, in the table alone."""
    with gate.database.begin() as connection:
        connection.execute(update(hold_table).values(lifted_ns=gate.clock.now))


def test_a_hold_ends_by_a_record_and_not_by_a_row(deployer: Deployer) -> None:
    """A hold that the table calls lifted, or does not know, holds all the same, until a person lifts it."""
    gate = deployer.gate
    deployer.deploy("1")
    deployer.deploy("2")
    deployer.permit(deployer.roll_back())
    lift_in_row(gate)
    lifted = deployer.ask("3")
    with gate.database.begin() as connection:
        connection.execute(delete(hold_table))
    deleted = deployer.ask("4")
    _lift(gate)

    assert "LG-041" in violated(lifted)
    assert "LG-041" in violated(deleted)
    assert verdict_of(deployer.ask("5")) == "pending"


def test_a_rollback_takes_no_requests_word_from_a_row(deployer: Deployer) -> None:
    """Who made what is rolled back to, the log says; a row that says otherwise is passed over, and stops nobody."""
    gate = deployer.gate
    oldest, older = deployer.deploy("1"), deployer.deploy("2")
    deployer.deploy("3")
    for_row = parse_canonical(row_of(gate, older)["request"])
    forge(gate, older, request=canonicalize({**for_row, "contributors": [{"subject": "zoe", "role": "trainer"}]}))
    passed_over = row_of(gate, deployer.roll_back())
    for_row = parse_canonical(row_of(gate, oldest)["request"])
    forge(gate, oldest, request=canonicalize({**for_row, "contributors": [{"subject": "zoe", "role": "trainer"}]}))

    assert (passed_over["version"], parse_canonical(passed_over["request"])["contributors"][0]["subject"]) == (
        "1",
        "tess",
    )
    assert code_of(deployer.roll_back) == "promotion.evidence_erased"


def test_a_hold_in_the_table_alone_keeps_no_record_from_the_log(deployer: Deployer) -> None:
    """Where a row is put there before a rollback, and taken away after, the rollback's hold is in the log."""
    gate = deployer.gate
    deployer.deploy("1")
    deployer.deploy("2")
    rollback = deployer.roll_back()
    forged = {"model": MODEL, "environment": PRODUCTION, "promotion_id": rollback, "placed_ns": gate.clock.now}
    with gate.database.begin() as connection:
        connection.execute(insert(hold_table).values(**forged))
    deployer.permit(rollback)
    lift_in_row(gate)

    assert [record["body"]["change"] for record in gate.records("gate.hold")] == ["placed"]
    assert "LG-041" in violated(deployer.ask("3"))


def _lift(gate: GateUnderTest) -> None:
    body = canonicalize({"schema_version": 1})
    gate.services.lifecycle.holds.lift(PERSON, MODEL, PRODUCTION, body, trace="0" * 36)
