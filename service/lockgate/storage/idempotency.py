"""Idempotency keys: what a principal used each for, so that a request that is sent again is answered as it was."""

from dataclasses import dataclass
from typing import ClassVar, Final

from sqlalchemy import Connection, select

from lockgate.clock import EpochNs
from lockgate.errors import LockgateError
from lockgate.storage.tables import idempotency
from lockgate.storage.upsert import insert_new

IDEMPOTENCY_KEY_CHARS_MAX: Final = 255  # what the column holds


class IdempotencyKeyReusedError(LockgateError):
    """The idempotency key was used before, with another body."""

    code: ClassVar[str] = "idempotency.key_reused"


class IdempotencyKeyInvalidError(LockgateError):
    """The idempotency key has a form that cannot be kept."""

    code: ClassVar[str] = "idempotency.key_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotentAnswer:
    """What an idempotency key was used for."""

    request_sha256: str
    promotion_id: str  # "" where the request was about none
    decision_id: str  # the record that the answer tells of


def check_idempotency_key(key: str) -> None:
    """Make sure that a key can be kept.

    Raises:
        IdempotencyKeyInvalidError: It cannot.
    """
    if not 0 < len(key) <= IDEMPOTENCY_KEY_CHARS_MAX or not (key.isascii() and key.isprintable()):
        raise IdempotencyKeyInvalidError(
            f"want an Idempotency-Key of 1 to {IDEMPOTENCY_KEY_CHARS_MAX} printable ASCII characters"
        )


def read_idempotent_answer(connection: Connection, *, subject: str, key: str) -> IdempotentAnswer | None:
    """Return what a principal used a key for, or None."""
    columns = idempotency.c
    row = connection.execute(select(idempotency).where(columns.subject == subject, columns.key == key)).first()
    if row is None:
        return None
    return IdempotentAnswer(
        request_sha256=row.request_sha256, promotion_id=row.promotion_id, decision_id=row.decision_id
    )


def claim_idempotency_key(
    connection: Connection, *, subject: str, key: str, answer: IdempotentAnswer, now: EpochNs
) -> bool:
    """Remember what a principal uses a key for; tell whether it was still free.

    Waits for nobody: whoever uses the key for another environment at this moment holds another log's lock.
    """
    row = {
        "subject": subject,
        "key": key,
        "request_sha256": answer.request_sha256,
        "promotion_id": answer.promotion_id,
        "decision_id": answer.decision_id,
        "created_ns": now,
    }
    return insert_new(connection, idempotency, row)
