"""The kinds of audit record that the gate writes, each with the schema of its body."""

from collections.abc import Mapping
from typing import Final

DECISION: Final = "gate.decision"
APPROVAL: Final = "gate.approval"
WITHDRAWAL: Final = "gate.withdrawal"
EXPIRY: Final = "gate.expiry"
FAILURE: Final = "gate.failure"

GATE_KINDS: Final[Mapping[str, str]] = {
    DECISION: "v1/api/decision",
    APPROVAL: "v1/api/approval",
    WITHDRAWAL: "v1/api/withdrawal",
    EXPIRY: "v1/api/expiry",
    FAILURE: "v1/api/failure",
}
