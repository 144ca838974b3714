"""`lockgate audit publish`: a log as files, added to without ever showing a checkpoint whose tiles are missing."""

import contextlib
import shutil
import stat
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interop.tile_tree import tiles_of
from lockgate.audit import ExportError, LogForeignError, LogInconsistentError, NoteUnverifiedError
from lockgate.audit.errors import LogBehindError
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.cosignatures import add_cosignatures, cosign
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.formats.tiles import Tile, new_tiles, partial_tiles
from lockgate.audit.reading import publishing
from lockgate.audit.reading.publishing import Publication, publish_log
from lockgate.audit.store import add_cosigned
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.storage import write_transaction
from support.audit_logs import ORIGIN, LogStand, make_stand
from support.large_logs import cut_front, lengthen
from support.static_server import served
from support.tile_reader import TileReader


def publish(stand: LogStand) -> Publication:
    """Publish the log into the folder `public` beside it."""
    return publish_log(stand.engine, stand.signer.verifier_key, stand.folder / "public")


def files(stand: LogStand) -> set[str]:
    """Return the paths of what is published, without the publisher's own files."""
    public = stand.folder / "public"
    paths = (path.relative_to(public) for path in public.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if not path.name.startswith(".")}


def records(stand: LogStand) -> list[bytes]:
    """Return every record."""
    found: list[bytes] = []
    while page := stand.log.records(after=len(found) - 1, limit=1000):
        found += [record.body for record in page]
    return found


def reader_of(stand: LogStand) -> TileReader:
    """Read what is published."""
    return TileReader(lambda path: (stand.folder / "public" / path).read_bytes())


def check_all(stand: LogStand) -> None:
    """Prove every record from the published files alone."""
    reader = reader_of(stand)
    for number, record in enumerate(records(stand)[: reader.size]):
        reader.check_record(number, record)


def grow(stand: LogStand, size: int) -> None:
    """Let the log hold `size` records."""
    if size > read_checkpoint(stand.log.checkpoint()).size:
        lengthen(stand.engine, stand.signer, size)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700])
def test_everything_that_a_reader_asks_for_is_there(stand: LogStand, size: int) -> None:
    """The checkpoint, and exactly the tiles that C2SP tlog-tiles names for its size, byte for byte."""
    grow(stand, size)
    done = publish(stand)
    wanted = dict(tiles_of(records(stand)))

    assert done == Publication(size=size, tiles=len(wanted))
    assert files(stand) == {"checkpoint", *wanted}
    assert (stand.folder / "public" / "checkpoint").read_bytes() == stand.log.checkpoint()
    assert all((stand.folder / "public" / path).read_bytes() == data for path, data in wanted.items())
    check_all(stand)


