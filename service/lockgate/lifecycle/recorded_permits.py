"""What the log says of the permit of a rollout. Who can write the table cannot write the log."""

from dataclasses import dataclass

from lockgate.audit import AuditLog, LogInconsistentError, RecordPrunedError, RecordUnknownError
from lockgate.canonical_json import parse_canonical
from lockgate.clock import EpochNs, parse_timestamp
from lockgate.lifecycle.types import Pointer
from lockgate.promotion import change_ids
from lockgate.promotion.kinds import PERMIT
from lockgate.promotion.types import Promotion


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPermit:
    """What a permit was for, and until when it holds."""

    pointer: Pointer
    expires: EpochNs


def find_permit(log: AuditLog, promotion: Promotion, permit_id: str) -> RecordedPermit:
    """Return the permit of a permitted promotion.

    Args:
        log: The promotion's.
        promotion: Permitted, and as the log has it (`check_row`).
        permit_id: As the rollout's row has it.

    Raises:
        LogInconsistentError: It is not the one that was given with the promotion's newest decision.
        StorageError: The database cannot be read.
    """
    wanted = f"want the newest permit of promotion {promotion.id} in its rollout, got another"
    if permit_id != change_ids.permit_id(promotion.id, promotion.row_version):
        raise LogInconsistentError(wanted)
    try:
        record = parse_canonical(log.record_by_id(permit_id).body)
    except (RecordUnknownError, RecordPrunedError) as exc:  # what is under way needs it, so it was not pruned
        raise LogInconsistentError(wanted) from exc
    if record["kind"] != PERMIT:
        raise LogInconsistentError(wanted)
    body = record["body"]
    pointer = Pointer(registry=body["registry"], registry_model=body["registry_model"], alias=body["alias"])
    return RecordedPermit(pointer=pointer, expires=parse_timestamp(body["expires_at"]))
