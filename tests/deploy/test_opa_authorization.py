"""OPA's own authorisation policy, by its Rego tests; tests/deploy/test_topology.py asks a running OPA."""

from pathlib import Path

import pytest

from lockgate.canonical_json import parse_json
from lockgate.policy.opa_binary import run_opa
from support.compose_file import ROOT

FOLDER = ROOT / "deploy" / "opa"

pytestmark = pytest.mark.opa


def test_its_own_tests_pass_and_reach_every_line(opa_binary: Path) -> None:
    """Every test passes, and no line is left out."""
    said = run_opa(opa_binary, ["test", "--coverage", "--format", "json", "."], cwd=FOLDER)

    assert parse_json(said.encode(), bytes_max=1_000_000)["coverage"] == 100


def test_it_is_strict_and_well_formatted(opa_binary: Path) -> None:
    """As the rules of the gate are."""
    run_opa(opa_binary, ["check", "--strict", "."], cwd=FOLDER)

    assert run_opa(opa_binary, ["fmt", "--list", "."], cwd=FOLDER) == ""
