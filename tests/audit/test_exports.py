"""Exports: what lies in the folder, one snapshot, whole or not at all."""

import stat
import threading
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from lockgate.audit import ExportError, LogForeignError, LogInconsistentError
from lockgate.audit.formats.log_policy import LogKey, LogPolicy, parse_log_policy
from lockgate.audit.formats.merkle import GrowingTree, leaf_hash
from lockgate.audit.reading.export import export_log
from lockgate.audit.reading.reader import LogReader
from lockgate.audit.reading.view_export import export_view
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import parse_json
from lockgate.schemas import check_schema
from lockgate.storage import StorageError, open_engine, write_transaction
from support.audit_logs import ORIGIN, LogStand, make_event, make_stand
from support.databases import PostgreSQLServer
from support.large_logs import cut_front, lengthen


def _policy(folder: Path) -> LogPolicy:
    return parse_log_policy((folder / "policy").read_text())


def test_folder_holds_records_checkpoints_policy_and_attachments(stand: LogStand) -> None:
    """Without tiles, nothing but these; readable by its owner alone."""
    stand.log.append(make_event(attachments=(b"a document",)))
    folder = stand.export()
    key = stand.signer.verifier_key

    assert sorted(path.name for path in folder.iterdir()) == [
        "attachments",
        "checkpoint",
        "checkpoints.txt",
        "policy",
        "records.jsonl",
    ]
    assert (folder / "records.jsonl").read_bytes() == b"".join(record.body + b"\n" for record in stand.log.records())
    assert _policy(folder) == LogPolicy(logs=(LogKey(key=key),))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_tiles_lie_beside_the_other_files(stand: LogStand) -> None:
    """With tiles the folder is a tlog-tiles prefix: exactly the tiles of this size."""
    lengthen(stand.engine, stand.signer, 300)
    folder = stand.folder / "tiles"
    told: list[int] = []

    assert export_log(stand.engine, ORIGIN, folder, tiles=True, advance=told.append) == 300
    assert told == [256, 44]
    assert sorted(path.relative_to(folder).as_posix() for path in (folder / "tile").rglob("*") if path.is_file()) == [
        "tile/0/000",
        "tile/0/001.p/44",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/44",
    ]


def test_a_pruned_log_says_where_it_begins(stand: LogStand) -> None:
    """`pruned.json` holds the chain's last link and the tree's edge, from which the checkpoint's root follows."""
    lengthen(stand.engine, stand.signer, 1000)
    bodies = [record.body for record in stand.log.records(limit=1000)]
    stand.edit("SELECT 1")  # without its triggers
    cut_front(stand.engine, 768)
    folder = stand.folder / "pruned"

    assert export_log(stand.engine, ORIGIN, folder, key=stand.signer.verifier_key) == 1000
    pruned = parse_json((folder / "pruned.json").read_bytes(), bytes_max=10_000)
    check_schema("v1/export/pruned", pruned)
    tree = GrowingTree(768, [bytes.fromhex(edge.removeprefix("sha256:")) for edge in pruned["edge"]])
    lines = (folder / "records.jsonl").read_bytes().splitlines()
    for line in lines:
        tree.append(leaf_hash(line))
    whole = GrowingTree()
    for body in bodies:
        whole.append(leaf_hash(body))

    assert lines == bodies[768:]
    assert (pruned["before"], pruned["leaf"]) == (768, f"sha256:{leaf_hash(bodies[767]).hex()}")
    assert tree.root() == whole.root()
    # The genesis record is gone, so the key comes from whoever exports; without it the policy names none.
    assert _policy(folder) == LogPolicy(logs=(LogKey(key=stand.signer.verifier_key),))
    assert _policy(stand.export()) == LogPolicy(logs=())


def test_an_edge_that_is_gone_is_no_export(stand: LogStand) -> None:
    """A pruned log whose tree lacks a part of its edge cannot be exported."""
    lengthen(stand.engine, stand.signer, 300)
    stand.edit("DELETE FROM audit_node WHERE level = 8")
    cut_front(stand.engine, 256)

    with pytest.raises(LogInconsistentError):
        stand.export()
    assert not (stand.folder / "export").exists()


def test_a_damaged_log_is_exported_as_it_is(stand: LogStand) -> None:
    """Without tiles the rows go out whatever they are: they are the evidence."""
    stand.fill(3)
    stand.edit("DELETE FROM audit_entry WHERE seq = 2")

    assert len((stand.export() / "records.jsonl").read_bytes().splitlines()) == 3


