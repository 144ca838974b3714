"""What answers a finding, and what makes none: over the built-in registry, whose pointers are moved past the gate."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from lockgate.clock import NS_PER_S
from lockgate.policy.wasm import WasmEngine
from lockgate.reconciling import reconciler
from lockgate.reconciling.types import FindingKind
from lockgate.registry import PointerMovedError
from lockgate.storage import write_transaction
from lockgate.storage.tables import hold
from lockgate.web.app import create_app
from support.expositions import scrape
from support.gates import make_gate
from support.models import register_model, register_version
from support.reconcilers import WatchedGate, watch, watched_gate
from support.rollouts import Deployer, digest_of

MODEL = "fraud-detector"
WEBHOOK_SECRET = "a secret of some length for webhooks"


def _watched(folder: Path, engine: WasmEngine, *responses: dict[str, Any]) -> WatchedGate:
    aliases = [{"environment": "production", "alias": "champion"}]
    table = {"name": "builtin", "type": "builtin", "aliases": aliases, "responses": list(responses)}
    watched = watch(make_gate(folder, engine, registries=[table]))
    register_model(watched.gate)
    for version in ("1", "2", "3"):
        register_version(watched.gate, version=version, digest=str(digest_of(version)))
    return watched


def _move(watched: WatchedGate, version: str | None, expected: str | None) -> None:
    registry = watched.gate.services.registries["builtin"]
    registry.move_pointer(MODEL, "champion", version, expected=expected, permit="")


def _live(watched: WatchedGate) -> Deployer:
    deployer = Deployer(gate=watched.gate)
    deployer.deploy("1")
    _move(watched, "1", None)
    return deployer


def _changes(watched: WatchedGate) -> list[str]:
    return [record["body"]["change"] for record in watched.gate.records("gate.finding")]


def test_a_frozen_model_is_not_promoted_until_a_person_lifts_the_hold(tmp_path: Path, engine: WasmEngine) -> None:
    """A finding that freezes places a hold, in the finding's transaction; LG-041 denies; closing lifts nothing."""
    watched = _watched(tmp_path, engine, {"tier": "high", "response": "freeze"})
    deployer = _live(watched)
    _move(watched, "2", "1")
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


def test_a_hold_that_is_in_force_stays_the_one_that_it_is(tmp_path: Path, engine: WasmEngine) -> None:
    """A rollback's hold and a finding that freezes meet: there is one hold, and the finding opens all the same."""
    watched = _watched(tmp_path, engine, {"tier": "*", "response": "freeze"})
    deployer = _live(watched)
    deployer.deploy("2")
    _move(watched, "2", "1")
    rollback = deployer.roll_back()
    deployer.execute(rollback)
    deployer.observe("1")

    watched.looking.look("builtin")
    assert watched.kinds() == ["alias_moved_out_of_band"]
    assert [record["body"]["promotion_id"] for record in watched.gate.records("gate.hold")] == [rollback]


def test_a_row_alone_keeps_no_hold_of_a_finding_from_the_log(tmp_path: Path, engine: WasmEngine) -> None:
    """Where a row is put there before a finding freezes, and taken away after, the finding's hold is in the log."""
    watched = _watched(tmp_path, engine, {"tier": "*", "response": "freeze"})
    deployer = _live(watched)
    planted = {"model": MODEL, "environment": "production", "promotion_id": "", "placed_ns": 1}
    with write_transaction(watched.gate.database) as connection:
        connection.execute(insert(hold).values(**planted))
    _move(watched, "2", "1")
    watched.looking.run()
    with write_transaction(watched.gate.database) as connection:
        connection.execute(update(hold).values(lifted_ns=2))

    assert [record["body"]["change"] for record in watched.gate.records("gate.hold")] == ["placed"]
    assert deployer.ask("3")["decision"]["verdict"] == "deny"


def test_a_rollout_under_way_is_no_finding(tmp_path: Path, engine: WasmEngine) -> None:
    """While a version is being carried out, its pointer may stand there or at the one before; a third is a finding."""
    watched = _watched(tmp_path, engine)
    deployer = _live(watched)
    promotion_id = deployer.allow("2")
    deployer.execute(promotion_id)

    watched.looking.look("builtin")
    _move(watched, "2", "1")
    watched.looking.look("builtin")
    assert watched.kinds() == []
    _move(watched, "3", "2")
    watched.looking.look("builtin")
    assert watched.kinds() == ["alias_moved_out_of_band"]


