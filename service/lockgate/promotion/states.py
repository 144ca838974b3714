"""Which state of a promotion may follow which: the one table of edges. Each edge is one record. Pure.

    pending ──▶ allowed ──▶ permitted ──▶ executing ──▶ confirmed

Everything else is an exit, or a way back: a decision made anew may find that approvals are missing again.
"""

from collections.abc import Mapping
from typing import Final

from lockgate.errors import LockgateError
from lockgate.promotion.types import PromotionState, Verdict

_S = PromotionState

EDGES: Final[Mapping[PromotionState, frozenset[PromotionState]]] = {
    # An edge to itself: decided anew, with the same outcome.
    _S.PENDING: frozenset({_S.PENDING, _S.ALLOWED, _S.DENIED, _S.REJECTED, _S.WITHDRAWN, _S.EXPIRED}),
    _S.ALLOWED: frozenset({_S.PERMITTED, _S.PENDING, _S.DENIED, _S.SUPERSEDED, _S.EXPIRED}),
    # An edge to itself: a new permit in place of one that ran out.
    _S.PERMITTED: frozenset({_S.PERMITTED, _S.EXECUTING, _S.PENDING, _S.DENIED, _S.FAILED, _S.EXPIRED}),
    # An edge to itself: the next step. The pointer was moved, so that time alone ends nothing any more.
    _S.EXECUTING: frozenset({_S.EXECUTING, _S.CONFIRMED, _S.DENIED, _S.FAILED}),
    _S.CONFIRMED: frozenset(),
    _S.FAILED: frozenset(),
    _S.SUPERSEDED: frozenset(),
    _S.DENIED: frozenset(),
    _S.REJECTED: frozenset(),
    _S.WITHDRAWN: frozenset(),
    _S.EXPIRED: frozenset(),
}

FINAL: Final = frozenset(state for state, after in EDGES.items() if not after)
UNDER_WAY: Final = frozenset({_S.PERMITTED, _S.EXECUTING})  # one at a time for each model and environment
EXPIRING: Final = frozenset(state for state, after in EDGES.items() if _S.EXPIRED in after)


class EdgeUnknownError(LockgateError):
    """A promotion was about to go where the table has no edge: a defect of ours, so nothing is written."""

    code = "internal.state_edge"


def check_edge(before: PromotionState, after: PromotionState) -> None:
    """Make sure that a promotion may go from one state to another.

    Raises:
        EdgeUnknownError: It may not.
    """
    if after not in EDGES[before]:
        raise EdgeUnknownError(f"want an edge of the table, got {before.value} to {after.value}")


def state_after(verdict: Verdict, *, rejected: bool) -> PromotionState:
    """Return where a decision leaves a promotion; a deny that a person's rejection caused is a rejection."""
    match verdict:
        case Verdict.ALLOW:
            return PromotionState.ALLOWED
        case Verdict.PENDING:
            return PromotionState.PENDING
        case Verdict.DENY:
            return PromotionState.REJECTED if rejected else PromotionState.DENIED
