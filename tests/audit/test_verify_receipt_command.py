"""`lockgate audit verify-receipt`: one receipt, one key, one exit code."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from lockgate.audit.formats.notes import make_signer
from lockgate.cli.audit import audit
from support.gates import GateUnderTest


def verify(file: Path, key: object) -> tuple[int, str]:
    """Run the command."""
    done = CliRunner().invoke(audit, ["verify-receipt", str(file), "--key", str(key)])
    return done.exit_code, done.output


@pytest.fixture
def receipt(gate: GateUnderTest) -> dict[str, Any]:
    """A receipt of a real decision."""
    kept: dict[str, Any] = gate.request()["receipt"]
    return kept


def written(folder: Path, receipt: object) -> Path:
    """Write a receipt's file."""
    file = folder / "receipt.json"
    file.write_bytes(orjson.dumps(receipt))
    return file


def test_a_receipt_verifies(gate: GateUnderTest, receipt: dict[str, Any], tmp_path: Path) -> None:
    """A receipt as it was given is valid: exit code 0."""
    code, output = verify(written(tmp_path, receipt), gate.key)

    assert code == 0
    assert output.startswith("VALID  record 1 (gate.decision)")


@pytest.mark.parametrize(
    "change",
    [
        {"record": ("pending", "allowed")},
        {"record": ('"seq":1', '"seq":2')},
        {"proof": ("index 1", "index 0")},
    ],
)
def test_a_changed_receipt_is_tampered(
    gate: GateUnderTest, receipt: dict[str, Any], tmp_path: Path, change: dict[str, tuple[str, str]]
) -> None:
    """Another word in the record, another place in the log: exit code 1."""
    for field, (old, new) in change.items():
        assert old in receipt[field]
        receipt[field] = receipt[field].replace(old, new)

    assert verify(written(tmp_path, receipt), gate.key)[0] == 1


def test_a_receipt_of_an_unknown_key_is_unverifiable(
    gate: GateUnderTest, receipt: dict[str, Any], tmp_path: Path
) -> None:
    """Without the key that signed it nothing can be said, so nobody is accused: exit code 2."""
    other = make_signer(gate.key.name, b"\x01" * 32).verifier_key

    assert verify(written(tmp_path, receipt), other)[0] == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"seq":1}', b"\xff"])
def test_what_is_no_receipt_is_unverifiable(gate: GateUnderTest, tmp_path: Path, content: bytes) -> None:
    """A file that is no receipt, or none at all, is no accusation: exit code 2."""
    file = tmp_path / "receipt.json"
    file.write_bytes(content)

    assert verify(file, gate.key)[0] == 2
    assert verify(tmp_path / "none.json", gate.key)[0] == 2
