"""The kinds of records that the gate writes, each with the schema of its body. Pure."""

from collections.abc import Mapping
from typing import Final

DECISION: Final = "gate.decision"
APPROVAL: Final = "gate.approval"
WITHDRAWAL: Final = "gate.withdrawal"
EXPIRY: Final = "gate.expiry"
FAILURE: Final = "gate.failure"
PERMIT: Final = "gate.permit"
POINTER: Final = "gate.pointer"
STEP: Final = "gate.step"
ROLLOUT_FAILURE: Final = "gate.rollout_failure"
CONFIRMATION: Final = "gate.confirmation"
SUPERSESSION: Final = "gate.supersession"
HOLD: Final = "gate.hold"
LIVE: Final = "gate.live"

GATE_KINDS: Final[Mapping[str, str]] = {
    DECISION: "v1/api/decision",
    APPROVAL: "v1/api/approval",
    WITHDRAWAL: "v1/api/withdrawal",
    EXPIRY: "v1/api/expiry",
    FAILURE: "v1/api/failure",
    PERMIT: "v1/api/permit",
    POINTER: "v1/api/pointer_move",
    STEP: "v1/api/rollout_step",
    ROLLOUT_FAILURE: "v1/api/rollout_failure",
    CONFIRMATION: "v1/api/confirmation",
    SUPERSESSION: "v1/api/supersession",
    HOLD: "v1/api/hold",
    LIVE: "v1/api/live_change",
}
