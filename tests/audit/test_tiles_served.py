"""Tiles of real logs, from the database and from an export, read by a client that knows only the specification."""

from pathlib import Path

import pytest

from lockgate.audit import LogInconsistentError, RecordPrunedError, RecordUnknownError, store
from lockgate.audit.formats.checkpoints import open_checkpoint
from lockgate.audit.formats.tiles import Tile, parse_tile_path
from lockgate.audit.reading.export import export_log
from lockgate.audit.reading.reader import LogReader
from lockgate.storage import write_transaction
from support.audit_logs import ORIGIN, LogStand, make_stand
from support.large_logs import cut_front, lengthen
from support.tile_reader import Fetch, TileReader

SIZES = [1, 2, 255, 256, 257, 511, 512, 700]


def from_log(log: LogReader) -> Fetch:
    """Fetch from the log itself."""

    def fetch(path: str) -> bytes:
        if path == "checkpoint":
            return log.published_checkpoint()
        tile = parse_tile_path(path.removeprefix("tile/"))
        assert tile is not None
        return log.tile(tile)

    return fetch


def from_folder(folder: Path) -> Fetch:
    """Fetch from an export's folder, as a web server would."""
    return lambda path: (folder / path).read_bytes()


def exported(stand: LogStand) -> Path:
    """Export the log with its tiles."""
    out = stand.folder / "tiles"
    export_log(stand.engine, ORIGIN, out, tiles=True)
    return out


@pytest.mark.parametrize("size", SIZES)
def test_every_record_is_proved_from_tiles(stand: LogStand, size: int) -> None:
    """At sizes around the tiles' width, every record is in the tree that the checkpoint signs."""
    if size > 1:
        lengthen(stand.engine, stand.signer, size)
    folder = exported(stand)

    for fetch in (from_log(stand.log), from_folder(folder)):
        open_checkpoint(fetch("checkpoint"), [stand.signer.verifier_key])
        reader = TileReader(fetch)
        reader.check_upper_tiles()
        assert reader.check_all() == size


def test_three_levels_are_proved_from_tiles(stand: LogStand) -> None:
    """A log of 65,537 records has tiles of three levels; the tiles alone prove it."""
    lengthen(stand.engine, stand.signer, 65_537)
    folder = exported(stand)
    reader = TileReader(from_folder(folder))
    reader.check_upper_tiles()

    assert reader.check_all(every=5000) == 65_537
    assert len((folder / "tile/2/000.p/1").read_bytes()) == 32
    for tile in (Tile(level=1, index=0), Tile(level=2, index=0, width=1), Tile(level=None, index=256, width=1)):
        assert stand.log.tile(tile) == (folder / "tile" / tile.path).read_bytes()


def test_both_databases_serve_the_same_tiles(database_url: str, tmp_path: Path) -> None:
    """PostgreSQL and SQLite alike."""
    stand = make_stand(tmp_path, database_url)
    lengthen(stand.engine, stand.signer, 300)

    assert TileReader(from_log(stand.log)).check_all() == 300
    assert TileReader(from_folder(exported(stand))).check_all() == 300
    stand.engine.dispose()


def test_a_partial_tile_outlives_its_size(stand: LogStand) -> None:
    """A tile of a size that the tree has passed is served still, byte for byte; one that is not reached is not."""
    stand.fill(4)
    before = {width: stand.log.tile(Tile(level=0, index=0, width=width)) for width in range(1, 6)}
    records = stand.log.tile(Tile(level=None, index=0, width=5))
    lengthen(stand.engine, stand.signer, 300)

    assert {width: stand.log.tile(Tile(level=0, index=0, width=width)) for width in range(1, 6)} == before
    assert stand.log.tile(Tile(level=None, index=0, width=5)) == records
    assert stand.log.tile(Tile(level=1, index=0, width=1))
    for beyond in (
        Tile(level=0, index=1, width=45),
        Tile(level=None, index=1, width=45),
        Tile(level=0, index=1),
        Tile(level=0, index=2, width=1),
        Tile(level=1, index=0, width=2),
        Tile(level=2, index=0, width=1),
        Tile(level=63, index=0, width=1),
        Tile(level=0, index=2**53),
    ):
        with pytest.raises(RecordUnknownError):
            stand.log.tile(beyond)


def test_a_pruned_log_serves_what_it_still_proves(stand: LogStand) -> None:
    """Records from the minimum index on are proved; those before are gone, and so are their leaf hashes."""
    lengthen(stand.engine, stand.signer, 1000)
    stand.edit("SELECT 1")  # without its triggers
    cut_front(stand.engine, 512)
    folder = exported(stand)

    for fetch in (from_log(stand.log), from_folder(folder)):
        reader = TileReader(fetch)
        assert reader.check_all(begin=512) == 488
    for tile in (Tile(level=0, index=1), Tile(level=None, index=1), Tile(level=0, index=0, width=1)):
        with pytest.raises(RecordPrunedError):
            stand.log.tile(tile)
        assert not (folder / "tile" / tile.path).exists()


@pytest.mark.parametrize(
    ("statement", "tile"),
    [
        ("DELETE FROM audit_node WHERE level = 0 AND idx = 7", Tile(level=0, index=0, width=9)),
        ("DELETE FROM audit_entry WHERE seq = 7", Tile(level=None, index=0, width=9)),
    ],
)
def test_a_gap_is_no_tile(stand: LogStand, statement: str, tile: Tile) -> None:
    """A tile that lacks a part is refused: shifted, it would pass for another one."""
    stand.fill(9)
    stand.edit(statement)

    with pytest.raises(LogInconsistentError):
        stand.log.tile(tile)
    assert stand.log.tile(Tile(level=tile.level, index=0, width=7))
    with pytest.raises(LogInconsistentError):
        exported(stand)
    assert not (stand.folder / "tiles").exists()


def test_cosigned_checkpoint_is_published_while_it_is_the_newest(stand: LogStand) -> None:
    """Witnesses' lines go with the checkpoint that they signed, and never hold a newer one back."""
    stand.fill(1)
    own = stand.log.checkpoint()
    cosigned = own + b"\xe2\x80\x94 witness.example/w " + b"A" * 100 + b"=" * 0 + b"\n"
    with write_transaction(stand.engine) as connection:
        store.add_cosigned(connection, ORIGIN, 2, cosigned)
    published = stand.log.published_checkpoint()
    stand.fill(1)

    assert published == cosigned
    assert stand.log.published_checkpoint() == stand.log.checkpoint() != own
    assert (exported(stand) / "cosigned").read_bytes() == cosigned
    assert (stand.folder / "tiles" / "checkpoint").read_bytes() == stand.log.checkpoint()
