"""The one module that knows every adapter: wires the rooms for a process.

The web application and the command line see the rooms through what this makes.
"""

from dataclasses import dataclass
from typing import Final, Literal

READINESS_TIMEOUT_S: Final = 1.0  # a probe that takes longer says the same as one that fails


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadinessCheck:
    """One thing that must work before this instance can decide."""

    name: Literal["policy", "database", "audit_log", "trust"]
    ok: bool
    detail: str
