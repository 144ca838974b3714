"""A review: because a model went to production, somebody looked at an account that reaches it, and kept or revoked it.

Pure.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from access_reviews.decisions import Decision
from lockgate.audit import Actor, Event

KIND: Final = "access.review"
SCHEMA: Final = Path(__file__).with_name("access_review.schema.json").read_bytes()  # of the body below


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessReview:
    """One account, looked at by one person."""

    account: str
    reviewer: str
    verdict: Literal["keep", "revoke"]
    decision: Decision  # the promotion that made the review necessary


def review_event(review: AccessReview, event_id: str) -> Event:
    """Return what the log shall say of a review; `event_id` is a UUID, the record's name in every log."""
    decision = review.decision
    body: dict[str, Any] = {
        "schema_version": 1,
        "account": review.account,
        "reviewer": review.reviewer,
        "verdict": review.verdict,
        "model": decision.model,
        "version": decision.version,
        "environment": decision.environment,
        "decision": {"log": decision.log, "seq": decision.seq, "id": decision.id},
    }
    return Event(
        id=event_id,
        kind=KIND,
        actor=Actor(type="user", id=review.reviewer),
        subject=f"account:{review.account}",
        body=body,
    )
