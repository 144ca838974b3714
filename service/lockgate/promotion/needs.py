"""What open promotions still need of the audit log: whoever prunes it asks, in the same transaction."""

from sqlalchemy import Connection, select

from lockgate.audit.keeping.pruning import Needs
from lockgate.clock import EpochNs
from lockgate.digests import Sha256Hex
from lockgate.promotion.parsing import lineage_from_row, request_from_row
from lockgate.promotion.states import EXPIRING
from lockgate.promotion.types import PromotionState
from lockgate.storage.tables import approval, idempotency, promotion, rollout


def open_needs(connection: Connection, now: EpochNs, log: str) -> Needs:
    """Return the records and attachments of a log without which a promotion that can still be decided could not be.

    That is: its newest decision, its approvals, the answer to its idempotency key, its newest permit, its bundles and
    its lineage. What is closed needs nothing: asked for later, its decision is in the archive.

    Args:
        connection: In the transaction that prunes.
        now: Whatever may still be decided, and has not run out by then, is open; what is being carried out is, anyway.
        log: The name of the log that is pruned.
    """
    waits = promotion.c.state.in_([state.value for state in EXPIRING]) & (promotion.c.expires_ns > now)
    runs = promotion.c.state == PromotionState.EXECUTING.value
    is_open = (waits | runs) & (promotion.c.log == log)
    records: set[str] = set()
    bundles: set[Sha256Hex] = set()
    for row in connection.execute(select(promotion.c.decision_id, promotion.c.request).where(is_open)):
        records.add(row.decision_id)
        bundles.update(item.bundle_sha256 for item in request_from_row(row.request).evidence)
        lineage = lineage_from_row(row.request)
        if lineage:
            bundles.add(lineage)
    opened = select(promotion.c.id).where(is_open)
    records.update(connection.scalars(select(approval.c.id).where(approval.c.promotion_id.in_(opened))))
    records.update(connection.scalars(select(idempotency.c.decision_id).where(idempotency.c.promotion_id.in_(opened))))
    records.update(connection.scalars(select(rollout.c.permit_id).where(rollout.c.promotion_id.in_(opened))))
    return Needs(
        records=tuple(sorted(records)),
        attachments=tuple(sorted(bundles)),
        needed_by="a promotion that is still open, which 'lockgate audit show' names: decide or withdraw it first",
    )
