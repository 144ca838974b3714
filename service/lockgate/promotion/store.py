"""Promotions and approvals in the database. Every function works inside its caller's transaction."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, ColumnElement, Connection, RowMapping, and_, case, func, literal, select

from lockgate.canonical_json import canonicalize, parse_canonical
from lockgate.clock import EpochNs
from lockgate.promotion.parsing import approval_document, approval_from_document, request_row
from lockgate.promotion.states import EXPIRING, check_edge
from lockgate.promotion.types import Approval, Promotion, PromotionState, WaitingPromotions
from lockgate.storage.tables import approval as approval_table
from lockgate.storage.tables import promotion as promotion_table

_STILL_ALLOWED: Final = tuple(
    state.value
    for state in (
        PromotionState.ALLOWED,
        PromotionState.PERMITTED,
        PromotionState.EXECUTING,
        PromotionState.CONFIRMED,
        PromotionState.SUPERSEDED,
        PromotionState.EXPIRED,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionFilter:
    """Which promotions to list, newest first. Empty strings match everything."""

    state: str = ""
    model: str = ""
    version: str = ""
    before_number: int | None = None  # exclusive; the cursor
    limit: int


def insert_promotion(connection: Connection, promotion: Promotion) -> None:
    """Take a new promotion in."""
    request = promotion.request
    connection.execute(
        promotion_table.insert().values(
            id=promotion.id,
            state=promotion.state.value,
            row_version=promotion.row_version,
            model=request.model,
            version=request.version,
            digest=str(request.digest),
            kind=request.transition.kind,
            from_environment=request.transition.from_environment,
            to_environment=request.transition.to_environment,
            requester=promotion.requester,
            created_ns=promotion.created,
            expires_ns=promotion.expires,
            request=request_row(request, promotion.lineage),
            decision_id=promotion.decision_id,
            log=promotion.log,
            allowed_ns=promotion.created if promotion.state is PromotionState.ALLOWED else None,
        )
    )


def move_promotion(  # noqa: PLR0913 - from where, to where, and what says so
    connection: Connection,
    promotion_id: str,
    *,
    row_version: int,
    before: PromotionState,
    after: PromotionState,
    decision_id: str,
    allowed: EpochNs | None = None,
) -> bool:
    """Move a promotion if nobody moved it since it was read at `row_version`; tell whether it was moved.

    Args:
        connection: Of the transaction that records it.
        promotion_id: Which.
        row_version: As it was read.
        before: The state in which it was read.
        after: The next one.
        decision_id: Of its newest decision.
        allowed: The time now, if that decision allows it; the first such time is kept.

    Raises:
        EdgeUnknownError: No promotion goes this way.
    """
    check_edge(before, after)
    statement = (
        promotion_table.update()
        .where(
            promotion_table.c.id == promotion_id,
            promotion_table.c.row_version == row_version,
            promotion_table.c.state == before.value,
        )
        .values(
            state=after.value,
            row_version=row_version + 1,
            decision_id=decision_id,
            allowed_ns=func.coalesce(promotion_table.c.allowed_ns, literal(allowed, BigInteger)),
        )
    )
    return connection.execute(statement).rowcount == 1


def read_promotion_row(connection: Connection, promotion_id: str) -> RowMapping | None:
    """Return one promotion's row, or None."""
    statement = select(promotion_table).where(promotion_table.c.id == promotion_id)
    return connection.execute(statement).mappings().first()


def list_promotion_rows(connection: Connection, wanted: PromotionFilter, now: EpochNs) -> list[RowMapping]:
    """Return a page of rows, newest first; what ran out by now is expired, whether or not that is recorded."""
    statement = select(promotion_table).order_by(promotion_table.c.number.desc()).limit(wanted.limit)
    if wanted.state:
        in_state = promotion_table.c.state == wanted.state
        is_expired = wanted.state == PromotionState.EXPIRED
        statement = statement.where(in_state | _is_due(now) if is_expired else in_state & ~_is_due(now))
    if wanted.model:
        statement = statement.where(promotion_table.c.model == wanted.model)
    if wanted.version:
        statement = statement.where(promotion_table.c.version == wanted.version)
    if wanted.before_number is not None:
        statement = statement.where(promotion_table.c.number < wanted.before_number)
    return list(connection.execute(statement).mappings())


