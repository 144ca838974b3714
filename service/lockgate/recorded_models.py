"""What the main log says of models. Whoever can write the tables cannot write the log, so no row alone is believed."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine

from lockgate.audit import AuditLog, LogInconsistentError
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import parse_canonical
from lockgate.registry import store
from lockgate.registry.metadata import MODEL_KIND, Model
from lockgate.storage import read_transaction


def find_model(database: Engine, log: AuditLog, name: str) -> Model | None:
    """Return a model that is registered, in the registry and by the name there that the log has; None: nobody did.

    Args:
        database: Where models are kept.
        log: The main one.
        name: As promotions name it.

    Raises:
        LogInconsistentError: As `check_model`.
        StorageError: The database cannot be read.
    """
    recorded = recorded_model(log, name)
    with read_transaction(database) as connection:
        model = store.read_model(connection, name)
    if recorded is None and model is not None:
        recorded = recorded_model(log, name)  # it may have been registered between the two looks
    check_model(name, model, recorded)
    return model


def recorded_model(log: AuditLog, name: str) -> Mapping[str, Any] | None:
    """Return the body of the newest record of a model; None where there is none, or none any more.

    Raises:
        StorageError: The database cannot be read.
    """
    newest = log.find(RecordFilter(kind=MODEL_KIND, subject=f"model:{name}"), limit=1, newest_first=True)
    body: Mapping[str, Any] | None = parse_canonical(newest[0].body)["body"] if newest else None
    return body


def check_model(name: str, model: Model | None, recorded: Mapping[str, Any] | None) -> None:
    """Make sure that a model's row is there if and only if the log says so, with what never changes of a model.

    Of a pruned log the record may be gone; then the row is not believed either, until the model is updated.

    Args:
        name: As promotions name it.
        model: As its row has it; None: there is none.
        recorded: `recorded_model`.

    Raises:
        LogInconsistentError: It is not so.
    """
    row = None if model is None else (model.name, model.registry, model.registry_model)
    if recorded is None and model is not None:
        raise LogInconsistentError(f"want a record of the model {name} in the log; if it was pruned, update the model")
    if recorded is not None and row != (name, recorded["registry"], recorded["registry_model"]):
        raise LogInconsistentError(f"want the model {name} in the registry and by the name there that the log has")


def is_pruned(log: AuditLog) -> bool:
    """Tell whether records of a log may be missing because they were pruned.

    Raises:
        StorageError: The database cannot be read.
    """
    oldest = log.records(limit=1)
    return bool(oldest) and oldest[0].seq > 0
