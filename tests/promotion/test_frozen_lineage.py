"""Lineage and holds in decisions: what was frozen with a request stays, and what moved meanwhile is noticed."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from lockgate.audit import Actor
from lockgate.audit.keeping.erasing import erase
from lockgate.canonical_json import parse_canonical
from lockgate.clock import NS_PER_S
from lockgate.config import MAIN_LOG
from lockgate.digests import Sha256Hex, sha256_hex
from lockgate.lineage.snapshots import lineage_bytes
from lockgate.lineage.store import StoredSnapshot, insert_snapshot
from lockgate.policy.wasm import WasmEngine
from lockgate.promotion import open_needs
from lockgate.storage import read_transaction, write_transaction
from lockgate.storage.tables import hold as hold_table
from lockgate.storage.tables import lineage as lineage_table
from support.gates import ARTIFACT, GateUnderTest, compile_config, make_gate, policy_config
from support.lineages import COMMIT, lineage_of
from support.models import register_model, register_version
from support.promotions import SwitchedEngine, verdict_of

ACTOR = Actor(type="user", id="otto", roles=("operator",))
RUN = {
    "id": "run-1",
    "code_commit": COMMIT,
    "datasets": [{"name": "transactions", "digest": "5fa1c7d2", "source": "s3://data", "context": "training"}],
}


def config_asking(*checks: str) -> dict[str, dict[str, Any]]:
    """Return data that ask for lineage of promotions to production."""
    wanted = {"id": "a", "kinds": ["promote"], "environments": ["production"], "tiers": ["high"], "checks": checks}
    return policy_config(lineage={"requirements": [wanted]})


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> WasmEngine:
    """The policy with data that ask for datasets and code."""
    config = config_asking("dataset_digests", "code_commit")
    return WasmEngine(compile_config(tmp_path_factory.mktemp("config"), config))


@pytest.fixture
def gate(tmp_path: Path, asking: WasmEngine) -> GateUnderTest:
    """A gate that asks for lineage, with a registered version."""
    made = make_gate(tmp_path, asking)
    register_model(made)
    register_version(made, run=RUN)
    return made


def collect(gate: GateUnderTest) -> str:
    """Collect the version's lineage; return its digest."""
    return gate.services.lineage.collect(ACTOR, "fraud-detector", "1.4.0", trace=None).sha256


def codes(answer: dict[str, Any]) -> set[str]:
    """Return the codes of a decision's violations."""
    return {violation["code"] for violation in answer["decision"]["violations"]}


def input_of(gate: GateUnderTest, answer: dict[str, Any]) -> dict[str, Any]:
    """Return the policy input of a decision, as the log keeps it."""
    body = gate.services.log.attachment(answer["decision"]["input"].removeprefix("sha256:"))
    document: dict[str, Any] = parse_canonical(body, integer_max=2**63 - 1, bytes_max=len(body))
    return document


def hold(gate: GateUnderTest, *, lifted: int | None = None) -> None:
    """Place a hold on the model in production."""
    with write_transaction(gate.database) as connection:
        connection.execute(
            hold_table.insert().values(
                model="fraud-detector",
                environment="production",
                promotion_id="0199c0de-0000-7000-8000-00000000a001",
                placed_ns=gate.clock.now_ns(),
                lifted_ns=lifted,
            )
        )


def test_without_lineage_it_is_denied_and_with_it_allowed(gate: GateUnderTest) -> None:
    """What the data ask for is asked of the snapshot that was there when the request was made."""
    before = gate.request()
    digest = collect(gate)
    after = gate.request()

    assert verdict_of(before) == "deny"
    assert codes(before) == {"lineage.missing", "approvals.missing"}
    assert before["decision"]["lineage"] == ""
    assert input_of(gate, before)["lineage"]["present"] is False
    assert verdict_of(after) == "pending"
    assert after["decision"]["lineage"] == f"sha256:{digest}"
    facts = input_of(gate, after)["lineage"]
    assert (facts["digest"], facts["code_commit"], facts["score"]) == (f"sha256:{digest}", COMMIT, 100)
    assert facts["artifact"] == str(ARTIFACT)


def test_the_snapshot_is_kept_with_the_decision(gate: GateUnderTest) -> None:
    """The first decision's record names the snapshot, so that the log keeps its bytes for whoever decides anew."""
    digest = collect(gate)
    answer = gate.request()
    (record,) = gate.records("gate.decision")

    assert f"sha256:{digest}" in record["attachments"]
    assert sha256_hex(gate.services.log.attachment(digest)) == digest
    assert answer["decision"]["id"] == record["id"]


