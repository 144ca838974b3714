"""From rows to promotions, and whether the log confirms them: whoever can write the table cannot write the log."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping

from lockgate.audit import LogInconsistentError
from lockgate.clock import EpochNs, is_expired
from lockgate.gate_logs import LogNotConfiguredError, Logs
from lockgate.promotion import store
from lockgate.promotion.errors import PromotionUnknownError
from lockgate.promotion.log_words import check_row
from lockgate.promotion.parsing import lineage_from_row, request_from_row
from lockgate.promotion.states import EXPIRING
from lockgate.promotion.types import Promotion, PromotionState
from lockgate.storage import MovedError, read_transaction


def check_recorded(database: Engine, logs: Logs, promotion: Promotion) -> Mapping[str, Any]:
    """Make sure that a promotion, as it was read, is as the log has it; return its newest decision's document.

    Raises:
        LogNotConfiguredError: The log that holds its records is not one of this gate.
        LogInconsistentError: It is not.
        MovedError: Somebody moved it between reading it and looking into the log.
        StorageError: The database cannot be read.
    """
    try:
        return check_row(logs.named(promotion.log), promotion)
    except LogInconsistentError:
        with read_transaction(database) as connection:
            now = read_row(connection, promotion.id)
        if now["row_version"] != promotion.row_version:
            raise MovedError from None
        raise


def find_recorded_row(database: Engine, logs: Logs, row: RowMapping) -> Promotion | None:
    """Return the promotion of a row that is one among others, if the log confirms it as it stands; else None.

    What is done to several at once is done to those that are so, and stopped by none that is not: one that was forged,
    is of a log that is not configured any more, or was moved just now.

    Raises:
        AuditError: A log cannot be read.
        StorageError: The database cannot be read.
    """
    try:
        promotion = promotion_from_row(row, row["created_ns"])  # as it was stored, whatever ran out since
        check_recorded(database, logs, promotion)
    except (LogInconsistentError, LogNotConfiguredError, MovedError):
        return None
    return promotion


def promotion_from_row(row: RowMapping, now: EpochNs) -> Promotion:
    """Read a promotion from its row, as it is now: whoever's time ran out is shown so, whether recorded or not.

    Raises:
        LogInconsistentError: It is none that the gate wrote.
    """
    numbers, texts = ("row_version", "created_ns", "expires_ns"), ("id", "requester", "decision_id", "log")
    if not (all(isinstance(row[name], int) for name in numbers) and all(isinstance(row[name], str) for name in texts)):
        raise LogInconsistentError("want each promotion's row as the gate writes it, got one with other types")
    state = PromotionState(row["state"])
    if state in EXPIRING and is_expired(row["expires_ns"], now):
        state = PromotionState.EXPIRED
    return Promotion(
        id=row["id"],
        state=state,
        row_version=row["row_version"],
        request=request_from_row(row["request"]),
        lineage=lineage_from_row(row["request"]),
        requester=row["requester"],
        created=row["created_ns"],
        expires=row["expires_ns"],
        decision_id=row["decision_id"],
        log=row["log"],
    )


def read_row(connection: Connection, promotion_id: str) -> RowMapping:
    """Return a promotion's row.

    Raises:
        PromotionUnknownError: There is no such promotion.
    """
    row = store.read_promotion_row(connection, promotion_id)
    if row is None:
        raise PromotionUnknownError("want the id of a promotion, got one that is not here")
    return row


def move(
    connection: Connection,
    promotion: Promotion,
    after: PromotionState,
    *,
    decision_id: str = "",
    allowed: EpochNs | None = None,
) -> None:
    """Move a promotion as `store.move_promotion` does; `decision_id`: of a new decision, if there is one.

    Raises:
        MovedError: Somebody moved it since it was read.
        EdgeUnknownError: No promotion goes this way.
    """
    if not store.move_promotion(
        connection,
        promotion.id,
        row_version=promotion.row_version,
        before=promotion.state,
        after=after,
        decision_id=decision_id or promotion.decision_id,
        allowed=allowed,
    ):
        raise MovedError
