"""What was seen to run last, by the log's word. Who can write the tables cannot write the log."""

from collections.abc import Mapping
from typing import Any, Final

from lockgate.audit import AuditLog
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import parse_canonical
from lockgate.clock import EpochNs
from lockgate.config import MAIN_LOG
from lockgate.gate_logs import Logs
from lockgate.promotion.kinds import CONFIRMATION

RECORDS_MAX: Final = 1024  # looked at of a log: one model's confirmations into its other environments come between
_PAGE: Final = 16  # records looked at together: more than the environments of most models


def last_confirmation(
    logs: Logs, model: str, environment: str, *, until: EpochNs | None = None
) -> Mapping[str, Any] | None:
    """Return the body of the newest `gate.confirmation` of a model in an environment; None where there is none.

    None, too, where it is behind `RECORDS_MAX` others, or pruned.

    Args:
        logs: The gate's.
        model: The model.
        environment: Where it was seen.
        until: Before this time; None: up to now.

    Raises:
        StorageError: The database cannot be read.
    """
    # The environment's own log first: what it has is newer than what the main one has from before.
    names = dict.fromkeys((logs.name_for(environment), MAIN_LOG))
    found = (_last_in(logs.named(name), model, environment, until) for name in names)
    return next((body for body in found if body is not None), None)


def _last_in(log: AuditLog, model: str, environment: str, until: EpochNs | None) -> Mapping[str, Any] | None:
    wanted = RecordFilter(kind=CONFIRMATION, subject=f"model:{model}", until=until)
    after: int | None = None
    for _ in range(RECORDS_MAX // _PAGE):
        page = log.find(wanted, after=after, limit=_PAGE, newest_first=True)
        for record in page:
            body: Mapping[str, Any] = parse_canonical(record.body)["body"]
            if body["environment"] == environment:
                return body
        if len(page) < _PAGE:
            return None
        after = page[-1].seq
    return None
