"""Go's checksum database code, golang.org/x/mod/sumdb/{note,tlog}, reads what Lockgate writes."""

# ruff: noqa: TID251 - the Go program's answer is its own JSON
import base64
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from interop.tile_tree import tiles_of
from lockgate.audit import AuditLog, KindCatalogue, Outcome
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.cosignatures import add_cosignatures, cosign
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.reading.export import export_log
from lockgate.audit.reading.publishing import publish_log
from lockgate.clock import NS_PER_S, EpochNs
from support.audit_logs import ORIGIN, LogStand, make_event, make_stand
from support.large_logs import lengthen
from support.static_server import served

SIZES = [1, 2, 255, 256, 257, 1000]
BATCH = 64  # the most events of one transaction
RUN_S_MAX = 60
OLD = make_signer(ORIGIN, bytes(range(32)))  # the stand's
NEW = make_signer(ORIGIN, bytes(range(1, 33)))
VKEY = str(OLD.verifier_key)


@dataclass(frozen=True, kw_only=True)
class Grown:
    """A log, and an export made at each of `SIZES` as it grew."""

    stand: LogStand
    exports: dict[int, Path]


def _grow_singly(stand: LogStand, size: int) -> None:
    stand.fill(size - read_checkpoint(stand.log.checkpoint()).size)


def _grow_in_batches(stand: LogStand, size: int) -> None:
    while missing := size - read_checkpoint(stand.log.checkpoint()).size:
        outcome = Outcome(value=None, events=tuple(make_event(f"event {n}") for n in range(min(BATCH, missing))))
        stand.log.transact(partial(_say, outcome))


def _export(stand: LogStand, name: str) -> Path:
    out = stand.folder / name
    export_log(stand.engine, ORIGIN, out, tiles=True)
    return out


def _say(outcome: Outcome[None], _connection: Connection) -> Outcome[None]:
    return outcome


@pytest.fixture(scope="module", params=[_grow_singly, _grow_in_batches], ids=["single", "batch"])
def grown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Grown:
    """A log of 1000 records, written one by one and in batches."""
    stand = make_stand(tmp_path_factory.mktemp("grown"))
    exports = {}
    for size in SIZES:
        request.param(stand, size)
        exports[size] = _export(stand, f"export-{size}")
    return Grown(stand=stand, exports=exports)


@pytest.fixture
def export(stand: LogStand) -> Path:
    """An export of five records, two of them one transaction's; to be changed."""
    stand.fill(2)
    stand.log.transact(partial(_say, Outcome(value=None, events=(make_event("one"), make_event("two")))))
    return _export(stand, "export")


