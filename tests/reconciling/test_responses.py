"""What answers a finding, and what makes none: over the built-in registry, whose pointers are moved past the gate."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from lockgate.clock import NS_PER_S, EpochNs
from lockgate.lifecycle import confirmations
from lockgate.policy.wasm import WasmEngine
from lockgate.reconciling import let_in, reconciler, store
from lockgate.reconciling.types import Finding, FindingKind
from lockgate.registry import PointerMovedError
from lockgate.storage import read_transaction, write_transaction
from lockgate.storage.tables import finding as finding_table
from lockgate.storage.tables import hold, live_interval, model
from lockgate.web.app import create_app
from support.expositions import scrape
from support.models import register_model, register_version
from support.reconcilers import (
    MODEL,
    WatchedGate,
    bring_live,
    move_pointer,
    pointer_stands,
    watched_builtin,
    watched_gate,
)
from support.rollouts import digest_of

WEBHOOK_SECRET = "a secret of some length for webhooks"


def _changes(watched: WatchedGate) -> list[str]:
    return [record["body"]["change"] for record in watched.gate.records("gate.finding")]


def test_a_frozen_model_is_not_promoted_until_a_person_lifts_the_hold(
    tmp_path: Path, engine: WasmEngine, database_url: str
) -> None:
    """A finding that freezes places a hold, in the finding's transaction; LG-041 denies; closing lifts nothing."""
    watched = watched_builtin(tmp_path, engine, database_url, {"tier": "high", "response": "freeze"})
    deployer = bring_live(watched)
    move_pointer(watched, "2", "1")
    watched.looking.run()

    (finding,) = watched.findings()
    (placed,) = watched.gate.records("gate.hold")
    assert placed["body"]["finding_id"] == finding.id
    assert deployer.ask("3")["decision"]["verdict"] == "deny"
    watched.close()
    (held,) = watched.gate.call("GET", "/v1/holds", "rita").json["items"]
    assert held["promotion_id"] == ""
    lifted = watched.gate.call("POST", f"/v1/holds/{MODEL}/production:lift", "lena", {"schema_version": 1})
    assert lifted.status_code == 200
    assert deployer.ask("3")["decision"]["verdict"] == "pending"


def test_a_hold_that_is_in_force_stays_the_one_that_it_is(
    tmp_path: Path, engine: WasmEngine, database_url: str
) -> None:
    """A rollback's hold and a finding that freezes meet: there is one hold, and the finding opens all the same."""
    watched = watched_builtin(tmp_path, engine, database_url, {"tier": "*", "response": "freeze"})
    deployer = bring_live(watched)
    deployer.deploy("2")
    move_pointer(watched, "2", "1")
    rollback = deployer.roll_back()
    deployer.execute(rollback)
    deployer.observe("1")

    watched.looking.look("builtin")
    assert watched.kinds() == ["alias_moved_out_of_band"]
    assert [record["body"]["promotion_id"] for record in watched.gate.records("gate.hold")] == [rollback]


def test_a_row_alone_keeps_no_hold_of_a_finding_from_the_log(
    tmp_path: Path, engine: WasmEngine, database_url: str
) -> None:
    """Where a row is put there before a finding freezes, and taken away after, the finding's hold is in the log."""
    watched = watched_builtin(tmp_path, engine, database_url, {"tier": "*", "response": "freeze"})
    deployer = bring_live(watched)
    planted = {"model": MODEL, "environment": "production", "promotion_id": "", "placed_ns": 1}
    with write_transaction(watched.gate.database) as connection:
        connection.execute(insert(hold).values(**planted))
    move_pointer(watched, "2", "1")
    watched.looking.run()
    with write_transaction(watched.gate.database) as connection:
        connection.execute(update(hold).values(lifted_ns=2))

    assert [record["body"]["change"] for record in watched.gate.records("gate.hold")] == ["placed"]
    assert deployer.ask("3")["decision"]["verdict"] == "deny"


def _plant(watched: WatchedGate, finding: Finding) -> None:
    with write_transaction(watched.gate.database) as connection:
        store.insert_finding(connection, finding.id, finding.difference, finding.response, EpochNs(1))


