"""Hashing what is live: how long one version may take, and whose turn it is."""

import time
from pathlib import Path

import pytest

from lockgate.digests import sha256_of
from lockgate.policy.wasm import WasmEngine
from lockgate.reconciling import hashing, store
from lockgate.reconciling.hashing import HASHED, hash_version
from lockgate.registry import RegistryUnavailableError
from lockgate.registry.mlflow import MLflowRegistry
from lockgate.storage import read_transaction
from support.gate_server import Reply
from support.reconcilers import bring_live, watched_builtin
from support.registries import registry_settings
from support.registry_answers import MLFLOW_ANSWERS, MODEL, VERSION, canned_registry

FILE = "/api/2.0/mlflow-artifacts/artifacts/1/models/m/artifacts/MLmodel"


def test_a_version_has_its_time_however_slowly_a_file_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that comes byte by byte, or not at all, holds the job up no longer than a version may."""
    monkeypatch.setattr(hashing, "VERSION_S_MAX", 0.5)
    with canned_registry(MLFLOW_ANSWERS) as canned:
        canned.replies[FILE] = Reply(body=b"flavors", byte_s=3)
        began = time.monotonic()
        with pytest.raises(RegistryUnavailableError):
            hash_version(MLflowRegistry(registry_settings(canned.url)), MODEL, VERSION, sha256_of(b""))

        assert time.monotonic() - began < 2.5


def test_a_version_has_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are read of one version, and no more."""
    with canned_registry(MLFLOW_ANSWERS) as canned:
        canned.replies[FILE] = Reply(body=b"flavors")
        registry = MLflowRegistry(registry_settings(canned.url))
        assert hash_version(registry, MODEL, VERSION, sha256_of(b"flavors")) is None
        monkeypatch.setattr(hashing, "VERSION_BYTES_MAX", 6)

        with pytest.raises(RegistryUnavailableError, match="6 bytes"):
            hash_version(registry, MODEL, VERSION, sha256_of(b"flavors"))


def test_a_version_that_ends_the_process_is_not_the_first_again(
    tmp_path: Path, engine: WasmEngine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its turn counts when it begins: whoever comes after a process that died begins with the next one."""
    watched = watched_builtin(tmp_path, engine, database_url)
    bring_live(watched)

    def die(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(watched.gate.services.registries["builtin"], "find_version", die)
    with pytest.raises(SystemExit):
        watched.hashing.run()
    with read_transaction(watched.gate.database) as connection:
        marks = store.read_marks(connection, HASHED)

    assert list(marks.values()) == [watched.gate.clock.now_ns()]