def test_a_promotion_is_decided_with_its_own_snapshot_to_the_end(gate: GateUnderTest) -> None:
    """What is collected later changes nothing of what was asked before: a new request takes the newer snapshot."""
    first = collect(gate)
    asked = gate.request()
    gate.clock.advance(NS_PER_S)
    gate.call("POST", "/v1/models/fraud-detector/versions/1.4.0:retire", "otto", {"schema_version": 1})
    with write_transaction(gate.database) as connection:
        connection.execute(update(lineage_table).values(body=b"{}", sha256="0" * 64))  # the table is not asked again
    approved = gate.approve("leo", "ml-lead", asked).json

    assert approved["decision"]["lineage"] == f"sha256:{first}"
    assert input_of(gate, approved)["lineage"]["digest"] == f"sha256:{first}"
    assert "lineage.missing" not in codes(approved)


def test_a_forged_row_is_no_lineage(gate: GateUnderTest) -> None:
    """A snapshot that no record of the log names is not taken, however good it looks."""
    body = lineage_bytes(lineage_of())
    with write_transaction(gate.database) as connection:
        insert_snapshot(
            connection,
            model="fraud-detector",
            version="1.4.0",
            snapshot=StoredSnapshot(sha256=sha256_hex(body), body=body),
            collected=gate.clock.now_ns(),
        )

    assert gate.request()["decision"]["lineage"] == ""


def test_a_row_that_names_anothers_record_is_no_lineage(gate: GateUnderTest) -> None:
    """Neither other bytes under a recorded digest nor another version's snapshot pass for this version's."""
    register_version(gate, version="2.0.0")
    digest = collect(gate)
    body = lineage_bytes(lineage_of())
    with write_transaction(gate.database) as connection:
        for version, snapshot in (("1.4.0", body), ("2.0.0", gate.services.log.attachment(digest))):
            row = StoredSnapshot(sha256=gate.services.lineage.newest("fraud-detector", "1.4.0").sha256, body=snapshot)  # type: ignore[union-attr] # it was just collected
            insert_snapshot(
                connection, model="fraud-detector", version=version, snapshot=row, collected=gate.clock.now_ns()
            )

    assert gate.request()["decision"]["lineage"] == ""
    assert gate.request(version="2.0.0")["decision"]["lineage"] == ""


def test_a_dry_run_sees_the_lineage_too(gate: GateUnderTest) -> None:
    """A forecast is made of the snapshot that a request would get, and keeps nothing."""
    digest = collect(gate)
    forecast = gate.call("POST", "/v1/decisions:dry-run", "ravi", gate.request_document()).json

    assert forecast["decision"]["lineage"] == f"sha256:{digest}"
    assert gate.records("gate.decision") == []


def test_erased_lineage_stops_a_new_decision(gate: GateUnderTest) -> None:
    """A snapshot that was erased on purpose cannot be decided with any more: approving says so."""
    digest = collect(gate)
    asked = gate.request()
    erase(gate.database, gate.services.log, [Sha256Hex(digest)], reason="asked for", actor=ACTOR)
    response = gate.approve("leo", "ml-lead", asked)

    assert (response.status_code, response.json["code"]) == (409, "promotion.evidence_erased")


def test_open_promotions_need_their_lineage(gate: GateUnderTest) -> None:
    """Whoever prunes the log is told that a snapshot is still decided with, until the promotion is closed."""
    digest = collect(gate)
    asked = gate.request()

    def needed() -> tuple[str, ...]:
        with read_transaction(gate.database) as connection:
            return open_needs(connection, gate.clock.now_ns(), MAIN_LOG).attachments

    before = needed()
    gate.call("POST", f"/v1/promotions/{asked['promotion']['id']}/withdraw", "rita", {"schema_version": 1})

    assert digest in before
    assert needed() == ()


def test_a_hold_denies_promotions_and_no_rollback(gate: GateUnderTest) -> None:
    """While a hold is in force nothing is promoted there; lifted, it is as if it had not been."""
    collect(gate)
    hold(gate)
    held = gate.request()
    elsewhere = gate.request(**{"from": "dev", "to": "staging"})
    with write_transaction(gate.database) as connection:
        connection.execute(update(hold_table).values(lifted_ns=gate.clock.now_ns()))
    lifted = gate.request()

    assert (verdict_of(held), "hold.in_force" in codes(held)) == ("deny", True)
    assert "hold.in_force" not in codes(elsewhere)
    assert (verdict_of(lifted), codes(lifted)) == ("pending", {"approvals.missing"})


def test_a_hold_that_comes_while_deciding_is_seen(tmp_path: Path, asking: WasmEngine) -> None:
    """A hold that is placed between evaluating and committing makes the gate start over: nothing slips in before it."""
    engine = SwitchedEngine(asking)
    gate = make_gate(tmp_path, engine)
    placed: list[bool] = []

    def place() -> None:
        if not placed:
            placed.append(True)
            hold(gate)

    engine.before_answer = place

    assert "hold.in_force" in codes(gate.request())
