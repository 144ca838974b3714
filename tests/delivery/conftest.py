"""What tests of executors share."""

from pathlib import Path

import pytest

from lockgate.policy import PolicyEngine
from lockgate.registry import RegistryPort
from support.gates import make_gate
from support.models import register_model, register_version
from support.rollouts import digest_of


@pytest.fixture
def pinned_registry(tmp_path: Path, engine: PolicyEngine) -> RegistryPort:
    """A registry with three versions of `fraud` whose sources name their digests, and a fourth with another source."""
    folder = tmp_path / "registry"
    folder.mkdir()
    gate = make_gate(folder, engine)
    register_model(gate, "fraud")
    for version in "123":
        digest = str(digest_of(version))
        source = f"oci://models.example/fraud@{digest}"
        register_version(gate, "fraud", version=version, digest=digest, source=source)
    register_version(gate, "fraud", version="4", digest=str(digest_of("4")), source="models:/fraud@champion")
    return gate.services.registries["builtin"]
