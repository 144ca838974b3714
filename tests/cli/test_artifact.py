"""What a model's bytes become before anything is sent."""

import hashlib
from pathlib import Path
from typing import Final

import pytest

from lockgate.evidence.model_folder import hash_model
from support.commands import Run
from support.gate_server import GateServer

_REQUEST: Final = ("request", "fraud-detector", "1.4.0", "--from", "staging", "--to", "production")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder with its signature inside."""
    folder = tmp_path / "model"
    (folder / "weights").mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    (folder / "weights" / "0.bin").write_bytes(b"weights")
    (folder / "model.sig").write_bytes(b"{}")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_bytes(b"ref: refs/heads/main")
    return folder


def test_file(run: Run, gate: GateServer, model: Path) -> None:
    """A file's digest is the SHA-256 of its bytes."""
    run(*_REQUEST, "--artifact", str(model / "weights" / "0.bin"))

    assert gate.calls[0].body["digest"] == "sha256:" + hashlib.sha256(b"weights").hexdigest()


def test_folder(run: Run, gate: GateServer, model: Path) -> None:
    """A folder's digest is the model signing digest of everything in it; progress stays off what is no terminal."""
    ended = run(*_REQUEST, "--model-dir", str(model))

    assert gate.calls[0].body["digest"] == str(hash_model(model).digest)
    assert "hashing" not in ended.out + ended.err


def test_folder_without_its_signature(run: Run, gate: GateServer, model: Path) -> None:
    """A bundle inside the folder and what --ignore names are left out; what is outside the folder does not matter."""
    outside = model.parent / "other.sig"
    outside.write_bytes(b"{}")

    run(
        *(*_REQUEST, "--model-dir", str(model), "--bundle", str(model / "model.sig")),
        *("--bundle", str(outside), "--ignore", ".git"),
    )

    assert gate.calls[0].body["digest"] == str(hash_model(model, ignore=["model.sig", ".git"]).digest)
    assert len(gate.calls[0].body["evidence"]) == 2


def test_folder_with_a_link(run: Run, gate: GateServer, model: Path) -> None:
    """A folder that cannot be hashed ends the command before anything is sent."""
    (model / "link").symlink_to("config.json")

    ended = run(*_REQUEST, "--model-dir", str(model))

    assert ended.code == 2
    assert gate.calls == []


def test_ignore_without_a_folder(run: Run, gate: GateServer, model: Path) -> None:
    """A file has nothing to ignore."""
    ended = run(*_REQUEST, "--artifact", str(model / "config.json"), "--ignore", ".git")

    assert ended.code == 2
    assert gate.calls == []
