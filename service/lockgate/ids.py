"""Identifiers that sort by time: UUID version 7 (RFC 9562, section 5.7)."""

import secrets
import uuid
from typing import Final

from lockgate.clock import EpochNs

_NS_PER_MS: Final = 1_000_000


def new_id(now: EpochNs) -> str:
    """Return a new UUIDv7: 48 bits of milliseconds, then 74 random bits.

    Args:
        now: The time now.

    Source: RFC 9562, section 5.7.
    """
    milliseconds = now // _NS_PER_MS & (1 << 48) - 1
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
