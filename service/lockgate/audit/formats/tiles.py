"""Tiles (C2SP tlog-tiles): the tree and its records cut into pieces that never change, each with a path. Pure.

    tile/<L>/<N>[.p/<W>]          hashes of complete subtrees: at level L, each over 256**L records
    tile/entries/<N>[.p/<W>]      records: for each, its length as two bytes, big-endian, and its bytes

<N> is the tile's place in its level in groups of three digits, all but the last after an `x`: 1234067 is
`x001/x234/067`. A tile holds 256 of them; the last of a level may hold fewer, and then <W> says how many.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

TILE_WIDTH: Final = 256
TILE_LEVEL_MAX: Final = 63  # of a path; a log's own size ends the tree at level 6
_LEVEL_BITS: Final = 8  # tile level L is tree level 8 L
_LENGTH_BYTES: Final = 2
_ENTRIES: Final = "entries"
_PATH: Final = re.compile(r"(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One piece of a log."""

    level: int | None  # None: the records themselves
    index: int  # its place in its level
    width: int = TILE_WIDTH  # 1 to 256: how many hashes or records it holds

    @property
    def tree_level(self) -> int:
        """Which level of the tree its hashes are of; records lie at the leaves."""
        return _LEVEL_BITS * (self.level or 0)

    @property
    def first(self) -> int:
        """The place of its first hash or record in that level of the tree."""
        return self.index * TILE_WIDTH

    @property
    def path(self) -> str:
        """Its path below `tile/`, without that."""
        digits = f"{self.index:03}"
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        *groups, last = (digits[place : place + 3] for place in range(0, len(digits), 3))
        name = "/".join([*(f"x{group}" for group in groups), last])
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"{_ENTRIES if self.level is None else self.level}/{name}{partial}"

    def in_tree(self, size: int) -> bool:
        """Tell whether a log of `size` records reaches to this tile's end."""
        return self.first + self.width <= size >> self.tree_level

    def is_pruned(self, first_seq: int) -> bool:
        """Tell whether this tile went with the records before `first_seq`; levels from 1 up are kept."""
        return self.tree_level == 0 and self.first < first_seq


def parse_tile_path(text: str) -> Tile | None:
    """Read what `Tile.path` writes, and no other spelling; None if it is no tile's path."""
    match = _PATH.fullmatch(text)
    if match is None:
        return None
    tile = Tile(
        level=None if match[1] == _ENTRIES else int(match[1]),
        index=int(match[2].replace("x", "").replace("/", "")),
        width=int(match[3]) if match[3] else TILE_WIDTH,
    )
    # The comparison refuses leading groups of zeros, and the width of a whole tile behind `.p/`.
    fits = (tile.level or 0) <= TILE_LEVEL_MAX and tile.width <= TILE_WIDTH
    return tile if fits and tile.path == text else None


def hash_tiles(size: int, first_seq: int = 0) -> Iterator[Tile]:
    """List the tiles of hashes that a log has: the whole ones, and the last of each level as this size cuts it off.

    Args:
        size: The number of records.
        first_seq: Records before it were pruned; a multiple of 256.
    """
    level, count, begin = 0, size, first_seq
    while count:
        for index in range(begin // TILE_WIDTH, -(-count // TILE_WIDTH)):
            yield Tile(level=level, index=index, width=min(TILE_WIDTH, count - index * TILE_WIDTH))
        level, count, begin = level + 1, count >> _LEVEL_BITS, 0


def new_tiles(before: int, size: int, first_seq: int = 0) -> Iterator[Tile]:
    """List the tiles, of records too, that a log has and that it had not when it was smaller, by growing level.

    Args:
        before: How many records it had then.
        size: How many it has.
        first_seq: Records before it were pruned; a multiple of 256.
    """
    for level, count in _levels(size):
        had = before >> _LEVEL_BITS * (level or 0)
        begin = had if level else max(had, first_seq)
        if count > had:
            for index in range(begin // TILE_WIDTH, -(-count // TILE_WIDTH)):
                yield Tile(level=level, index=index, width=min(TILE_WIDTH, count - index * TILE_WIDTH))


def partial_tiles(size: int) -> Iterator[Tile]:
    """List the tiles, of records too, that a log of this size has only the beginning of."""
    for level, count in _levels(size):
        if width := count % TILE_WIDTH:
            yield Tile(level=level, index=count // TILE_WIDTH, width=width)


def _levels(size: int) -> Iterator[tuple[int | None, int]]:
    """Give each level of tiles, that of records first, and how many records or hashes it has."""
    if size:
        yield None, size
    for level in range(TILE_LEVEL_MAX):
        if (count := size >> _LEVEL_BITS * level) == 0:
            return
        yield level, count


def encode_entries(records: Iterable[bytes]) -> bytes:
    """Write the tile that holds these records."""
    return b"".join(len(record).to_bytes(_LENGTH_BYTES, "big") + record for record in records)