def _open_again(watched: WatchedGate, finding: Finding) -> None:
    with write_transaction(watched.gate.database) as connection:
        opened = update(finding_table).where(finding_table.c.id == finding.id)
        connection.execute(opened.values(is_open=1, closed_ns=None))


def test_a_row_alone_keeps_no_finding_quiet(tmp_path: Path, engine: WasmEngine, database_url: str) -> None:
    """A finding's row that the log does not know, or says is closed, counts for nothing: it is opened, and answered."""
    watched = watched_builtin(tmp_path, engine, database_url, {"tier": "*", "response": "freeze"})
    deployer = bring_live(watched)
    move_pointer(watched, "2", "1")
    watched.looking.look("builtin")
    (opened,) = watched.findings()
    for forge, finding in ((_open_again, opened), (_plant, replace(opened, id=str(UUID(int=7))))):
        watched.close()
        forge(watched, finding)
        watched.looking.look("builtin")

    (newest,) = watched.findings()
    assert _changes(watched) == ["opened", "closed", "opened", "closed", "opened"]
    assert newest.id not in {opened.id, str(UUID(int=7))}
    watched.looking.look("builtin")
    assert watched.findings() == (newest,)
    assert deployer.ask("3")["decision"]["verdict"] == "deny"


def test_a_finding_is_closed_once(tmp_path: Path, engine: WasmEngine, database_url: str) -> None:
    """One whose row was opened again past the log is not closed a second time."""
    watched = watched_builtin(tmp_path, engine, database_url)
    bring_live(watched)
    move_pointer(watched, "2", "1")
    watched.looking.look("builtin")
    (opened,) = watched.findings()
    watched.close()
    _open_again(watched, opened)
    again = watched.gate.call("POST", f"/v1/findings/{opened.id}:close", "lena", {"schema_version": 1, "reason": "x"})

    assert (again.status_code, again.json["code"]) == (409, "finding.closed")
    assert _changes(watched) == ["opened", "closed"]


def test_a_rollout_under_way_is_no_finding(tmp_path: Path, engine: WasmEngine, database_url: str) -> None:
    """While a version is being carried out, its pointer may stand there or at the one before; a third is a finding."""
    watched = watched_builtin(tmp_path, engine, database_url)
    deployer = bring_live(watched)
    promotion_id = deployer.allow("2")
    deployer.execute(promotion_id)

    watched.looking.look("builtin")
    move_pointer(watched, "2", "1")
    watched.looking.look("builtin")
    assert watched.kinds() == []
    move_pointer(watched, "3", "2")
    watched.looking.look("builtin")
    assert watched.kinds() == ["alias_moved_out_of_band"]


def test_what_a_rollback_takes_the_place_of_is_no_finding(
    tmp_path: Path, engine: WasmEngine, database_url: str
) -> None:
    """Until the pointer was moved back it stands at the version that was being carried out; a later rollout cannot."""
    watched = watched_builtin(tmp_path, engine, database_url)
    deployer = bring_live(watched)
    deployer.execute(deployer.allow("2"))
    move_pointer(watched, "2", "1")
    rollback = deployer.roll_back()
    deployer.execute(rollback)

    watched.looking.look("builtin")
    assert watched.kinds() == []
    deployer.observe("1")
    watched.looking.look("builtin")
    assert watched.kinds() == ["alias_moved_out_of_band"]


def test_what_still_stands_opens_again_after_it_was_closed(
    tmp_path: Path, engine: WasmEngine, database_url: str
) -> None:
    """Closing is no way to make a difference good: the next look finds it again, under another id."""
    watched = watched_builtin(tmp_path, engine, database_url)
    bring_live(watched)
    move_pointer(watched, "2", "1")
    watched.looking.look("builtin")
    (before,) = watched.findings()
    watched.close()
    watched.looking.look("builtin")

    (after,) = watched.findings()
    assert after.id != before.id
    again = watched.gate.call(
        "POST", f"/v1/findings/{before.id}:close", "lena", {"schema_version": 1, "reason": "again"}
    )
    assert (again.status_code, again.json["code"]) == (409, "finding.closed")
    assert _changes(watched) == ["opened", "closed", "opened"]


