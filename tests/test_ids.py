"""Identifiers are UUIDs of version 7."""

import uuid

from lockgate.clock import EpochNs
from lockgate.ids import new_id

NOW = EpochNs(1_795_000_000_123_456_789)


def test_an_id_is_a_version_7_uuid() -> None:
    """Version and variant bits are where RFC 9562 wants them, and the time is readable."""
    made = uuid.UUID(new_id(NOW))

    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert made.int >> 80 == 1_795_000_000_123


def test_ids_differ_and_sort_by_time() -> None:
    """Two ids of one instant differ; a later one sorts behind."""
    first, second = new_id(NOW), new_id(NOW)

    assert first != second
    assert max(first, second) < new_id(EpochNs(NOW + 1_000_000))
