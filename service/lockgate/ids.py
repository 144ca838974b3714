"""Identifiers: of what just happened, which sort by time; and of what has a name, which follow from it."""

import hashlib
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


def named_id(name: str) -> str:
    """Return the id of what has a name that nothing else has: a UUIDv8 of the first 128 bits of the name's SHA-256.

    Source: RFC 9562, section 5.8.
    """
    value = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16])
    value = value & ~(0xF << 76) | 0x8 << 76
    value = value & ~(0b11 << 62) | 0b10 << 62
    return str(uuid.UUID(int=value))


def is_named_id(text: str) -> bool:
    """Tell whether an id is one that `named_id` could have made."""
    return text[14:15] == "8"  # the version's digit
