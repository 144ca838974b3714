"""A tile tree made from C2SP tlog-tiles alone, by no code of Lockgate's."""

import hashlib
import struct
from collections.abc import Iterator, Sequence

WIDTH = 256


def tiles_of(records: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Return the path and bytes of every tile and entry bundle; the right-most of each level is as wide as the tree."""
    entries = [struct.pack(">H", len(record)) + record for record in records]
    yield from _cut("entries", entries)
    hashes = [hashlib.sha256(b"\x00" + record).digest() for record in records]
    level = 0
    while hashes:
        yield from _cut(str(level), hashes)
        for _ in range(8):  # a tile's level is eight of the tree's
            pairs = zip(hashes[::2], hashes[1::2], strict=False)
            hashes = [hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs]
        level += 1


def _cut(level: str, items: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    for number, first in enumerate(range(0, len(items), WIDTH)):
        tile = items[first : first + WIDTH]
        partial = f".p/{len(tile)}" if len(tile) < WIDTH else ""
        yield f"tile/{level}/{_path(number)}{partial}", b"".join(tile)


def _path(number: int) -> str:
    digits = f"{number % 1000:03d}"
    while number >= 1000:
        number //= 1000
        digits = f"x{number % 1000:03d}/{digits}"
    return digits
