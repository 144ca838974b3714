"""What a rollback moves away from: told with its hold, so that nothing of it is taken for good again."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Engine

from lockgate.audit import AuditLog
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import parse_canonical
from lockgate.clock import NS_PER_US, EpochNs
from lockgate.config import MAIN_LOG
from lockgate.gate_logs import Logs
from lockgate.lifecycle import live_store
from lockgate.promotion.kinds import CONFIRMATION
from lockgate.promotion.left_versions import LeftVersion
from lockgate.promotion.types import Promotion
from lockgate.storage import read_transaction

_PAGE: Final = 16  # records looked at together: more than the environments of most models
RECORDS_MAX: Final = 1024  # looked back at: of a model with as many confirmations elsewhere since, the tables say it


def find_leaving(database: Engine, logs: Logs, rollback: Promotion, moved: Promotion | None) -> tuple[LeftVersion, ...]:
    """Return what a rollback that gets its permit now moves away from, each digest once; never its own.

    The steps:
      (1) What promotions brought last, when it was asked for and by now, as the log says: whatever was seen since, to
          see a stranger makes nothing good.
      (2) What was live when it was asked for, and what is now.
      (3) What another rollout was bringing at this moment.

    Args:
        database: Where intervals are kept.
        logs: The gate's.
        rollback: A rollback.
        moved: The promotion whose rollout gives way, if its pointer was moved already.

    Raises:
        StorageError: The database cannot be read.
    """
    model, environment = rollback.request.model, rollback.request.transition.to_environment
    found: list[LeftVersion] = []
    # (1) What was let in last.
    for until in (EpochNs(rollback.created + NS_PER_US), None):
        confirmed = _last_confirmed(logs, model, environment, until)
        if confirmed is not None:
            found.append(_left(confirmed["version"], confirmed["digest"], confirmed["promotion_id"]))
    # (2) What was live.
    with read_transaction(database) as connection:
        intervals = (
            live_store.read_at(connection, model, environment, rollback.created),
            live_store.read_open(connection, model, environment),
        )
    found += [_left(live.version, live.digest, live.promotion_id) for live in intervals if live is not None]
    # (3) What was about to be.
    if moved is not None:
        found.append(_left(moved.request.version, str(moved.request.digest), moved.id))
    return tuple(
        {left.digest: left for left in reversed(found) if left.digest != str(rollback.request.digest)}.values()
    )


def _left(version: str, digest: str, promotion_id: str) -> LeftVersion:
    return LeftVersion(version=version, digest=digest, promotion_id=promotion_id)


def _last_confirmed(logs: Logs, model: str, environment: str, until: EpochNs | None) -> Mapping[str, Any] | None:
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
