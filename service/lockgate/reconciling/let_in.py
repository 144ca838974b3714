"""What the log says was let in last. Who can write the table cannot write the log: nothing moves on a row's word."""

from lockgate.gate_logs import Logs
from lockgate.lifecycle import last_confirmation
from lockgate.reconciling.types import Difference


def was_let_in(logs: Logs, difference: Difference) -> bool:
    """Tell whether, by the log's word, what is wanted is what was let in last: version, digest, promotion.

    Raises:
        StorageError: The database cannot be read.
    """
    newest = last_confirmation(logs, difference.model, difference.environment)
    wanted = (difference.wanted_version, difference.wanted_digest, difference.promotion_id)
    return newest is not None and wanted == (newest["version"], newest["digest"], newest["promotion_id"])