def test_another_thing_found_is_one_finding_that_changed(tmp_path: Path, engine: WasmEngine, database_url: str) -> None:
    """A pointer that is moved on is the same open finding, with a record of what it is now."""
    watched = watched_builtin(tmp_path, engine, database_url)
    bring_live(watched)
    move_pointer(watched, "2", "1")
    watched.looking.look("builtin")
    move_pointer(watched, "3", "2")
    watched.looking.look("builtin")

    (finding,) = watched.findings()
    assert finding.difference.found_version == "3"
    assert _changes(watched) == ["opened", "changed"]


def test_what_runs_without_a_promotion_is_found(tmp_path: Path, engine: WasmEngine, database_url: str) -> None:
    """A digest that was seen to run and that nobody let in is unknown in production."""
    watched = watched_builtin(tmp_path, engine, database_url)
    deployer = bring_live(watched)
    deployer.observe("3")
    watched.looking.look("builtin")

    (finding,) = watched.findings()
    assert finding.difference.kind is FindingKind.UNKNOWN_IN_PRODUCTION
    assert finding.difference.found_digest == str(digest_of("3"))


def test_a_restore_that_fails_is_recorded(
    tmp_path: Path, engine: WasmEngine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever comes of moving a pointer back is in the log, by its code, and nobody tries a second time."""
    watched = watched_builtin(tmp_path, engine, database_url, {"tier": "high", "response": "restore"})
    bring_live(watched)
    move_pointer(watched, "2", "1")

    def refuse(*_: Any, **__: Any) -> None:
        raise PointerMovedError("somebody was faster")

    monkeypatch.setattr(watched.gate.services.registries["builtin"], "move_pointer", refuse)
    watched.looking.look("builtin")
    watched.looking.look("builtin")

    bodies = [record["body"] for record in watched.gate.records("gate.finding")]
    assert [body["change"] for body in bodies] == ["opened", "answered"]
    assert bodies[1]["outcome"] == "registry.pointer_moved"


def _rewrite(watched: WatchedGate, **values: Any) -> None:
    with write_transaction(watched.gate.database) as connection:
        connection.execute(update(live_interval).where(live_interval.c.is_live == 1).values(**values))


@pytest.mark.parametrize(
    "changed", [{"version": "3"}, {"digest": str(digest_of("3"))}, {"promotion_id": str(UUID(int=1))}]
)
def test_a_row_moves_no_pointer(tmp_path: Path, engine: WasmEngine, database_url: str, changed: dict[str, str]) -> None:
    """Whoever writes over what is live, in the table, gets an alarm: no permit, and no pointer moved."""
    watched = watched_builtin(tmp_path, engine, database_url, {"tier": "high", "response": "restore"})
    bring_live(watched)
    _rewrite(watched, **changed)
    move_pointer(watched, "2", "1")
    watched.looking.look("builtin")

    (opened,) = watched.gate.records("gate.finding")
    assert (opened["body"]["response"], opened["body"]["permit_id"]) == ("alert", "")
    assert pointer_stands(watched) == "2"


def test_a_row_moves_no_pointer_of_another_model(tmp_path: Path, engine: WasmEngine, database_url: str) -> None:
    """Whoever writes over what a model is called in its registry gets an alarm: that model's pointer stays."""
    watched = watched_builtin(tmp_path, engine, database_url, {"tier": "high", "response": "restore"})
    bring_live(watched)
    move_pointer(watched, "2", "1")
    with write_transaction(watched.gate.database) as connection:
        connection.execute(update(model).values(registry_model="another"))
    watched.looking.look("builtin")

    (finding,) = watched.findings()
    assert (finding.difference.registry_model, finding.response) == ("another", "alert")
    assert pointer_stands(watched, "another") == "2"


def test_an_older_row_moves_no_pointer(tmp_path: Path, engine: WasmEngine, database_url: str) -> None:
    """A row that was true once does not bring back what something else was let in after."""
    watched = watched_builtin(tmp_path, engine, database_url, {"tier": "high", "response": "restore"})
    deployer = bring_live(watched)
    with read_transaction(watched.gate.database) as connection:
        older = connection.execute(select(live_interval)).mappings().one()
    deployer.deploy("2")
    _rewrite(watched, **{name: older[name] for name in ("version", "digest", "promotion_id", "record_id")})
    move_pointer(watched, "2", "1")
    watched.looking.look("builtin")

    (finding,) = watched.findings()
    assert (finding.difference.wanted_version, finding.response) == ("1", "alert")
    assert pointer_stands(watched) == "2"


def test_a_pointer_is_moved_back_to_what_the_log_names(
    tmp_path: Path, engine: WasmEngine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was let in last comes back, out of band or not; other environments are passed over, so many and no more."""
    watched = watched_builtin(tmp_path, engine, database_url, {"tier": "high", "response": "restore"})
    deployer = bring_live(watched)
    deployer.deploy("2")
    deployer.execute(deployer.allow("1", **{"from": "dev", "to": "staging"}))
    deployer.observe("1", environment="staging")
    deployer.observe("3")
    move_pointer(watched, None, "1")
    monkeypatch.setattr(confirmations, "_PAGE", 1)
    watched.looking.look("builtin")

    unknown, vanished = watched.findings()
    assert (unknown.response, vanished.response) == ("alert", "restore")
    assert pointer_stands(watched) == "2"
    monkeypatch.setattr(confirmations, "RECORDS_MAX", 1)
    assert not let_in.was_let_in(watched.gate.services.logs, vanished.difference)


def test_silence_is_no_finding(tmp_path: Path, engine: WasmEngine, database_url: str) -> None:
    """A registry that does not answer opens nothing and ends nothing."""
    watched = watched_gate(tmp_path, engine, "http://127.0.0.1:9", database_url=database_url, timeout_s=1)
    register_model(watched.gate, registry="theirs", registry_model="theirs")
    watched.deploy(MODEL, "1", digest_of("1"))

    assert not watched.looking.look("theirs")
    watched.hashing.run()
    assert watched.kinds() == []


@pytest.mark.parametrize("limit", ["OPENED_MAX", "SUSPECTS_MAX"])
def test_a_storm_is_taken_down_look_by_look(
    tmp_path: Path, engine: WasmEngine, database_url: str, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """Where more differs than one look takes, it says that it is not done, and the next one goes on."""
    watched = watched_builtin(tmp_path, engine, database_url)
    registry = watched.gate.services.registries["builtin"]
    for name in ("other", "third"):
        register_model(watched.gate, name)
        register_version(watched.gate, name, version="1")
        registry.move_pointer(name, "champion", "1", expected=None, permit="")
    monkeypatch.setattr(reconciler, limit, 1)

    assert not watched.looking.look("builtin")
    assert watched.kinds() == ["unknown_in_production"]
    watched.looking.look("builtin")
    assert watched.kinds() == ["unknown_in_production"] * 2


def test_metrics_say_what_is_open_and_when_was_looked(tmp_path: Path, engine: WasmEngine, database_url: str) -> None:
    """Open findings by kind and answer, and the age of each registry's last look, which no failed look makes young."""
    watched = watched_builtin(tmp_path, engine, database_url, {"tier": "*", "response": "observe"})
    bring_live(watched)
    move_pointer(watched, "2", "1")
    before = scrape(watched.gate)
    watched.looking.look("builtin")
    watched.gate.clock.advance(90 * NS_PER_S)
    after = scrape(replace(watched.gate, client=create_app(watched.gate.services).test_client()))

    assert "lockgate_reconcile_age_seconds{" not in before.text
    assert 'lockgate_reconcile_age_seconds{registry="builtin"} 90.0' in after.text
    assert 'lockgate_findings{kind="alias_moved_out_of_band",response="observe"} 1.0' in after.text
