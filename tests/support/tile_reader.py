"""A reader of tiled transparency logs, written from C2SP tlog-tiles and RFC 6962 alone: nothing of Lockgate is in it.

It is given a way to fetch a path below the log's prefix and believes nothing but the checkpoint.
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

Fetch = Callable[[str], bytes]


def tile_name(number: int) -> str:
    """Write a tile's index: groups of three digits, all but the last behind an `x`."""
    name = f"{number % 1000:03d}"
    while number >= 1000:
        number //= 1000
        name = f"x{number % 1000:03d}/{name}"
    return name


@dataclass
class TileReader:
    """One log as its checkpoint says it is."""

    fetch: Fetch
    size: int = 0
    root: bytes = b""
    _tiles: dict[str, bytes] = field(default_factory=dict)
    _nodes: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lines = self.fetch("checkpoint").decode().split("\n")
        self.size, self.root = int(lines[1]), base64.b64decode(lines[2])

    def tile(self, level: int | str, number: int, tree_level: int) -> bytes:
        """Fetch the tile as a tree of this size has it."""
        width = min(256, (self.size >> (8 * tree_level)) - 256 * number)
        assert width > 0
        path = f"tile/{level}/{tile_name(number)}" + ("" if width == 256 else f".p/{width}")
        if path not in self._tiles:
            self._tiles[path] = self.fetch(path)
        return self._tiles[path]

    def node(self, level: int, number: int) -> bytes:
        """Return the hash of a complete subtree over 2**level records."""
        if (level, number) not in self._nodes:
            tile_level, rest = divmod(level, 8)
            if rest == 0:
                data = self.tile(tile_level, number // 256, tile_level)
                found = data[32 * (number % 256) :][:32]
                assert len(found) == 32
            else:
                found = _pair(self.node(level - 1, 2 * number), self.node(level - 1, 2 * number + 1))
            self._nodes[level, number] = found
        return self._nodes[level, number]

    def hash_of(self, begin: int, end: int) -> bytes:
        """Return RFC 6962's MTH(D[begin:end])."""
        length = end - begin
        if length & (length - 1) == 0 and begin % length == 0:
            return self.node(length.bit_length() - 1, begin // length)
        middle = begin + (1 << ((length - 1).bit_length() - 1))
        return _pair(self.hash_of(begin, middle), self.hash_of(middle, end))

    def entries(self, number: int) -> list[bytes]:
        """Return the records of one bundle."""
        data, entries = self.tile("entries", number, 0), []
        while data:
            length = int.from_bytes(data[:2], "big")
            assert len(data) >= 2 + length
            entries.append(data[2 : 2 + length])
            data = data[2 + length :]
        return entries

    def check_record(self, number: int, entry: bytes) -> None:
        """Prove one record: its inclusion path, read from tiles, leads from its bytes to the checkpoint's root."""

        def climb(begin: int, end: int) -> bytes:
            if end - begin == 1:
                return hashlib.sha256(b"\0" + entry).digest()
            middle = begin + (1 << ((end - begin - 1).bit_length() - 1))
            if number < middle:
                return _pair(climb(begin, middle), self.hash_of(middle, end))
            return _pair(self.hash_of(begin, middle), climb(middle, end))

        assert climb(0, self.size) == self.root

    def check_all(self, every: int = 1, begin: int = 0) -> int:
        """Prove each `every`-th record from `begin` on, and that every record hashes to its leaf.

        Returns:
            How many records the tiles hold.
        """
        count = 0
        for number in range(begin // 256, -(-self.size // 256)):
            for place, entry in enumerate(self.entries(number), 256 * number):
                assert hashlib.sha256(b"\0" + entry).digest() == self.node(0, place)
                if place % every == 0 or place == self.size - 1:
                    self.check_record(place, entry)
                count += 1
        assert self.hash_of(0, self.size) == self.root
        return count

    def check_upper_tiles(self) -> None:
        """Each hash of a tile above the lowest level is that of the whole tile below."""
        level = 1
        while self.size >> (8 * level):
            for number in range(self.size >> (8 * level)):
                below = self.tile(level - 1, number, level - 1)
                assert len(below) == 256 * 32
                hashes = [below[place : place + 32] for place in range(0, len(below), 32)]
                while len(hashes) > 1:
                    hashes = [_pair(hashes[place], hashes[place + 1]) for place in range(0, len(hashes), 2)]
                assert hashes[0] == self.node(8 * level, number)
            level += 1


def _pair(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
