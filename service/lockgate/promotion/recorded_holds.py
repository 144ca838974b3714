"""What the log says of holds. Who can write the table cannot write the log: a hold ends by a record, not by a row."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Engine

from lockgate.audit import AuditLog
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import canonicalize, parse_canonical
from lockgate.config import MAIN_LOG
from lockgate.gate_logs import Logs
from lockgate.promotion.hold_store import is_held
from lockgate.promotion.kinds import HOLD
from lockgate.storage import read_transaction

RECORDS_MAX: Final = 1_000  # of a model's other environments, looked through for the newest of one: some 10 ms
_PAGE: Final = 100
# What is behind more records than that nobody looks for: held, until somebody lifts it, which is then the newest.
_TOO_FAR_BACK: Final[Mapping[str, Any]] = {"change": "placed", "promotion_id": "", "changed_at": ""}


def is_in_force(database: Engine, logs: Logs, model: str, environment: str) -> bool:
    """Tell whether a hold on a model in an environment is in force: by the logs' word, or by the table's.

    Raises:
        StorageError: The database cannot be read.
    """
    if find_recorded(logs, model, environment) is not None:
        return True
    with read_transaction(database) as connection:
        return is_held(connection, model, environment)


def find_recorded(logs: Logs, model: str, environment: str) -> Mapping[str, Any] | None:
    """Return the body of the record that placed the hold in force; None where, by the logs' word, there is none.

    Of a pruned log only what is left is looked at. Where the newest is behind `RECORDS_MAX` others, it counts as held.

    Raises:
        StorageError: The database cannot be read.
    """
    newest: Mapping[str, Any] | None = None
    # Both: the rollback may be of before the environment had a log of its own.
    for name in {MAIN_LOG, logs.name_for(environment)}:
        body = _newest_in(logs.named(name), model, environment)
        if body is not None and (newest is None or body["changed_at"] > newest["changed_at"]):
            newest = body
    return newest if newest is not None and newest["change"] == "placed" else None


def _newest_in(log: AuditLog, model: str, environment: str) -> Mapping[str, Any] | None:
    wanted = RecordFilter(kind=HOLD, subject=f"model:{model}")
    after: int | None = None
    here = b'"environment":' + canonicalize(environment)
    for _ in range(RECORDS_MAX // _PAGE):
        page = log.find(wanted, after=after, limit=_PAGE, newest_first=True)
        for record in page:
            if here not in record.body:  # its bytes are canonical: cheaper than to read it
                continue
            body: Mapping[str, Any] = parse_canonical(record.body)["body"]
            if body["environment"] == environment:
                return body
        if len(page) < _PAGE:
            return None
        after = page[-1].seq
    return _TOO_FAR_BACK
