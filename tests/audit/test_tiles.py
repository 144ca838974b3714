"""Tiles: their paths, which of them a log has, and their bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.audit.formats.checkpoints import TREE_SIZE_MAX
from lockgate.audit.formats.tiles import TILE_WIDTH, Tile, encode_entries, hash_tiles, parse_tile_path

TILES = st.builds(
    Tile,
    level=st.none() | st.integers(0, 63),
    index=st.integers(0, TREE_SIZE_MAX // TILE_WIDTH),
    width=st.integers(1, TILE_WIDTH),
)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(level=0, index=0), "0/000"),
        (Tile(level=2, index=0, width=1), "2/000.p/1"),
        (Tile(level=0, index=999), "0/999"),
        (Tile(level=0, index=1000), "0/x001/000"),
        (Tile(level=63, index=1234067), "63/x001/x234/067"),
        (Tile(level=None, index=1234067, width=255), "entries/x001/x234/067.p/255"),
        (Tile(level=0, index=999_999), "0/x999/999"),
        (Tile(level=0, index=1_000_000), "0/x001/x000/000"),
    ],
)
def test_path_is_the_one_of_the_specification(tile: Tile, path: str) -> None:
    """Groups of three digits, all but the last behind an x; a width only where the tile is not whole."""
    assert tile.path == path
    assert parse_tile_path(path) == tile


@given(tile=TILES)
@settings(deadline=None, max_examples=200)
def test_every_tile_is_read_back(tile: Tile) -> None:
    """A path says exactly one tile."""
    assert parse_tile_path(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0",
        "0/",
        "/0/000",
        "0/000/",
        "0//000",
        "0/0",
        "0/00",
        "0/0000",
        "0/1000",
        "0/x000/001",
        "0/x001",
        "0/x001/x002",
        "0/001/002",
        "0/x01/000",
        "0/X001/000",
        "0/-01",
        "-1/000",
        "00/000",
        "01/000",
        "64/000",
        "100/000",
        "+1/000",
        "0/000.p",
        "0/000.p/",
        "0/000.p/0",
        "0/000.p/01",
        "0/000.p/256",
        "0/000.p/300",
        "0/000.p/-1",
        "0/000.p/1000",
        "0/000.p/1/2",
        "0/000.q/1",
        "0/000p/1",
        "0/000\n",
        "0/000 ",
        "0/\u0660\u0660\u0660",
        "\uff10/000",
        "entries",
        "entries/",
        "entry/000",
        "Entries/000",
        "entries/000.p/0",
        "data/000",
        "../checkpoint",
        "0/../0/000",
        "0/x001/x001/x001/x001/x001/x001/000",
        "0/" + "x999/" * 1000 + "999",
    ],
)
def test_no_other_spelling_is_a_path(path: str) -> None:
    """Leading zeros, wrong groups, widths outside 1 to 255, levels outside 0 to 63, other digits."""
    assert parse_tile_path(path) is None


@given(path=st.text(alphabet="0123456789x/.pentris-\n", max_size=24))
@settings(deadline=None, max_examples=500)
def test_whatever_is_read_has_one_spelling(path: str) -> None:
    """No text but a tile's own path is read as that tile."""
    tile = parse_tile_path(path)

    assert tile is None or tile.path == path


def test_tree_of_70000_has_the_tiles_of_the_specification() -> None:
    """The specification's own example, and its tree of 256."""
    tiles = list(hash_tiles(70_000))
    summary = [(level, sum(tile.level == level for tile in tiles)) for level in range(4)]
    partial = [(tile.level, tile.index, tile.width) for tile in tiles if tile.width < TILE_WIDTH]

    assert summary == [(0, 274), (1, 2), (2, 1), (3, 0)]
    assert partial == [(0, 273, 112), (1, 1, 17), (2, 0, 1)]
    assert list(hash_tiles(256)) == [Tile(level=0, index=0), Tile(level=1, index=0, width=1)]
    assert list(hash_tiles(0)) == []


@given(size=st.integers(1, 200_000), data=st.data())
@settings(deadline=None, max_examples=100)
def test_a_log_has_its_tiles_and_none_beyond(size: int, data: st.DataObject) -> None:
    """Each listed tile is in the tree, in each of its widths; one hash more is not."""
    tile = data.draw(st.sampled_from(list(hash_tiles(size))))
    width = data.draw(st.integers(1, tile.width))

    assert Tile(level=tile.level, index=tile.index, width=width).in_tree(size)
    assert not Tile(level=tile.level, index=tile.index + 1).in_tree(size) or tile.width == TILE_WIDTH
    if tile.width < TILE_WIDTH:
        assert not Tile(level=tile.level, index=tile.index, width=tile.width + 1).in_tree(size)
        assert not Tile(level=tile.level, index=tile.index + 1, width=1).in_tree(size)


def test_pruning_takes_records_and_leaves_alone() -> None:
    """Below the minimum index there are neither records nor leaf hashes; the levels above are all there."""
    size, first_seq = 2000, 768
    listed = set(hash_tiles(size, first_seq))

    assert {tile for tile in hash_tiles(size) if tile not in listed} == {Tile(level=0, index=n) for n in range(3)}
    for level in (0, None):
        assert Tile(level=level, index=2).is_pruned(first_seq)
        assert Tile(level=level, index=2, width=5).is_pruned(first_seq)
        assert not Tile(level=level, index=3).is_pruned(first_seq)
    assert not Tile(level=1, index=0, width=7).is_pruned(first_seq)


def test_entries_are_length_prefixed() -> None:
    """Two bytes of length, big-endian, and the record, one behind the other."""
    assert encode_entries([b"ab", b"", b"c" * 300]) == b"\x00\x02ab\x00\x00\x01\x2c" + b"c" * 300