@pytest.mark.parametrize("name", ["/outside", "../../../outside", "../policy", "a\0nul", "AB" * 32, "", b"ab" * 32])
def test_an_attachment_is_written_under_its_digest_alone(stand: LogStand, name: str | bytes) -> None:
    """A row kept under anything else than a SHA-256 is named, and nothing is written in or outside the folder."""
    kept_under = f"{stand.folder}{name}" if name == "/outside" else name
    stand.edit("INSERT INTO audit_attachment (log, sha256, body, seq) VALUES (?, ?, ?, 0)", ORIGIN, kept_under, b"x")
    before = sorted(stand.folder.iterdir())
    with pytest.raises(LogInconsistentError) as caught:
        stand.export()

    assert repr(kept_under[:80]) in str(caught.value)
    assert sorted(stand.folder.iterdir()) == before


@pytest.mark.parametrize("body", [b"{}", b"nonsense", b"genesis"])
def test_a_damaged_key_record_stops_no_export(stand: LogStand, body: bytes) -> None:
    """What a record says of keys may be anything; then the policy names only the key of whoever exports."""
    genesis = stand.log.receipt(0).record
    stand.edit("UPDATE audit_entry SET body = ?", body if body != b"genesis" else genesis.replace(b'"key"', b'"kez"'))
    folder = stand.folder / "export"
    export_log(stand.engine, ORIGIN, folder, key=stand.signer.verifier_key)

    assert _policy(folder) == LogPolicy(logs=(LogKey(key=stand.signer.verifier_key),))


def test_what_may_only_be_read_is_exported(
    migrated_postgresql: PostgreSQLServer, postgresql_url: str, tmp_path: Path
) -> None:
    """A role of PostgreSQL that may change nothing reads and exports."""
    stand = make_stand(tmp_path, postgresql_url)
    stand.fill(3)
    password = sql.Literal(migrated_postgresql.password)
    migrated_postgresql.execute(sql.SQL("CREATE ROLE onlooker LOGIN PASSWORD {}").format(password))
    with write_transaction(stand.engine) as connection:
        connection.exec_driver_sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO onlooker")
    onlooker = open_engine(migrated_postgresql.url(make_url(postgresql_url).database or "", "onlooker"))
    with pytest.raises(StorageError), write_transaction(onlooker) as connection:
        connection.exec_driver_sql("UPDATE audit_head SET size = size")

    assert len(LogReader(onlooker, ORIGIN).find(RecordFilter(actor="ann@example.com"))) == 3
    assert export_log(onlooker, ORIGIN, tmp_path / "export", tiles=True) == 4
    onlooker.dispose()
    stand.engine.dispose()


def test_an_export_is_one_moment_of_the_log(stand: LogStand) -> None:
    """While others write, records, checkpoints and tiles are of one size."""
    lengthen(stand.engine, stand.signer, 520)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            stand.log.append(make_event())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(3):
            folder = stand.folder / f"moment{number}"
            size = export_log(stand.engine, ORIGIN, folder, tiles=True)

            assert len((folder / "records.jsonl").read_bytes().splitlines()) == size
            assert f"\n{size}\n" in (folder / "checkpoint").read_text()
            assert (folder / f"tile/0/002.p/{size - 512}").is_file()
    finally:
        stop.set()
        writer.join()


def _make(stand: LogStand, out: Path, form: str) -> None:
    if form == "folder":
        export_log(stand.engine, ORIGIN, out)
    else:
        export_view(stand.engine, ORIGIN, out, form="csv", wanted=RecordFilter())


@pytest.mark.parametrize("form", ["folder", "csv"])
def test_nothing_is_overwritten(stand: LogStand, form: str) -> None:
    """A file, a folder or a dangling link at the place is left as it is, and no draft stays behind."""
    file, folder, link = (stand.folder / name for name in ("file", "folder", "link"))
    file.write_text("kept")
    folder.mkdir()
    link.symlink_to(stand.folder / "nowhere")
    before = sorted(stand.folder.iterdir())
    for place in (file, folder, link):
        with pytest.raises(ExportError):
            _make(stand, place, form)

    assert sorted(stand.folder.iterdir()) == before
    assert file.read_text() == "kept"


@pytest.mark.parametrize("form", ["folder", "csv"])
def test_a_place_that_cannot_be_written_is_an_error(stand: LogStand, form: str) -> None:
    """A folder that is not there is named as what it is."""
    with pytest.raises(ExportError):
        _make(stand, stand.folder / "missing" / "export", form)


def test_a_log_that_is_not_there_leaves_nothing(stand: LogStand) -> None:
    """Another origin is refused, and no empty folder pretends to be its export."""
    before = sorted(stand.folder.iterdir())
    with pytest.raises(LogForeignError):
        export_log(stand.engine, "other.example/audit", stand.folder / "export")

    assert sorted(stand.folder.iterdir()) == before
