"""Which rollouts are due: those that are over leave the list, but for a share of traffic to take back."""

from pathlib import Path

import pytest
from sqlalchemy import select

from lockgate.delivery import rollout_queue
from lockgate.lifecycle.pointers import PULL
from lockgate.policy import PolicyEngine
from lockgate.storage import read_transaction, write_transaction
from lockgate.storage.tables import NEVER_NS
from lockgate.storage.tables import rollout as rollout_table
from support.gates import DAY_NS, make_gate
from support.rollouts import Deployer


@pytest.fixture
def deployer(tmp_path: Path, engine: PolicyEngine, database_url: str) -> Deployer:
    """Whoever carries promotions out without an executor."""
    return Deployer(gate=make_gate(tmp_path, engine, database_url=database_url))


def _is_never_due(deployer: Deployer, promotion_id: str) -> bool:
    with read_transaction(deployer.gate.database) as connection:
        due = select(rollout_table.c.due_ns).where(rollout_table.c.promotion_id == promotion_id)
        return bool(connection.execute(due).scalar_one() == NEVER_NS)


def _ended(deployer: Deployer) -> list[str]:
    with read_transaction(deployer.gate.database) as connection:
        tasks = rollout_queue.list_ended(connection, [PULL], deployer.gate.clock.now_ns(), 10)
        return [task.promotion_id for task in tasks]


def test_what_was_confirmed_is_due_no_more(deployer: Deployer) -> None:
    """Whole, or seen to run while it had a share: nothing is left to do."""
    whole = deployer.deploy("1")
    partly = deployer.allow("2")
    deployer.execute(partly, percent=10)
    before = _is_never_due(deployer, partly)
    deployer.observe("2")

    assert (before, _is_never_due(deployer, whole), _is_never_due(deployer, partly)) == (False, True, True)


def test_what_failed_without_a_share_is_due_no_more(deployer: Deployer) -> None:
    """It never moved anything, or all of it: there is no share to take back."""
    for version, percent in (("1", 0), ("2", 100)):
        promotion_id = deployer.allow(version)
        if percent:
            deployer.execute(promotion_id, percent=percent)
        else:
            deployer.permit(promotion_id)
        deployer.report(promotion_id, status="failed", code="test.failed", detail="")
        with write_transaction(deployer.gate.database) as connection:
            task = rollout_queue.read_task(connection, promotion_id)
            assert task is not None
            rollout_queue.change_task(
                connection, task, attempts=0, due=deployer.gate.clock.now_ns(), code="test.failed"
            )

        assert _is_never_due(deployer, promotion_id)
    assert _ended(deployer) == []


def test_a_share_is_due_until_it_was_taken_back(deployer: Deployer) -> None:
    """What failed with a share of traffic stays on the list, is tried again, and leaves it when that is done."""
    promotion_id = deployer.allow("1")
    deployer.execute(promotion_id, percent=10)
    deployer.report(promotion_id, status="failed", code="test.failed", detail="")
    assert _ended(deployer) == [promotion_id]
    with write_transaction(deployer.gate.database) as connection:
        task = rollout_queue.read_task(connection, promotion_id)
        assert task is not None
        again = rollout_queue.change_task(connection, task, attempts=1, due=deployer.gate.clock.now_ns(), code="")
        assert again is not None
    assert _ended(deployer) == [promotion_id]
    with write_transaction(deployer.gate.database) as connection:
        rollout_queue.close_task(connection, again)

    assert _ended(deployer) == []
    assert _is_never_due(deployer, promotion_id)


def test_what_begins_anew_is_due_again(deployer: Deployer) -> None:
    """A permitted promotion that was pending in between gets another permit, and is carried out."""
    promotion_id = deployer.allow("1")
    deployer.permit(promotion_id)
    deployer.gate.clock.advance(4 * DAY_NS)
    deployer.permit(promotion_id)
    over = _is_never_due(deployer, promotion_id)
    deployer.approve(deployer.gate.call("GET", f"/v1/promotions/{promotion_id}", "rita").json)
    deployer.permit(promotion_id)
    with read_transaction(deployer.gate.database) as connection:
        due = rollout_queue.list_due(connection, [PULL], deployer.gate.clock.now_ns(), 10)

    assert over
    assert [task.promotion_id for task in due] == [promotion_id]
