"""What the gate wants of the models of a registry: read from live intervals and rollouts under way."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, select

from lockgate.lifecycle import ROLLED_BACK, list_let_in, list_live
from lockgate.lifecycle.intervals import LiveInterval
from lockgate.reconciling.types import Known, Wanted
from lockgate.registry import BUILTIN
from lockgate.storage.tables import model as model_table
from lockgate.storage.tables import promotion as promotion_table
from lockgate.storage.tables import rollout as rollout_table

_Place = tuple[str, str]  # model, environment
_NOBODY: Final = ""


def read_known(connection: Connection, registry: str) -> dict[str, Known]:
    """Return the models of a registry that the gate knows, by their names there.

    A model that nobody registered counts to the built-in registry, as for permits.

    Args:
        connection: Of the caller's transaction.
        registry: Its name in the settings.
    """
    columns = model_table.c
    rows = connection.execute(select(columns.name, columns.registry, columns.registry_model)).all()
    names = {row.name: row.registry_model for row in rows if row.registry == registry}
    others = {row.name for row in rows if row.registry != registry}
    wanted = read_wanted(connection)
    if registry == BUILTIN:
        names |= {model: model for model, _ in wanted if model not in names and model not in others}
    by_model: dict[str, dict[str, Wanted]] = {}
    for (model, environment), each in wanted.items():
        by_model.setdefault(model, {})[environment] = each
    return {
        theirs: Known(model=name, registry_model=theirs, environments=by_model.get(name, {}))
        for name, theirs in names.items()
    }


def read_wanted(connection: Connection) -> dict[_Place, Wanted]:
    """Return what the gate wants, by model and environment."""
    live = {(one.model, one.environment): one for one in list_live(connection)}
    let_in = {place: _let_in(connection, one) for place, one in live.items()}
    carried = _carried(connection)
    return {
        place: _wanted(live.get(place), let_in.get(place), carried.get(place, frozenset()))
        for place in live.keys() | carried.keys()
    }


def _let_in(connection: Connection, live: LiveInterval) -> LiveInterval | None:
    if live.promotion_id != _NOBODY:
        return live
    return next(iter(list_let_in(connection, live.model, live.environment, limit=1)), None)


def _wanted(live: LiveInterval | None, let_in: LiveInterval | None, carried: frozenset[str]) -> Wanted:
    observed = live if live is not None and live.promotion_id == _NOBODY else None
    if let_in is None:
        return Wanted(allowed=carried, observed=observed)
    return Wanted(
        version=let_in.version,
        digest=let_in.digest,
        promotion_id=let_in.promotion_id,
        allowed=carried | {let_in.version},
        observed=observed,
    )


def _carried(connection: Connection) -> Mapping[_Place, frozenset[str]]:
    """Return the versions that rollouts under way may have put there, or find there."""
    columns, of = rollout_table.c, promotion_table.c
    statement = select(columns.model, columns.environment, of.version, of.kind).join_from(
        rollout_table, promotion_table, columns.promotion_id == of.id
    )
    under_way = connection.execute(statement.where(columns.under_way == 1)).mappings().all()
    carried: dict[_Place, frozenset[str]] = {}
    for row in under_way:
        model, environment = row["model"], row["environment"]
        versions = {row["version"]}
        if row["kind"] == "rollback":
            # Where it took the place of a rollout, the pointer stands at that one's version until it is moved.
            there = (columns.model == model, columns.environment == environment, columns.code == ROLLED_BACK)
            rivals = statement.where(*there).order_by(of.number.desc()).limit(1)
            versions |= {rival["version"] for rival in connection.execute(rivals).mappings()}
        carried[model, environment] = frozenset(versions)
    return carried