def test_what_still_stands_opens_again_after_it_was_closed(tmp_path: Path, engine: WasmEngine) -> None:
    """Closing is no way to make a difference good: the next look finds it again, under another id."""
    watched = _watched(tmp_path, engine)
    _live(watched)
    _move(watched, "2", "1")
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


def test_another_thing_found_is_one_finding_that_changed(tmp_path: Path, engine: WasmEngine) -> None:
    """A pointer that is moved on is the same open finding, with a record of what it is now."""
    watched = _watched(tmp_path, engine)
    _live(watched)
    _move(watched, "2", "1")
    watched.looking.look("builtin")
    _move(watched, "3", "2")
    watched.looking.look("builtin")

    (finding,) = watched.findings()
    assert finding.difference.found_version == "3"
    assert _changes(watched) == ["opened", "changed"]


def test_what_runs_without_a_promotion_is_found(tmp_path: Path, engine: WasmEngine) -> None:
    """A digest that was seen to run and that nobody let in is unknown in production."""
    watched = _watched(tmp_path, engine)
    deployer = _live(watched)
    deployer.observe("3")
    watched.looking.look("builtin")

    (finding,) = watched.findings()
    assert finding.difference.kind is FindingKind.UNKNOWN_IN_PRODUCTION
    assert finding.difference.found_digest == str(digest_of("3"))


def test_a_restore_that_fails_is_recorded(tmp_path: Path, engine: WasmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes of moving a pointer back is in the log, by its code, and nobody tries a second time."""
    watched = _watched(tmp_path, engine, {"tier": "high", "response": "restore"})
    _live(watched)
    _move(watched, "2", "1")

    def move_pointer(*_: Any, **__: Any) -> None:
        raise PointerMovedError("somebody was faster")

    monkeypatch.setattr(watched.gate.services.registries["builtin"], "move_pointer", move_pointer)
    watched.looking.look("builtin")
    watched.looking.look("builtin")

    bodies = [record["body"] for record in watched.gate.records("gate.finding")]
    assert [body["change"] for body in bodies] == ["opened", "answered"]
    assert bodies[1]["outcome"] == "registry.pointer_moved"


def test_silence_is_no_finding(tmp_path: Path, engine: WasmEngine) -> None:
    """A registry that does not answer opens nothing and ends nothing."""
    watched = watched_gate(tmp_path, engine, "http://127.0.0.1:9", timeout_s=1)
    register_model(watched.gate, registry="theirs", registry_model="theirs")
    watched.deploy(MODEL, "1", digest_of("1"))

    assert not watched.looking.look("theirs")
    watched.hashing.run()
    assert watched.kinds() == []


@pytest.mark.parametrize("limit", ["OPENED_MAX", "SUSPECTS_MAX"])
def test_a_storm_is_taken_down_look_by_look(
    tmp_path: Path, engine: WasmEngine, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """Where more differs than one look takes, it says that it is not done, and the next one goes on."""
    watched = _watched(tmp_path, engine)
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


def test_metrics_say_what_is_open_and_when_was_looked(tmp_path: Path, engine: WasmEngine) -> None:
    """Open findings by kind and answer, and the age of each registry's last look, which no failed look makes young."""
    watched = _watched(tmp_path, engine, {"tier": "*", "response": "observe"})
    _live(watched)
    _move(watched, "2", "1")
    before = scrape(watched.gate)
    watched.looking.look("builtin")
    watched.gate.clock.advance(90 * NS_PER_S)
    after = scrape(replace(watched.gate, client=create_app(watched.gate.services).test_client()))

    assert "lockgate_reconcile_age_seconds{" not in before.text
    assert 'lockgate_reconcile_age_seconds{registry="builtin"} 90.0' in after.text
    assert 'lockgate_findings{kind="alias_moved_out_of_band",response="observe"} 1.0' in after.text
