"""What the log says was let in last. Who can write the table cannot write the log: nothing moves on a row's word."""

from collections.abc import Mapping
from typing import Any, Final

from lockgate.audit import AuditLog
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import parse_canonical
from lockgate.config import MAIN_LOG
from lockgate.gate_logs import Logs
from lockgate.promotion.kinds import CONFIRMATION
from lockgate.reconciling.types import Difference

RECORDS_MAX: Final = 1000  # looked at of a log: one model's confirmations into its other environments come between
_PAGE: Final = 50


def was_let_in(logs: Logs, difference: Difference) -> bool:
    """Tell whether, by the log's word, what is wanted is what was let in last: version, digest, promotion.

    Raises:
        AuditError: A record that is needed is missing.
        StorageError: The database cannot be read.
    """
    newest: Mapping[str, Any] | None = None
    # Both: the promotion may be of before the environment had a log of its own.
    for name in {MAIN_LOG, logs.name_for(difference.environment)}:
        body = _newest_in(logs.named(name), difference.model, difference.environment)
        if body is not None and (newest is None or body["live_from"] > newest["live_from"]):
            newest = body
    wanted = (difference.wanted_version, difference.wanted_digest, difference.promotion_id)
    return newest is not None and wanted == (newest["version"], newest["digest"], newest["promotion_id"])


def _newest_in(log: AuditLog, model: str, environment: str) -> Mapping[str, Any] | None:
    wanted = RecordFilter(kind=CONFIRMATION, subject=f"model:{model}")
    after: int | None = None
    for _ in range(RECORDS_MAX // _PAGE):
        page = log.find(wanted, after=after, limit=_PAGE, newest_first=True)
        for record in page:
            body: Mapping[str, Any] = parse_canonical(record.body)["body"]
            if body["environment"] == environment:
                return body
        if len(page) < _PAGE:
            break
        after = page[-1].seq
    return None