def logs_with_due_promotions(connection: Connection, now: EpochNs) -> list[str]:
    """Return the names of the logs that hold promotions whose time has run out."""
    return list(connection.scalars(select(promotion_table.c.log).distinct().where(_is_due(now))))


def due_promotions(connection: Connection, log: str, now: EpochNs, limit: int) -> list[RowMapping]:
    """Return the rows of promotions in a log whose time has run out, oldest first."""
    columns = promotion_table.c
    statement = select(promotion_table).where(_is_due(now), columns.log == log).order_by(columns.number).limit(limit)
    return list(connection.execute(statement).mappings())


def _is_due(now: EpochNs) -> ColumnElement[bool]:
    columns = promotion_table.c
    return columns.state.in_([state.value for state in sorted(EXPIRING)]) & (columns.expires_ns <= now)


def waiting_promotions(connection: Connection, now: EpochNs) -> tuple[WaitingPromotions, ...]:
    """Count what is pending, by target environment, in one pass over the rows in that state."""
    columns = promotion_table.c
    is_pending = columns.expires_ns > now
    pending = func.sum(case((is_pending, 1), else_=0))
    oldest = func.min(case((is_pending, columns.created_ns)))
    statement = (
        select(columns.to_environment, func.count(), pending, oldest)
        .where(columns.state == PromotionState.PENDING.value)
        .group_by(columns.to_environment)
        .order_by(columns.to_environment)
    )
    return tuple(
        WaitingPromotions(to_environment=name, pending=int(waits), expired=total - int(waits), oldest=since)
        for name, total, waits, since in connection.execute(statement)
    )


def list_arrivals(connection: Connection, promotion: Promotion, limit: int) -> list[RowMapping]:
    """Return the rows of other promotions of this very artifact, as this version, into the target; newest first.

    Of those that were allowed: not one that was denied when it was decided anew, or could not be carried out.
    """
    columns = promotion_table.c
    statement = select(promotion_table).where(
        _same_arrival(promotion),
        columns.allowed_ns.is_not(None),
        columns.state.in_(_STILL_ALLOWED),
    )
    return list(connection.execute(statement.order_by(columns.number.desc()).limit(limit)).mappings())


def _same_arrival(promotion: Promotion) -> ColumnElement[bool]:
    columns, request = promotion_table.c, promotion.request
    return and_(
        columns.id != promotion.id,
        columns.model == request.model,
        columns.version == request.version,
        columns.digest == str(request.digest),
        columns.to_environment == request.transition.to_environment,
    )


def older_allowed(connection: Connection, promotion: Promotion, limit: int) -> list[RowMapping]:
    """Return the rows of allowed promotions in the same log, of the same arrival, asked for before; newest first."""
    columns, request = promotion_table.c, promotion.request
    number = select(columns.number).where(columns.id == promotion.id).scalar_subquery()
    statement = select(promotion_table).where(
        columns.model == request.model,
        columns.to_environment == request.transition.to_environment,
        columns.log == promotion.log,
        columns.state == PromotionState.ALLOWED.value,
        columns.number < number,
    )
    return list(connection.execute(statement.order_by(columns.number.desc()).limit(limit)).mappings())


def newest_allowed(connection: Connection, model: str, environment: str, now: EpochNs) -> RowMapping | None:
    """Return the row of the newest promotion of a model into an environment that is allowed and has time left."""
    columns = promotion_table.c
    statement = select(promotion_table).where(
        columns.model == model,
        columns.to_environment == environment,
        columns.state == PromotionState.ALLOWED.value,
        columns.expires_ns > now,
    )
    return connection.execute(statement.order_by(columns.number.desc()).limit(1)).mappings().first()


def insert_approval(connection: Connection, approval: Approval) -> None:
    """Keep an approval."""
    connection.execute(
        approval_table.insert().values(
            id=approval.id,
            promotion_id=approval.promotion_id,
            approver=approval.approver,
            body=canonicalize(approval_document(approval)),
        )
    )


def read_approvals(connection: Connection, promotion_id: str) -> tuple[Approval, ...]:
    """Return a promotion's approvals, oldest first."""
    statement = (
        select(approval_table.c.body)
        .where(approval_table.c.promotion_id == promotion_id)
        .order_by(approval_table.c.number)
    )
    return tuple(approval_from_document(parse_canonical(body)) for body in connection.execute(statement).scalars())
