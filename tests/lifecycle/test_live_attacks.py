"""What is live is answered as the log has it, and signed only then; whoever can write the tables cannot change it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from lockgate.canonical_json import canonicalize
from lockgate.clock import NS_PER_S, EpochNs, format_timestamp
from lockgate.gate_logs import Logs
from lockgate.lifecycle import recorded_intervals
from lockgate.lifecycle.live import LiveReader
from lockgate.lifecycle.observations import Observations
from lockgate.policy.wasm import WasmEngine
from lockgate.promotion import recorded_holds
from lockgate.storage.tables import hold as hold_table
from lockgate.storage.tables import live_interval as live_table
from lockgate.storage.tables import rollout as rollout_table
from support.attacks import INCONSISTENT, forge, refusal, row_of
from support.gates import GateUnderTest, make_gate
from support.promotions import violated
from support.pruned_gates import fill_log, prune_gate
from support.rollouts import DEPLOYER, MODEL, PERSON, PRODUCTION, Deployer, claims_of, digest_of, stored_intervals

PATH = f"/v1/live/{MODEL}/{PRODUCTION}"
SIGNED = f"{PATH}?nonce=0123456789abcdef"
MINUTE_NS = 60 * NS_PER_S


@pytest.fixture
def deployer(tmp_path: Path, engine: WasmEngine, database_url: str) -> Deployer:
    """Somebody who carries promotions out, on either database."""
    return Deployer(gate=make_gate(tmp_path, engine, database_url=database_url))


def write(gate: GateUnderTest, *statements: Any) -> None:
    """Write tables behind the gate's back."""
    with gate.database.begin() as connection:
        for statement in statements:
            connection.execute(statement)


def reopen_the_first(gate: GateUnderTest) -> None:
    """Let the table say that what was live first is live."""
    columns = live_table.c
    write(
        gate,
        delete(live_table).where(columns.is_live == 1),
        update(live_table).values(to_ns=None, is_live=1),
    )


def forge_live(**values: Any) -> Callable[[GateUnderTest], None]:
    """Return what changes the row of what is live."""
    return lambda gate: write(gate, update(live_table).where(live_table.c.is_live == 1).values(**values))


def first_record(gate: GateUnderTest) -> str:
    """Return the record of what was live first."""
    return str(gate.records("gate.confirmation")[0]["id"])


@pytest.mark.parametrize(
    "attack",
    [
        forge_live(digest=str(digest_of("evil"))),
        forge_live(version="9"),
        forge_live(from_ns=1),
        forge_live(promotion_id=""),
        forge_live(record_id="01936e1a-0000-7000-8000-000000000000"),
        lambda gate: forge_live(record_id=first_record(gate))(gate),
        lambda gate: forge_live(record_id=gate.records("gate.decision")[-1]["id"])(gate),
        lambda gate: write(gate, delete(live_table)),
        lambda gate: write(gate, delete(live_table).where(live_table.c.is_live == 1)),
        reopen_the_first,
    ],
    ids=["digest", "version", "begins", "nobody", "record", "other", "decision", "all", "none", "reopened"],
)
def test_what_is_live_is_as_the_log_has_it(deployer: Deployer, attack: Callable[[GateUnderTest], None]) -> None:
    """Whatever of the row is changed, put back or taken away, nothing is answered and nothing signed."""
    gate = deployer.gate
    deployer.deploy("1")
    gate.clock.advance(MINUTE_NS)
    deployer.deploy("2")
    attack(gate)

    assert refusal(gate.call("GET", PATH, "dora")) == INCONSISTENT
    assert refusal(gate.call("GET", SIGNED, "dora")) == INCONSISTENT


def test_what_was_live_ends_when_the_next_began(deployer: Deployer) -> None:
    """Neither an end nor a beginning in the past can be moved, nor an interval be taken out."""
    gate = deployer.gate
    deployer.deploy("1")
    begun = gate.clock.now
    gate.clock.advance(MINUTE_NS)
    deployer.observe("stranger")
    gate.clock.advance(MINUTE_NS)
    deployer.deploy("2")
    at = f"{PATH}?at={format_timestamp(begun)}"
    late = f"{PATH}?at={format_timestamp(EpochNs(gate.clock.now - NS_PER_S))}"
    before = gate.call("GET", at, "dora").json["live"]["version"], gate.call("GET", late, "dora").json["live"]["digest"]
    first, strange = live_table.c.version == "1", live_table.c.digest == str(digest_of("stranger"))
    write(gate, delete(live_table).where(strange))
    taken_out = gate.call("GET", late, "dora")
    write(gate, update(live_table).where(first).values(to_ns=gate.clock.now))
    moved = gate.call("GET", at, "dora")
    write(gate, delete(live_table).where(first))

    assert before == ("1", str(digest_of("stranger")))
    assert [refusal(each) for each in (taken_out, moved, gate.call("GET", at, "dora"))] == [INCONSISTENT] * 3


