"""What a rule may not say, and that OPA still gets it wrong."""

from pathlib import Path

import pytest

from lockgate.policy import CompiledPolicy, PolicyBuildError, PolicyCatalogue, PolicyRevision
from lockgate.policy.comparison import canonical_bytes, evaluate_by_opa
from lockgate.policy.dialect import read_member, refuse_not_blocks, refuse_scans_in_negations
from lockgate.policy.opa_binary import run_opa
from lockgate.policy.wasm import WasmModule

pytestmark = pytest.mark.opa

NOT_BLOCK = """package m

import future.keywords.not

default allow := false

allow if count(deny) == 0

deny contains "a" if not is_admin(input.user)

deny contains "b" if not {
	some subject in input.subjects
	subject.digest
}

is_admin(user) if user.role == "admin"
"""

NAMED_HELPER = NOT_BLOCK.replace(
    """not {
	some subject in input.subjects
	subject.digest
}""",
    "not has_digest",
).replace(
    "is_admin(user)",
    """has_digest if {
	some subject in input.subjects
	subject.digest
}

is_admin(user)""",
)

HARMFUL = {"user": {"role": "admin"}, "subjects": [{}]}


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A folder with an empty policy."""
    (tmp_path / "policy").mkdir()
    return tmp_path


def build(opa: Path, stage: Path, source: str, target: str) -> bytes:
    """Build one module, without any of our checks."""
    (stage / "policy" / "m.rego").write_text(source)
    out = stage / "bundle.tar.gz"
    arguments = ["build", "--bundle", "--target", target, "--entrypoint", "m/allow", "--output", str(out), "."]
    run_opa(opa, arguments, cwd=stage / "policy")
    return out.read_bytes()


def allowed_by_wasm(wasm: bytes) -> bool:
    """Evaluate the harmful input by a module."""
    catalogue = PolicyCatalogue(revision=PolicyRevision(""), rules=())
    module = WasmModule(
        CompiledPolicy(catalogue=catalogue, entrypoints=("m/allow",), opa_version="", wasm=wasm, data={})
    )
    try:
        return module.evaluate(canonical_bytes(HARMFUL), "m/allow") is True
    finally:
        module.close()


def test_opa_still_gets_not_blocks_wrong(opa_binary: Path, stage: Path) -> None:
    """OPA denies and its Wasm output allows; when this fails, OPA was mended and the ban may be reconsidered."""
    wasm = read_member(build(opa_binary, stage, NOT_BLOCK, "wasm"), "policy.wasm")

    assert evaluate_by_opa("m/allow", opa_binary, stage, [HARMFUL]) == [False]
    assert allowed_by_wasm(wasm)


def test_a_named_helper_is_right_in_both(opa_binary: Path, stage: Path) -> None:
    """The same rule with a named helper is denied by both."""
    wasm = read_member(build(opa_binary, stage, NAMED_HELPER, "wasm"), "policy.wasm")

    assert evaluate_by_opa("m/allow", opa_binary, stage, [HARMFUL]) == [False]
    assert not allowed_by_wasm(wasm)


def test_not_blocks_are_refused_by_their_syntax(opa_binary: Path, stage: Path) -> None:
    """(1) The refusal names the file and the row."""
    (stage / "policy" / "m.rego").write_text(NOT_BLOCK)

    with pytest.raises(PolicyBuildError, match=r"^m\.rego:11: want a named helper"):
        refuse_not_blocks(opa_binary, cwd=stage / "policy", file="m.rego")


def test_scans_in_negations_are_refused_by_the_plan(opa_binary: Path, stage: Path) -> None:
    """(2) The second look alone finds it too."""
    plan = build(opa_binary, stage, NOT_BLOCK, "plan")

    with pytest.raises(PolicyBuildError, match=r"m\.rego:11: want no iteration inside a negation"):
        refuse_scans_in_negations(plan)


def test_a_named_helper_is_accepted(opa_binary: Path, stage: Path) -> None:
    """Neither look objects to the way out."""
    refuse_scans_in_negations(build(opa_binary, stage, NAMED_HELPER, "plan"))

    refuse_not_blocks(opa_binary, cwd=stage / "policy", file="m.rego")


def test_a_module_with_a_host_builtin_is_refused(opa_binary: Path, stage: Path) -> None:
    """A module that needs Python's imitation of a built-in is not loaded."""
    source = 'package m\n\nallow if sprintf("%s", [input.user.role]) == "admin"\n'
    wasm = read_member(build(opa_binary, stage, source, "wasm"), "policy.wasm")

    with pytest.raises(PolicyBuildError, match=r"want no built-in of the host in the module, got \['sprintf'\]"):
        allowed_by_wasm(wasm)
