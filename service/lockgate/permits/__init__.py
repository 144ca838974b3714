"""Permits, and answers about what is live: what the gate signs with its permit key. docs/formats/permit.md.

The key is not the log's: it signs what holds for a minute, and can be thrown away at any time. May be imported:
everything named here, and `types`, which needs no library of cryptography.
"""

from lockgate.permits.keys import (
    KEY_FILE_BYTES_MAX,
    LIVE_LIFE_NS,
    LIVE_TYP,
    PERMIT_TYP,
    PermitKey,
    PermitKeyInvalidError,
    PermitKeyMissingError,
    create_permit_key,
    find_permit_key,
)
from lockgate.permits.types import PERMIT_LIFE_NS, Permit

__all__ = [
    "KEY_FILE_BYTES_MAX",
    "LIVE_LIFE_NS",
    "LIVE_TYP",
    "PERMIT_LIFE_NS",
    "PERMIT_TYP",
    "Permit",
    "PermitKey",
    "PermitKeyInvalidError",
    "PermitKeyMissingError",
    "create_permit_key",
    "find_permit_key",
]
