"""What a rollback moves away from: told with its hold, so that nothing of it is taken for good again."""

from sqlalchemy import Engine

from lockgate.clock import NS_PER_US, EpochNs
from lockgate.gate_logs import Logs
from lockgate.lifecycle import live_store
from lockgate.lifecycle.confirmations import last_confirmation
from lockgate.promotion.left_versions import LeftVersion
from lockgate.promotion.types import Promotion
from lockgate.storage import read_transaction


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
        confirmed = last_confirmation(logs, model, environment, until=until)
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
