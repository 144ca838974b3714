"""The vectors of docs/formats/vectors: made again they are the same, and both verifiers say of each what it wants."""

# ruff: noqa: TID251 - the vectors are their own JSON, wider than what the service reads
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from interop.readers import LockgateReader, Reader, SpecReader
from interop.vectors.files import FILES

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "docs" / "formats" / "vectors"


@pytest.fixture(params=[LockgateReader, SpecReader])
def reader(request: pytest.FixtureRequest) -> Reader:
    """Each of the two verifiers in turn."""
    made: Reader = request.param()
    return made


def _load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((VECTORS / name).read_bytes())
    return loaded


def _cases(name: str, kind: str) -> pytest.MarkDecorator:
    cases = _load(name)[kind]
    return pytest.mark.parametrize("case", cases, ids=[case["name"] for case in cases])


def test_the_script_makes_these_bytes(tmp_path: Path) -> None:
    """The script writes exactly the files that are kept."""
    subprocess.run([sys.executable, ROOT / "scripts" / "make-vectors", tmp_path], check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    assert made == {path.name: path.read_bytes() for path in VECTORS.glob("*.json")}
    assert made.keys() == FILES.keys()


@pytest.mark.parametrize("name", FILES)
def test_names_are_unique(name: str) -> None:
    """Within a list of vectors each name stands for one."""
    for cases in _load(name).values():
        if isinstance(cases, list) and isinstance(cases[0], dict) and "name" in cases[0]:
            names = [case["name"] for case in cases]

            assert len(names) == len(set(names)) > 2


@_cases("records.json", "valid")
def test_record(reader: Reader, case: dict[str, Any]) -> None:
    """It is a record, and this is its leaf hash."""
    leaf = reader.leaf(bytes.fromhex(case["record_hex"]))

    assert leaf is not None
    assert leaf.hex() == case["leaf"]


@_cases("records.json", "invalid")
def test_no_record(reader: Reader, case: dict[str, Any]) -> None:
    """It is no record."""
    assert reader.leaf(bytes.fromhex(case["record_hex"])) is None


@_cases("keys.json", "valid")
def test_key(reader: Reader, case: dict[str, Any]) -> None:
    """It is a key of its type, and none of the other."""
    facts = {name: case[name] for name in ("key_name", "key_id", "public_key")}

    assert reader.key(case["key"], case["type"]) == facts
    assert reader.key(case["key"], 5 - case["type"]) is None


@_cases("keys.json", "invalid")
def test_no_key(reader: Reader, case: dict[str, Any]) -> None:
    """It is no key."""
    assert reader.key(case["key"], case["type"]) is None


@_cases("checkpoints.json", "valid")
def test_checkpoint(reader: Reader, case: dict[str, Any]) -> None:
    """It is believed, and says this."""
    said = {name: case[name] for name in ("origin", "size", "root")}

    assert reader.checkpoint(bytes.fromhex(case["note_hex"]), case["keys"]) == said


@_cases("checkpoints.json", "invalid")
def test_no_checkpoint(reader: Reader, case: dict[str, Any]) -> None:
    """It is not believed, for this reason."""
    assert reader.checkpoint(bytes.fromhex(case["note_hex"]), case["keys"]) == case["code"]


def test_tree(reader: Reader) -> None:
    """Every inclusion path leads to its root, and every consistency proof to both; none does to another."""
    tree = _load("tree.json")
    leaves, roots = ([bytes.fromhex(digest) for digest in tree[name]] for name in ("leaves", "roots"))
    for case in tree["inclusion"]:
        path = [bytes.fromhex(digest) for digest in case["path"]]

        assert reader.root(leaves[case["index"]], case["index"], case["size"], path) == roots[case["size"]]
        assert reader.root(leaves[case["index"]], case["index"], case["size"], [*path, roots[0]]) is None
    for case in tree["consistency"]:
        path = [bytes.fromhex(digest) for digest in case["path"]]
        old, new = case["old"], case["new"]

        assert reader.grew(old, new, (roots[old], roots[new]), path)
        assert not reader.grew(old, new, (roots[0], roots[new]), path)
        assert not reader.grew(old, new, (roots[old], roots[0]), path)


@_cases("tlog_proofs.json", "valid")
def test_tlog_proof(reader: Reader, case: dict[str, Any]) -> None:
    """It has the form of a proof, and says this."""
    assert reader.proof(case["proof"]) == {name: case[name] for name in ("index", "path", "checkpoint")}


@_cases("tlog_proofs.json", "invalid")
def test_no_tlog_proof(reader: Reader, case: dict[str, Any]) -> None:
    """It has another form."""
    assert reader.proof(case["proof"]) is None


@_cases("receipts.json", "valid")
def test_receipt(reader: Reader, case: dict[str, Any]) -> None:
    """It is believed."""
    assert reader.believes(case["receipt"], case["keys"])


@_cases("receipts.json", "invalid")
def test_no_receipt(reader: Reader, case: dict[str, Any]) -> None:
    """It is not believed."""
    assert not reader.believes(case["receipt"], case["keys"])


@_cases("policies.json", "valid")
def test_policy(reader: Reader, case: dict[str, Any]) -> None:
    """It is a policy file, and names these."""
    assert reader.policy(case["policy"]) == {name: case[name] for name in ("logs", "witnesses", "quorum")}


@_cases("policies.json", "invalid")
def test_no_policy(reader: Reader, case: dict[str, Any]) -> None:
    """It is no policy file."""
    assert reader.policy(case["policy"]) is None


@_cases("cosigned.json", "valid")
def test_cosigned(reader: Reader, case: dict[str, Any]) -> None:
    """The checkpoint is believed, and these vouch for it."""
    found = {name: case[name] for name in ("size", "cosigned", "quorum_met")}

    assert reader.cosigned(bytes.fromhex(case["note_hex"]), case["policy"]) == found


@_cases("cosigned.json", "invalid")
def test_not_cosigned(reader: Reader, case: dict[str, Any]) -> None:
    """The note is refused, for this reason."""
    assert reader.cosigned(bytes.fromhex(case["note_hex"]), case["policy"]) == case["code"]


@_cases("disclosures.json", "valid")
def test_disclosure(reader: Reader, case: dict[str, Any]) -> None:
    """It is a disclosure of its commitment, and discloses this."""
    assert reader.discloses(case["document"].encode(), case["commitment"]) == case["discloses"]


@_cases("disclosures.json", "invalid")
def test_no_disclosure(reader: Reader, case: dict[str, Any]) -> None:
    """It is no disclosure of its commitment."""
    assert reader.discloses(case["document"].encode(), case["commitment"]) is None


@_cases("logs.json", "cases")
def test_log(reader: Reader, case: dict[str, Any], tmp_path: Path) -> None:
    """The verdicts, the first record in doubt and the codes are these; there may be more codes where one is wanted."""
    for name, lines in case["files"].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes("".join(lines).encode())
    found = reader.verdict(tmp_path, case["policy"], [note.encode() for note in case["held"]])
    codes = found.pop("codes")

    assert found == {name: case[name] for name in found}
    assert set(case["codes"]) <= codes
    assert bool(case["codes"]) == bool(codes)
