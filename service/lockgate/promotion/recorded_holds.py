"""What the log says of holds. Who can write the table cannot write the log: a hold ends by a record, not by a row."""

from collections.abc import Mapping
from typing import Any, Final

from lockgate.audit import AuditLog
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import parse_canonical
from lockgate.config import MAIN_LOG
from lockgate.gate_logs import Logs
from lockgate.promotion.kinds import HOLD

_PAGE: Final = 16  # records looked at together: more than the environments of most models


def find_recorded(logs: Logs, model: str, environment: str) -> Mapping[str, Any] | None:
    """Return the body of the record that placed the hold in force; None where, by the logs' word, there is none.

    Of a pruned log only what is left is looked at.

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
    while page := log.find(wanted, after=after, limit=_PAGE, newest_first=True):
        for record in page:
            body: Mapping[str, Any] = parse_canonical(record.body)["body"]
            if body["environment"] == environment:
                return body
        after = page[-1].seq
    return None