def _go(program: Path, *args: str, asked: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run the Go program; its exit status and its "error" must say the same."""
    done = subprocess.run(
        [program, *args], check=False, capture_output=True, text=True, input=json.dumps(asked), timeout=RUN_S_MAX
    )
    assert done.stderr == ""
    answer: dict[str, Any] = json.loads(done.stdout)
    assert (done.returncode == 0) == (answer["error"] == "")
    return answer


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("size", SIZES)
def test_go_reads_an_export(go_interop: Path, grown: Grown, size: int) -> None:
    """Go opens every checkpoint and computes every signed root from the records."""
    export = grown.exports[size]
    answer = _go(go_interop, "log", str(export), VKEY)

    assert answer["error"] == ""
    assert answer["size"] == size
    assert answer["root"] == _b64(read_checkpoint((export / "checkpoint").read_bytes()).root)
    assert answer["checkpoints"] == (export / "checkpoints.txt").read_bytes().count(ORIGIN.encode()) // 2
    assert (answer["signers"], answer["strangers"]) == ([OLD.verifier_key.key_id.hex()], 0)


@pytest.mark.parametrize("size", SIZES)
def test_go_reads_the_tiles(go_interop: Path, grown: Grown, size: int) -> None:
    """Go finds every record through the tile tree, authenticated up to the signed root."""
    answer = _go(go_interop, "tiles", str(grown.exports[size]), VKEY)

    assert (answer["error"], answer["records"]) == ("", size)


def test_go_reads_what_is_published_over_http(go_interop: Path, stand: LogStand) -> None:
    """A folder that was published into, step by step, behind a plain web server: every record is in the signed tree."""
    for size in (100, 300, 700):
        lengthen(stand.engine, stand.signer, size)
        publish_log(stand.engine, stand.signer.verifier_key, stand.folder / "public")
        with served(stand.folder / "public") as url:
            answer = _go(go_interop, "tiles", url, VKEY)
        assert (answer["error"], answer["records"]) == ("", size)


@pytest.mark.parametrize("size", SIZES)
def test_tiles_are_those_of_the_specification(grown: Grown, size: int) -> None:
    """An export's tiles are byte for byte those that the specification asks for, and there are no others."""
    export = grown.exports[size]
    tiles = {
        str(path.relative_to(export)): path.read_bytes() for path in (export / "tile").rglob("*") if path.is_file()
    }

    assert tiles == dict(tiles_of((export / "records.jsonl").read_bytes().splitlines()))


def test_go_checks_our_proofs(go_interop: Path, grown: Grown) -> None:
    """Inclusion of records all over the tree, and consistency of each size with each, hold in Go."""
    asked = _proofs(grown)
    answer = _go(go_interop, "proofs", asked=asked)

    assert answer["error"] == ""
    assert answer["failures"] == [""] * (len(asked["inclusion"]) + len(asked["consistency"]))
    assert len(answer["failures"]) > 300


def test_go_refuses_every_changed_proof(go_interop: Path, grown: Grown) -> None:
    """One bit changed in any hash, a hash more or less, or another position: no such proof holds in Go."""
    changed: dict[str, list[Any]] = {"inclusion": [], "consistency": []}
    proofs = _proofs(grown)
    for kind, roots in (("inclusion", ("leaf", "root")), ("consistency", ("oldroot", "newroot"))):
        for proof in proofs[kind]:
            if not proof["path"]:
                continue
            changed[kind] += [proof | {name: _flipped(proof[name])} for name in roots]
            for place, item in enumerate(proof["path"]):
                path = list(proof["path"])
                path[place] = _flipped(item)
                changed[kind].append(proof | {"path": path})
            changed[kind] += [proof | {"path": path} for path in (proof["path"][1:], [*proof["path"], _b64(bytes(32))])]
    changed["inclusion"] += [proof | {"index": proof["index"] ^ 1} for proof in proofs["inclusion"] if proof["path"]]
    answer = _go(go_interop, "proofs", asked=changed)

    assert len(answer["failures"]) == len(changed["inclusion"]) + len(changed["consistency"]) > 5000
    assert all(answer["failures"])


def _proofs(grown: Grown) -> dict[str, list[dict[str, Any]]]:
    roots = {size: _b64(read_checkpoint((grown.exports[size] / "checkpoint").read_bytes()).root) for size in SIZES}
    leaves = [_b64(record.leaf) for record in grown.stand.log.records(limit=1000)]
    log = grown.stand.log
    inclusion = [
        {
            "index": index,
            "size": size,
            "leaf": leaves[index],
            "root": roots[size],
            "path": list(map(_b64, log.inclusion_proof(index, size))),
        }
        for size in SIZES
        for index in sorted({*range(0, size, 1 + size // 100), size - 1})
    ]
    consistency = [
        {
            "old": old,
            "new": new,
            "oldroot": roots[old],
            "newroot": roots[new],
            "path": list(map(_b64, log.consistency_proof(old, new))),
        }
        for new in SIZES
        for old in SIZES
        if old <= new
    ]
    return {"inclusion": inclusion, "consistency": consistency}


def _flipped(encoded: str) -> str:
    data = base64.b64decode(encoded)
    return _b64(data[:-1] + bytes([data[-1] ^ 1]))


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def _flip_a_record(export: Path) -> None:
    _flip(export / "records.jsonl", (export / "records.jsonl").read_bytes().index(b"tested"))


def _drop_the_last_record(export: Path) -> None:
    records = (export / "records.jsonl").read_bytes().splitlines(keepends=True)
    (export / "records.jsonl").write_bytes(b"".join(records[:-1]))


def _swap_two_records(export: Path) -> None:
    records = (export / "records.jsonl").read_bytes().splitlines(keepends=True)
    (export / "records.jsonl").write_bytes(b"".join([*records[:-2], records[-1], records[-2]]))


def _edit_the_newest(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def edit(export: Path) -> None:
        old = (export / "checkpoint").read_bytes()
        new = change(old)
        assert new != old
        (export / "checkpoint").write_bytes(new)
        notes = (export / "checkpoints.txt").read_bytes()
        (export / "checkpoints.txt").write_bytes(notes.removesuffix(old) + new)

    return edit


def _other_root(note: bytes) -> bytes:
    lines = note.split(b"\n")
    lines[2] = _flipped(lines[2].decode()).encode()
    return b"\n".join(lines)


def _other_signature(note: bytes) -> bytes:
    encoded = note.split()[-1]
    return note.replace(encoded, _flipped(encoded.decode()).encode())


MUTATIONS = {
    "record": (_flip_a_record, "the root over"),
    "last record dropped": (_drop_the_last_record, "want 5 records"),
    "records swapped": (_swap_two_records, "the root over"),
    "root": (_edit_the_newest(_other_root), "invalid signature"),
    "signature": (_edit_the_newest(_other_signature), "invalid signature"),
    "size": (_edit_the_newest(lambda note: note.replace(b"\n5\n", b"\n6\n")), "invalid signature"),
    "no signature": (_edit_the_newest(lambda note: note.partition(b"\n\n")[0] + b"\n\n"), "want signatures"),
    "stranger's key ID": (
        _edit_the_newest(
            lambda note: (
                re.sub(rb"\S+\n\Z", _b64(bytes(4) + base64.b64decode(note.split()[-1])[4:]).encode(), note) + b"\n"
            )
        ),
        "no verifiable signatures",
    ),
}


@pytest.mark.parametrize(("mutate", "said"), MUTATIONS.values(), ids=MUTATIONS)
def test_go_refuses_a_changed_export(go_interop: Path, export: Path, mutate: Callable[[Path], None], said: str) -> None:
    """What was changed after it was signed is refused by Go too."""
    assert _go(go_interop, "log", str(export), VKEY)["error"] == ""
    mutate(export)

    assert said in _go(go_interop, "log", str(export), VKEY)["error"]


@pytest.mark.parametrize("changed", ["tile/0/000.p/5", "tile/entries/000.p/5", "checkpoint"])
def test_go_refuses_changed_tiles(go_interop: Path, export: Path, changed: str) -> None:
    """One bit changed in a tile, in an entry bundle or under the signature, and Go does not believe it."""
    assert _go(go_interop, "tiles", str(export), VKEY)["error"] == ""
    _flip(export / changed, 60)

    assert _go(go_interop, "tiles", str(export), VKEY)["error"] != ""


def test_go_reads_a_cosigned_checkpoint(go_interop: Path, export: Path) -> None:
    """Lines of witnesses are lines of strangers to Go: it opens the note by the log's own."""
    note = (export / "checkpoint").read_bytes()
    witness = make_signer("witness.example", bytes(32))
    (export / "checkpoint").write_bytes(
        add_cosignatures(note, [cosign(note, witness, EpochNs(1_800_000_000 * NS_PER_S))])
    )
    answer = _go(go_interop, "tiles", str(export), VKEY)

    assert (answer["error"], answer["records"], answer["strangers"]) == ("", 5, 1)
    assert answer["signers"] == [OLD.verifier_key.key_id.hex()]


def test_go_refuses_another_key(go_interop: Path, export: Path) -> None:
    """A checkpoint under a key that the reader does not hold is not believed."""
    assert "no verifiable signatures" in _go(go_interop, "log", str(export), str(NEW.verifier_key))["error"]


def test_go_reads_both_signatures_of_a_key_change(go_interop: Path, stand: LogStand) -> None:
    """While keys change each checkpoint has both signatures: whoever holds one of the keys still verifies."""
    stand.fill(3)
    changing = AuditLog(
        engine=stand.engine,
        signer=NEW,
        clock=stand.clock,
        catalogue=KindCatalogue({}),
        instance="test",
        checkpoint_file=stand.checkpoint_file,
        former_signer=OLD,
    )
    changing.append(make_event())
    export = _export(stand, "export")
    both = _go(go_interop, "log", str(export), VKEY, str(NEW.verifier_key))
    old_alone = _go(go_interop, "log", str(export), VKEY)
    new_alone = _go(go_interop, "tiles", str(export), str(NEW.verifier_key))

    ids = [signer.verifier_key.key_id.hex() for signer in (NEW, OLD)]
    assert (both["error"], both["signers"], both["strangers"]) == ("", ids, 0)
    assert (old_alone["error"], old_alone["signers"], old_alone["strangers"]) == ("", ids[1:], 1)
    assert (new_alone["error"], new_alone["signers"], new_alone["records"]) == ("", ids[:1], 5)
