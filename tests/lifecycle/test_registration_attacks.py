"""A permit is for what the log says a model is registered as; whoever can write its row gets no other permit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update

from lockgate.audit import LogInconsistentError
from lockgate.policy.wasm import WasmEngine
from lockgate.storage.tables import model as model_table
from support.attacks import INCONSISTENT, code_of, refusal
from support.gates import GateUnderTest, make_gate
from support.models import FRAUD, RETIRE, model_update, register_model
from support.pruned_gates import fill_log, prune_gate
from support.rollout_jobs import BUILTIN
from support.rollouts import MODEL, Deployer, claims_of

THEIRS = "crown-jewel"


@pytest.fixture
def deployer(tmp_path: Path, engine: WasmEngine, database_url: str) -> Deployer:
    """Somebody who carries promotions out, on either database."""
    return Deployer(gate=make_gate(tmp_path, engine, database_url=database_url, registries=(BUILTIN,)))


def forge_model(gate: GateUnderTest, **values: Any) -> None:
    """Write the model's row behind the gate's back."""
    with gate.database.begin() as connection:
        connection.execute(update(model_table).where(model_table.c.name == MODEL).values(**values))


def insert_model(gate: GateUnderTest) -> None:
    """Put a row there for a model that nobody registered."""
    register_model(gate, "other")
    with gate.database.begin() as connection:
        row = dict(connection.execute(select(model_table)).mappings().one())
        connection.execute(insert(model_table).values({**row, "name": MODEL, "registry_model": THEIRS}))


def delete_model(gate: GateUnderTest) -> None:
    """Take the model's row away."""
    with gate.database.begin() as connection:
        connection.execute(delete(model_table).where(model_table.c.name == MODEL))


@pytest.mark.parametrize(
    "attack",
    [
        lambda gate: forge_model(gate, registry_model=THEIRS),
        lambda gate: forge_model(gate, registry="elsewhere"),
        delete_model,
    ],
    ids=["another name there", "another registry", "no row"],
)
def test_no_permit_for_what_the_row_alone_says(deployer: Deployer, attack: Callable[[GateUnderTest], None]) -> None:
    """A model whose row is not as the log has it gets no permit, and nothing is recorded."""
    gate = deployer.gate
    register_model(gate, registry_model="fraud there")
    promotion_id = deployer.allow("1")
    attack(gate)

    assert code_of(deployer.permit, promotion_id) == LogInconsistentError.code
    assert gate.records("gate.permit") == []
    assert deployer.state(promotion_id) == "allowed"


def test_an_inserted_row_registers_nothing(deployer: Deployer) -> None:
    """A row without a record names no model of any registry."""
    promotion_id = deployer.allow("1")
    insert_model(deployer.gate)

    assert code_of(deployer.permit, promotion_id) == LogInconsistentError.code


def test_a_permit_is_for_what_was_registered(deployer: Deployer) -> None:
    """Registry, name there and alias are those of the registration, however often the model was changed since."""
    gate = deployer.gate
    register_model(gate, registry_model="fraud there")
    updated = gate.call("PUT", FRAUD, "ravi", model_update(), If_Match='"1"')
    claims = claims_of(deployer.permit(deployer.allow("1")).permit)

    assert updated.status_code == 200, updated.text
    assert (claims["registry"], claims["model"], claims["alias"]) == ("builtin", "fraud there", "champion")


@pytest.mark.parametrize(
    "attack", [lambda gate: forge_model(gate, registry_model=THEIRS), insert_model], ids=["changed", "inserted"]
)
def test_a_forged_row_does_not_get_into_the_log(deployer: Deployer, attack: Callable[[GateUnderTest], None]) -> None:
    """Neither an update nor the end of a model records what its row alone says."""
    gate = deployer.gate
    if attack is not insert_model:
        register_model(gate)
    attack(gate)
    before = gate.records("registry.model")
    updated = gate.call("PUT", FRAUD, "ravi", model_update(), If_Match='"1"')
    retired = gate.call("POST", f"{FRAUD}:retire", "otto", RETIRE)

    assert (refusal(updated), refusal(retired)) == (INCONSISTENT, INCONSISTENT)
    assert gate.records("registry.model") == before


def test_a_model_is_not_registered_a_second_time(deployer: Deployer) -> None:
    """Where its row was taken away, nobody registers it for something else."""
    gate = deployer.gate
    register_model(gate)
    delete_model(gate)
    document = {"schema_version": 1, "name": MODEL, "owner": "payments-ml", "registry_model": THEIRS}

    assert refusal(gate.call("POST", "/v1/models", "otto", document)) == INCONSISTENT


def test_a_report_names_the_pointer_of_the_permit(deployer: Deployer) -> None:
    """What was moved is what the permit was for, by the log's word; a row that was forged since changes nothing."""
    gate = deployer.gate
    register_model(gate, registry_model="fraud there")
    reported, seen = deployer.allow("1"), deployer.allow("2")
    permit_id = deployer.permit_id(reported)
    forge_model(gate, registry_model=THEIRS)
    deployer.report(reported, status="executing", permit_id=permit_id, percent=100, former_version="")
    deployer.observe("1")
    forge_model(gate, registry_model="fraud there")
    deployer.permit(seen)
    forge_model(gate, registry_model=THEIRS)
    deployer.observe("2")

    assert [record["body"]["registry_model"] for record in gate.records("gate.pointer")] == ["fraud there"] * 2


def test_a_pruned_registration_is_said_anew(deployer: Deployer) -> None:
    """Where pruning took the model's record, its row is not believed until somebody updates the model."""
    gate = deployer.gate
    register_model(gate)
    promotion_id = _pruned(gate, deployer)
    before = code_of(deployer.permit, promotion_id)
    updated = gate.call("PUT", FRAUD, "ravi", model_update(), If_Match='"1"')

    assert before == LogInconsistentError.code
    assert updated.status_code == 200, updated.text
    assert deployer.permit(promotion_id).permit


def _pruned(gate: GateUnderTest, deployer: Deployer) -> str:
    for _ in range(4):
        fill_log(gate, 64)
    promotion_id = deployer.allow("1")
    prune_gate(gate, 256)
    return promotion_id
