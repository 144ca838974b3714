"""When a look is whole, and when it comes: registries that never end, hints that never stop."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from lockgate.clock import NS_PER_S
from lockgate.policy.wasm import WasmEngine
from lockgate.reconciling import reconciler, store
from lockgate.reconciling.reconciler import ReconcileJob, hint_source
from lockgate.registry.types import ModelPage
from lockgate.storage import write_transaction
from support.models import register_model, register_version
from support.reconcilers import WatchedGate, bring_live, move_pointer, watched_builtin

LAST = "other"  # after the watched model in the order of names


@pytest.fixture
def watched(tmp_path: Path, engine: WasmEngine, database_url: str) -> WatchedGate:
    """A gate over the built-in registry."""
    return watched_builtin(tmp_path, engine, database_url)


def _never_ends(cursors: Callable[[], str]) -> Callable[..., ModelPage]:
    def list_models(*, cursor: str, limit: int) -> ModelPage:
        del cursor, limit
        return ModelPage(items=(), next_cursor=cursors())

    return list_models


@pytest.mark.parametrize("cursors", [itertools.cycle("ab"), (str(number) for number in itertools.count(1))])
def test_a_registry_that_never_ends_is_left(
    watched: WatchedGate, monkeypatch: pytest.MonkeyPatch, cursors: "itertools.cycle[str]"
) -> None:
    """Pages in a circle, or always another one: the look ends, makes no finding and ends none."""
    bring_live(watched)
    move_pointer(watched, "2", "1")
    watched.looking.look("builtin")
    before = watched.gate.services.findings.looked_at()
    registry = watched.gate.services.registries["builtin"]
    monkeypatch.setattr(registry, "list_models", _never_ends(lambda: next(cursors)))
    watched.gate.clock.advance(NS_PER_S)

    assert not watched.looking.look("builtin")
    assert [finding.standing for finding in watched.findings()] == [True]
    assert watched.gate.services.findings.looked_at() == before


def test_a_registry_that_takes_too_long_is_left(watched: WatchedGate, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look has its time: the job goes on with the other registries."""
    bring_live(watched)
    move_pointer(watched, "2", "1")
    monkeypatch.setattr(reconciler, "LOOK_S_MAX", -1)

    assert not watched.looking.look("builtin")
    assert watched.kinds() == []


def test_a_look_that_was_cut_off_ends_nothing(watched: WatchedGate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a model that was not shown nothing can be said: its finding stands, and the look does not count as one."""
    register_model(watched.gate, LAST)
    register_version(watched.gate, LAST, version="1")
    watched.gate.services.registries["builtin"].move_pointer(LAST, "champion", "1", expected=None, permit="")
    assert watched.looking.look("builtin")
    before = watched.gate.services.findings.looked_at()
    watched.gate.clock.advance(NS_PER_S)
    monkeypatch.setattr(reconciler, "PAGE_MODELS", 1)
    monkeypatch.setattr(reconciler, "MODELS_MAX", 0)

    assert not watched.looking.look("builtin")
    assert [(finding.difference.model, finding.standing) for finding in watched.findings()] == [(LAST, True)]
    assert watched.gate.services.findings.looked_at() == before


def test_what_is_so_no_longer_is_recorded(watched: WatchedGate, monkeypatch: pytest.MonkeyPatch) -> None:
    """That what was found ended is a record, and so is that it is so again; so many of them in one look."""
    bring_live(watched)
    move_pointer(watched, "2", "1")
    watched.looking.look("builtin")
    move_pointer(watched, "1", "2")
    monkeypatch.setattr(reconciler, "ENDED_MAX", 0)
    assert not watched.looking.look("builtin")
    assert [finding.standing for finding in watched.findings()] == [True]
    monkeypatch.undo()
    assert watched.looking.look("builtin")
    assert [finding.standing for finding in watched.findings()] == [False]
    assert watched.looking.look("builtin")
    move_pointer(watched, "2", "1")
    watched.looking.look("builtin")

    changes = [record["body"]["change"] for record in watched.gate.records("gate.finding")]
    assert changes == ["opened", "ended", "changed"]


def test_hints_make_no_look_upon_look(watched: WatchedGate, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a look a hint waits for a while; that a hint is forgotten is none."""
    looks: list[str] = []
    monkeypatch.setattr(ReconcileJob, "look", lambda _, name: looks.append(name))

    def hint(number: int) -> None:
        watched.gate.clock.advance(NS_PER_S)
        with write_transaction(watched.gate.database) as connection:
            store.add_mark(connection, hint_source("builtin"), str(number), watched.gate.clock.now_ns())

    hint(1)
    watched.looking.run()
    hint(2)
    watched.looking.run()
    assert looks == ["builtin"]
    watched.looking._turns["builtin"].rested_s = 0  # as after ten seconds
    watched.looking.run()
    assert looks == ["builtin"] * 2
    with write_transaction(watched.gate.database) as connection:
        store.forget_marks(connection, hint_source("builtin"), ids=["2"])
    watched.looking._turns["builtin"].rested_s = 0
    watched.looking.run()
    assert looks == ["builtin"] * 2