def test_who_let_it_in_is_the_logs_word(deployer: Deployer) -> None:
    """What a promotion's row says of its requester, its time or its kind does not get into the answer."""
    gate = deployer.gate
    promotion_id = deployer.deploy("1")
    before = gate.call("GET", PATH, "dora").json
    forge(gate, promotion_id, requester="ravi", created_ns=1_000, kind="rollback", decision_id="0" * 36)
    signed = claims_of(gate.call("GET", SIGNED, "dora").json["signed"])

    assert gate.call("GET", PATH, "dora").json["let_in"] == before["let_in"]
    assert (signed["let_in"], signed["live"]) == (before["let_in"], before["live"])


@pytest.mark.parametrize(
    "forged", [{"requester": "ravi"}, {"version": "9"}, {"state": "allowed"}, {"to_environment": "staging"}], ids=str
)
def test_what_should_be_live_is_as_the_log_has_it(deployer: Deployer, forged: dict[str, Any]) -> None:
    """A promotion that was never allowed, or for something else, is not what a deployer is told to run."""
    gate = deployer.gate
    allowed, pending = deployer.allow("1"), deployer.ask("2")["promotion"]["id"]
    target = pending if "state" in forged else allowed
    if "version" in forged:
        request = row_of(gate, allowed)["request"].replace(b'"version":"1"', b'"version":"9"')
        forged = {**forged, "request": request}
    if "to_environment" in forged:
        elsewhere = deployer.allow("3", **{"from": "dev", "to": "staging"})
        target, forged = elsewhere, {"to_environment": PRODUCTION}
    forge(gate, target, **forged)

    assert refusal(gate.call("GET", PATH, "dora")) == INCONSISTENT
    assert refusal(gate.call("GET", SIGNED, "dora")) == INCONSISTENT


def test_a_rollout_that_was_put_there_brings_nothing(deployer: Deployer) -> None:
    """A row that says that something which failed, or is for another environment, is being carried out."""
    gate = deployer.gate
    failed, elsewhere = deployer.allow("1"), deployer.allow("2", **{"from": "dev", "to": "staging"})
    deployer.execute(failed)
    deployer.report(failed, status="failed", code="executor.refused", detail="")
    deployer.execute(elsewhere)
    write(gate, update(rollout_table).where(rollout_table.c.promotion_id == failed).values(under_way=1))
    after_failed = gate.call("GET", PATH, "dora").json["desired"]
    write(
        gate,
        delete(rollout_table).where(rollout_table.c.promotion_id == failed),
        update(rollout_table).values(environment=PRODUCTION),
    )

    assert after_failed is None
    assert refusal(gate.call("GET", PATH, "dora")) == INCONSISTENT
    assert deployer.observe("2").result == "out_of_band"


def test_a_hold_that_the_table_calls_lifted_is_held(deployer: Deployer) -> None:
    """What is signed and what is decided say the same of a hold."""
    gate = deployer.gate
    deployer.deploy("1")
    deployer.deploy("2")
    deployer.permit(deployer.roll_back())
    write(gate, update(hold_table).values(lifted_ns=gate.clock.now))

    assert gate.call("GET", PATH, "dora").json["held"] is True
    assert claims_of(gate.call("GET", SIGNED, "dora").json["signed"])["held"] is True


def test_what_is_seen_puts_a_forged_row_right(deployer: Deployer) -> None:
    """A row that says what runs is live already does not keep it from being recorded, and the next answer is right."""
    gate = deployer.gate
    deployer.deploy("1")
    forge_live(digest=str(digest_of("evil")), from_ns=gate.clock.now + MINUTE_NS)(gate)
    seen = deployer.observe("evil")
    answer = gate.call("GET", SIGNED, "dora")

    assert seen.result == "out_of_band"
    assert (answer.status_code, answer.json["live"]["digest"]) == (200, str(digest_of("evil")))
    assert gate.records("gate.live")[-1]["body"]["live_from"] == format_timestamp(gate.clock.now)