def test_only_what_is_new_is_written(stand: LogStand) -> None:
    """A tile that is whole is never touched again; nothing new writes nothing."""
    grow(stand, 600)
    publish(stand)
    whole = stand.folder / "public" / "tile" / "entries" / "000"
    before = whole.stat()
    grow(stand, 610)

    assert publish(stand) == Publication(size=610, tiles=2)
    assert publish(stand) == Publication(size=610, tiles=0)
    assert (whole.stat().st_ino, whole.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    check_all(stand)


def test_a_partial_tile_goes_one_publication_after_it_is_whole(stand: LogStand) -> None:
    """Whoever reads by the checkpoint before finds its tiles; by the one before that nobody reads any more."""
    for size, partial in ((250, {250}), (255, {250, 255}), (300, {250, 255}), (301, set())):
        grow(stand, size)
        publish(stand)
        widths = {int(path.rpartition("/")[2]) for path in files(stand) if "tile/0/000.p/" in path}
        assert widths == partial, size
        check_all(stand)
    assert "tile/0/001.p/44" in files(stand)


@settings(max_examples=6, deadline=None)
@given(sizes=st.lists(st.integers(1, 800), min_size=2, max_size=6, unique=True).map(sorted))
def test_whatever_the_steps_the_end_is_the_same(sizes: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    """Published at any sizes, a log has all tiles of the last, and of the one before while somebody may read by it."""
    stand = make_stand(tmp_path_factory.mktemp("steps"))
    for size in sizes:
        grow(stand, size)
        publish(stand)
        earlier = files(stand)
    stand.engine.dispose()

    assert {path for path, _ in tiles_of(records(stand))} <= earlier
    check_all(stand)


@settings(max_examples=30, deadline=None)
@given(before=st.integers(0, 200_000), more=st.integers(0, 10**4))
def test_new_tiles_are_those_that_were_not_there(before: int, more: int) -> None:
    """All tiles of the larger log but those of the smaller one."""
    size = before + more
    assert set(new_tiles(before, size)) == set(new_tiles(0, size)) - set(new_tiles(0, before))
    assert set(partial_tiles(size)) == {tile for tile in new_tiles(0, size) if tile.width < 256}


def test_the_checkpoint_comes_last(stand: LogStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a publication is stopped, what its checkpoint needs is there, whole; and it goes on from there."""
    grow(stand, 300)
    publish(stand)
    shutil.move(stand.folder / "public", stand.folder / "before")
    grow(stand, 900)
    rename = Path.rename
    for allowed in range(10):
        shutil.rmtree(stand.folder / "public", ignore_errors=True)
        shutil.copytree(stand.folder / "before", stand.folder / "public")
        left = iter(range(allowed))

        def until_stopped(path: Path, target: Path, left: Iterator[int] = left) -> Path:
            if next(left, None) is None:
                raise KeyboardInterrupt
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", until_stopped)
        # Three tiles of records, three of hashes, one above, the checkpoint that was; and the tenth is the new one.
        with pytest.raises(KeyboardInterrupt) if allowed < 9 else contextlib.nullcontext():
            publish(stand)
        monkeypatch.undo()
        assert reader_of(stand).size == (300 if allowed < 9 else 900)
        check_all(stand)
        assert publish(stand).tiles == max(7 - allowed, 0)
        check_all(stand)


def test_a_publication_that_was_stopped_goes_on(stand: LogStand) -> None:
    """Tiles that lie there without a checkpoint are taken, if they are the log's."""
    grow(stand, 300)
    publish(stand)
    (stand.folder / "public" / "checkpoint").unlink()
    (stand.folder / "public" / ".draft").write_bytes(b"half a ti")

    assert publish(stand) == Publication(size=300, tiles=0)
    check_all(stand)


def test_a_tile_that_is_another_is_not_replaced(stand: LogStand) -> None:
    """What was published never changes: it is said, and left as evidence."""
    grow(stand, 300)
    publish(stand)
    tile = stand.folder / "public" / "tile" / "0" / "000"
    tile.write_bytes(b"\0" * len(tile.read_bytes()))
    (stand.folder / "public" / "checkpoint").unlink()

    with pytest.raises(LogInconsistentError, match="tile 0/000"):
        publish(stand)
    assert not (stand.folder / "public" / "checkpoint").exists()


def test_a_log_that_went_back_is_not_published(stand: LogStand) -> None:
    """A restored backup: by name, and what is published stays."""
    stand.fill(10)
    publish(stand)
    stand.cut(5)

    with pytest.raises(LogBehindError, match="11 records that were published") as caught:
        publish(stand)
    assert caught.value.code == "audit.log_behind"
    assert reader_of(stand).size == 11


def test_another_history_is_not_published(stand: LogStand, tmp_path: Path) -> None:
    """A log of the same name and key that does not begin with what was published."""
    stand.fill(10)
    publish(stand)
    (tmp_path / "other").mkdir()
    other = make_stand(tmp_path / "other")
    other.fill(20)

    with pytest.raises(LogInconsistentError, match="begin with the 11 records") as caught:
        publish_log(other.engine, other.signer.verifier_key, stand.folder / "public")
    assert caught.value.code == "audit.log_inconsistent"
    assert reader_of(stand).size == 11
    other.engine.dispose()


def test_another_logs_folder_is_refused(stand: LogStand) -> None:
    """One folder, one log."""
    public = stand.folder / "public"
    publish(stand)
    (public / "checkpoint").write_bytes(stand.log.checkpoint().replace(ORIGIN.encode(), b"else.example/log"))

    with pytest.raises(ExportError, match=r"else\.example/log"):
        publish(stand)


def test_a_folder_with_something_else_is_refused(stand: LogStand) -> None:
    """A slip of the pen must not strew tiles over somebody's files."""
    public = stand.folder / "public"
    public.mkdir()
    (public / "letter.txt").write_text("Dear Ann")

    with pytest.raises(ExportError, match="want an empty folder"):
        publish(stand)
    assert [path.name for path in public.iterdir()] == ["letter.txt"]


def test_a_checkpoint_by_another_key_is_not_published(stand: LogStand) -> None:
    """Whoever holds the database alone publishes nothing under our name."""
    other = make_signer(ORIGIN, bytes(range(1, 33)))
    with pytest.raises(NoteUnverifiedError):
        publish_log(stand.engine, other.verifier_key, stand.folder / "public")
    with pytest.raises(LogForeignError):
        publish_log(stand.engine, make_signer("else.example", bytes(32)).verifier_key, stand.folder / "public")
    assert not (stand.folder / "public" / "checkpoint").exists()


def test_witnesses_are_shown_where_they_signed(stand: LogStand) -> None:
    """Their lines come with the next publication, although no record came; and no tile is lost for it."""
    stand.fill(3)
    publish(stand)
    note = stand.log.checkpoint()
    witness = make_signer("witness.example", bytes(range(2, 34)))
    cosigned = add_cosignatures(note, [cosign(note, witness, EpochNs(1_700_000_000 * NS_PER_S))])
    with write_transaction(stand.engine) as connection:
        add_cosigned(connection, ORIGIN, read_checkpoint(note).size, cosigned)

    assert publish(stand) == Publication(size=4, tiles=0)
    assert (stand.folder / "public" / "checkpoint").read_bytes() == cosigned
    check_all(stand)


def test_a_pruned_log_is_published_from_where_it_begins(stand: LogStand) -> None:
    """What was published before stays; a new folder has the tiles from the minimum index on, and the tree above."""
    grow(stand, 1100)
    publish(stand)
    cut_front(stand.engine, 512)
    grow(stand, 1200)
    kept = files(stand)
    publish(stand)
    shutil.move(stand.folder / "public", stand.folder / "old")
    publish(stand)

    assert {"tile/entries/000", "tile/0/001"} <= kept
    assert not {"tile/entries/000", "tile/entries/001", "tile/0/000", "tile/0/001"} & files(stand)
    assert {"tile/entries/002", "tile/0/002", "tile/1/000.p/4"} <= files(stand)


def test_what_was_pruned_before_it_was_published_is_missed(stand: LogStand) -> None:
    """A gap in a publication is refused, not papered over."""
    grow(stand, 100)
    publish(stand)
    grow(stand, 1100)
    cut_front(stand.engine, 512)

    with pytest.raises(ExportError, match="records before 512 were pruned"):
        publish(stand)


def test_a_missing_hash_is_said(stand: LogStand) -> None:
    """No tile that is shorter than its name says, and no checkpoint over it."""
    grow(stand, 300)
    stand.edit("DELETE FROM audit_node WHERE level = 0 AND idx = 5")

    with pytest.raises(LogInconsistentError):
        publish(stand)
    assert not (stand.folder / "public" / "checkpoint").exists()


def test_the_folder_is_its_owners(stand: LogStand) -> None:
    """Records hold names; who else reads them is the operator's to say."""
    publish(stand)
    assert stat.S_IMODE((stand.folder / "public").stat().st_mode) == 0o700
    with pytest.raises(ExportError, match="cannot publish"):
        publish_log(stand.engine, stand.signer.verifier_key, stand.folder / "missing" / "public")


def test_two_who_publish_take_turns(stand: LogStand) -> None:
    """The second waits, so that an older checkpoint never replaces a newer one."""
    grow(stand, 300)
    publish(stand)
    done: list[Publication] = []
    with publishing._alone_in(stand.folder / "public"):
        thread = threading.Thread(target=lambda: done.append(publish(stand)))
        thread.start()
        thread.join(0.3)
        assert done == []
    thread.join()
    assert done == [Publication(size=300, tiles=0)]


def test_readers_never_miss_a_tile(stand: LogStand) -> None:
    """While the log grows and is published again and again, whoever reads proves every record of his checkpoint."""
    publish(stand)
    problems: list[BaseException] = []
    until = threading.Event()

    def read() -> None:
        try:
            while not until.is_set():
                reader = reader_of(stand)
                for number in range(0, reader.size, 50):
                    reader.check_record(number, reader.entries(number // 256)[number % 256])
        except BaseException as exc:  # noqa: BLE001 - the test shows it
            problems.append(exc)

    thread = threading.Thread(target=read)
    thread.start()
    for size in range(20, 600, 37):
        grow(stand, size)
        publish(stand)
    until.set()
    thread.join()

    assert problems == []


def fetch_from(url: str) -> Callable[[str], bytes]:
    """Return what fetches a path below a prefix."""

    def fetch(path: str) -> bytes:
        with urllib.request.urlopen(f"{url}/{path}", timeout=10) as answer:  # noqa: S310 - a loopback address
            data: bytes = answer.read()
            return data

    return fetch


def test_a_plain_web_server_serves_it(stand: LogStand) -> None:
    """Every path is a file of that name, and every record is proved over HTTP."""
    grow(stand, 600)
    publish(stand)
    with served(stand.folder / "public") as url:
        reader = TileReader(fetch_from(url))
        for number, record in enumerate(records(stand)):
            reader.check_record(number, record)
            assert reader.entries(number // 256)[number % 256] == record
        reader.check_upper_tiles()
    assert reader.size == 600


def test_tiles_are_named_once() -> None:
    """A tile of records stands before those of hashes, levels upwards."""
    assert list(new_tiles(256, 258)) == [
        Tile(level=None, index=1, width=2),
        Tile(level=0, index=1, width=2),
    ]
