"""What the log says of a rollout: one body for each kind of record, docs/formats/rollout.md. Pure."""

from typing import Literal

from lockgate.audit.types import Event
from lockgate.clock import NS_PER_S, EpochNs, format_timestamp
from lockgate.gate_logs.events import Occasion, make_event
from lockgate.ids import new_id
from lockgate.lifecycle.intervals import LiveInterval
from lockgate.lifecycle.types import Pointer
from lockgate.permits.types import Permit
from lockgate.promotion.change_ids import next_id
from lockgate.promotion.kinds import CONFIRMATION, LIVE, PERMIT, POINTER, ROLLOUT_FAILURE, STEP, SUPERSESSION
from lockgate.promotion.types import Promotion

DETAIL_CHARS_MAX = 500  # of what an executor says went wrong; its own log has the rest


def permit_event(occasion: Occasion, promotion: Promotion, permit: Permit) -> Event:
    """Say that a permit was given; its id is the record's. The permit itself is a secret until it ends."""
    body = {
        "schema_version": 1,
        "permit_id": permit.id,
        "promotion_id": promotion.id,
        "decision_id": promotion.decision_id,
        "audience": permit.audience,
        "registry": permit.registry,
        "registry_model": permit.registry_model,
        "alias": permit.alias,
        **_subject(promotion),
        "issued_at": format_timestamp(permit.issued),
        "expires_at": format_timestamp(permit.expires),
    }
    return make_event(PERMIT, permit.id, occasion, body)


def pointer_event(  # noqa: PLR0913 - each argument is one fact
    occasion: Occasion,
    promotion: Promotion,
    pointer: Pointer,
    *,
    permit_id: str,
    former_version: str,
    percent: int,
    told_by: Literal["report", "observation"],
) -> Event:
    """Say that a pointer was moved, or a first share of traffic, with the permit."""
    body = {
        "schema_version": 1,
        "promotion_id": promotion.id,
        "permit_id": permit_id,
        "registry": pointer.registry,
        "registry_model": pointer.registry_model,
        "alias": pointer.alias,
        **_subject(promotion),
        "former_version": former_version,
        "percent": percent,
        "told_by": told_by,
        "moved_at": format_timestamp(occasion.now),
    }
    return make_event(POINTER, next_id(promotion), occasion, body)


def step_event(occasion: Occasion, promotion: Promotion, *, step: int, percent: int) -> Event:
    """Say that a further share of traffic may go to the version, as just decided."""
    body = {
        "schema_version": 1,
        "promotion_id": promotion.id,
        "decision_id": promotion.decision_id,
        **_subject(promotion),
        "step": step,
        "percent": percent,
        "stepped_at": format_timestamp(occasion.now),
    }
    return make_event(STEP, new_id(occasion.now), occasion, body)


def failure_event(occasion: Occasion, promotion: Promotion, *, code: str, detail: str) -> Event:
    """Say that a promotion could not be carried out."""
    body = {
        "schema_version": 1,
        "promotion_id": promotion.id,
        **_subject(promotion),
        "code": code,
        "detail": detail[:DETAIL_CHARS_MAX],
        "failed_at": format_timestamp(occasion.now),
    }
    return make_event(ROLLOUT_FAILURE, next_id(promotion), occasion, body)


def confirmation_event(occasion: Occasion, promotion: Promotion, interval: LiveInterval, permit_id: str) -> Event:
    """Say that what a promotion brought was seen to run; the interval's record is this one."""
    body = {
        "schema_version": 1,
        "promotion_id": promotion.id,
        "decision_id": promotion.decision_id,
        "permit_id": permit_id,
        "kind": promotion.request.transition.kind,
        **_subject(promotion),
        "requested_at": format_timestamp(promotion.created),
        "confirmed_at": format_timestamp(occasion.now),
        "live_from": format_timestamp(interval.begins),
        "seconds": seconds_between(promotion.created, occasion.now),
    }
    return make_event(CONFIRMATION, interval.record_id, occasion, body)


def supersession_event(occasion: Occasion, promotion: Promotion, superseded_by: str) -> Event:
    """Say that a later promotion was carried out instead."""
    body = {
        "schema_version": 1,
        "promotion_id": promotion.id,
        **_subject(promotion),
        "superseded_by": superseded_by,
        "superseded_at": format_timestamp(occasion.now),
    }
    return make_event(SUPERSESSION, next_id(promotion), occasion, body)


def live_event(occasion: Occasion, interval: LiveInterval) -> Event:
    """Say that something runs that no promotion brought; the interval's record is this one."""
    body = {
        "schema_version": 1,
        "promotion_id": interval.promotion_id,
        "model": interval.model,
        "environment": interval.environment,
        "version": interval.version,
        "digest": interval.digest,
        "observed_at": format_timestamp(occasion.now),
        "live_from": format_timestamp(interval.begins),
    }
    return make_event(LIVE, interval.record_id, occasion, body)


def seconds_between(begin: EpochNs, end: EpochNs) -> int:
    """Return whole seconds, at least 0 whatever the clock did."""
    return max(end - begin, 0) // NS_PER_S


def _subject(promotion: Promotion) -> dict[str, str]:
    request = promotion.request
    return {
        "model": request.model,
        "environment": request.transition.to_environment,
        "version": request.version,
        "digest": str(request.digest),
    }