def test_of_a_pruned_log_nothing_is_signed_that_is_not_there(deployer: Deployer) -> None:
    """What was pruned is answered as the table has it, unsigned, unless what is left of the log speaks against it."""
    gate = deployer.gate
    promotion_id = deployer.deploy("1")
    for _ in range(5):
        fill_log(gate, 64)
    prune_gate(gate, 256)
    plain, signed = gate.call("GET", PATH, "dora"), gate.call("GET", SIGNED, "dora")
    deployer.deploy("2")
    again = gate.call("GET", SIGNED, "dora").json["live"]["version"]
    reopen_the_first(gate)

    assert (plain.status_code, plain.json["live"]["promotion_id"]) == (200, promotion_id)
    assert (plain.json["let_in"]["requester"], plain.json["let_in"]["records"]) == ("rita", [])
    assert refusal(signed) == (410, "audit.record_pruned")
    assert again == "2"
    assert refusal(gate.call("GET", PATH, "dora")) == INCONSISTENT


def test_nobody_looks_through_records_without_end(deployer: Deployer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind too many records of other environments an answer is not signed, and what may be held is held."""
    gate = deployer.gate
    for module in (recorded_intervals, recorded_holds):
        monkeypatch.setattr(module, "RECORDS_MAX", 2)
        monkeypatch.setattr(module, "_PAGE", 1)
    deployer.deploy("1")
    signed_before = gate.call("GET", SIGNED, "dora").status_code
    for version in ("a", "b"):
        deployer.observe(version, environment="staging")
    lifecycle, trace = gate.services.lifecycle, "0" * 36
    for _ in range(2):
        write(gate, insert(hold_table).values(model=MODEL, environment="staging", promotion_id="", placed_ns=1))
        lifecycle.holds.lift(PERSON, MODEL, "staging", canonicalize({"schema_version": 1}), trace=trace)
        write(gate, delete(hold_table))
    held = deployer.ask("2")
    lifecycle.holds.lift(PERSON, MODEL, PRODUCTION, canonicalize({"schema_version": 1}), trace=trace)

    assert signed_before == 200
    assert gate.call("GET", PATH, "dora").json["live"]["version"] == "1"
    assert refusal(gate.call("GET", SIGNED, "dora")) == (410, "audit.record_pruned")
    assert "LG-041" in violated(held)
    assert "LG-041" not in violated(deployer.ask("3"))


def test_intervals_of_two_logs_follow_each_other(tmp_path: Path, engine: WasmEngine) -> None:
    """Where an environment got a log of its own, what was live before is in the main one, and both are looked into."""
    gate = make_gate(tmp_path, engine, environment_logs=(PRODUCTION,))
    services, deployer = gate.services, Deployer(gate=gate)
    before = Observations(
        database=gate.database, logs=Logs(main=services.log), policy=services.policy, clock=gate.clock
    )
    body = canonicalize({"schema_version": 1, "digest": str(digest_of("1"))})
    before.observe(DEPLOYER, MODEL, PRODUCTION, body, trace=None)
    begun = gate.clock.now
    in_main = gate.call("GET", SIGNED, "dora")
    gate.clock.advance(MINUTE_NS)
    deployer.observe("2")
    at = gate.call("GET", f"{SIGNED}&at={format_timestamp(begun)}", "dora")
    now = gate.call("GET", SIGNED, "dora")
    without = LiveReader(database=gate.database, logs=Logs(main=services.log), clock=gate.clock)
    reopen_the_first(gate)

    assert [interval.log for interval in stored_intervals(gate)] == [""]
    assert [each.json["live"]["digest"] for each in (in_main, at, now)] == [
        str(digest_of(each)) for each in ("1", "1", "2")
    ]
    assert refusal(gate.call("GET", PATH, "dora")) == INCONSISTENT
    assert without.now(MODEL, PRODUCTION).is_proven


def test_an_answer_that_moves_while_it_is_given_is_given_anew(
    deployer: Deployer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was confirmed between the look at the table and the look into the log is no inconsistency."""
    gate = deployer.gate
    deployer.deploy("1")
    promotion_id = deployer.allow("2")
    deployer.execute(promotion_id)
    live = gate.services.lifecycle.live
    read = live._read

    def read_then_confirm(*args: Any) -> Any:
        monkeypatch.setattr(live, "_read", read)
        found = read(*args)
        deployer.observe("2")
        return found

    monkeypatch.setattr(live, "_read", read_then_confirm)
    answer = live.now(MODEL, PRODUCTION)

    assert answer.interval is not None
    assert (answer.interval.promotion_id, answer.is_proven) == (promotion_id, True)
