"""A compiled policy is used for exactly the sources it was built from."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lockgate.policy import PolicyBuildError, PolicyInput, PolicyStaleError
from lockgate.policy.build import MANIFEST_FILE, MODULE_FILE
from lockgate.policy.compiled import COMPILED, load_policy
from lockgate.policy.data import CONFIG
from lockgate.policy.probes import fitting_inputs
from lockgate.policy.sources import FILE_BYTES_MAX, read_sources, revision_of
from lockgate.policy.wasm import WasmEngine
from lockgate.shipped import shipped_folder
from support.policies import allowed_input, shipped_policy

FREEZE_RULE = "lockgate/rules/freeze/freeze.rego"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped policy folder."""
    shutil.copytree(shipped_folder("policies"), tmp_path / "policies")
    return tmp_path / "policies"


def append(path: Path, text: str) -> None:
    """Add to a file."""
    path.write_text(path.read_text() + text)


def link_away(own: Path) -> None:
    """Put a link to another file in the matrix's place."""
    matrix = own / "matrix" / "data.json"
    matrix.rename(own.parent / "matrix.json")
    matrix.symlink_to(own.parent / "matrix.json")


def edit(path: Path, old: str, new: str) -> None:
    """Change a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_fresh_policy_loads_without_opa(folder: Path) -> None:
    """What was built loads from anywhere, with the revision of its sources."""
    policy = load_policy(folder, None)

    assert policy == shipped_policy()
    assert policy.catalogue.revision == revision_of(read_sources(folder).digests())
    assert len(policy.catalogue.rules) == 25


def test_the_revision_is_what_sha256sum_says(folder: Path) -> None:
    """Anybody can compute the revision: SHA-256 over the lines of sha256sum, sorted by path."""
    digests = read_sources(folder).digests()

    assert list(digests) == sorted(digests)
    assert CONFIG + "/matrix/data.json" in digests
    assert "schemas/v1/policy/input.json" in digests
    assert ".capabilities.json" in digests
    assert not [path for path in digests if path.endswith("_test.rego")]


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda folder: append(folder / FREEZE_RULE, "\n"), id="a rule"),
        pytest.param(lambda folder: append(folder / CONFIG / "matrix" / "data.json", "\n"), id="data"),
        pytest.param(lambda folder: append(folder / ".capabilities.json", "\n"), id="capabilities"),
        pytest.param(lambda folder: (folder / FREEZE_RULE).unlink(), id="a rule gone"),
        pytest.param(
            lambda folder: (folder / "lockgate" / "more.rego").write_text("package more\n"), id="one more rule"
        ),
        pytest.param(lambda folder: (folder / COMPILED / MODULE_FILE).unlink(), id="no module"),
        pytest.param(lambda folder: (folder / COMPILED / MANIFEST_FILE).unlink(), id="no manifest"),
        pytest.param(lambda folder: append(folder / COMPILED / MANIFEST_FILE, "\n"), id="another spelling"),
        pytest.param(lambda folder: edit(folder / COMPILED / MANIFEST_FILE, "/decision", "/allow"), id="entrypoint"),
    ],
)
def test_a_stale_policy_is_refused_without_opa(folder: Path, spoil: Callable[[Path], object]) -> None:
    """Whatever no longer fits, the gate does not start with it."""
    spoil(folder)

    with pytest.raises(PolicyStaleError):
        load_policy(folder, None)


def test_another_module_is_refused(folder: Path) -> None:
    """A module with one bit changed is not the module of its manifest."""
    module = folder / COMPILED / MODULE_FILE
    content = bytearray(module.read_bytes())
    content[-1] ^= 1
    module.write_bytes(content)

    with pytest.raises(PolicyStaleError, match=r"module\.wasm is not the module of its manifest"):
        load_policy(folder, None)


def test_a_changed_test_does_not_make_a_policy_stale(folder: Path) -> None:
    """Tests are not part of the revision."""
    append(folder / "lockgate/rules/freeze/freeze_test.rego", "\n")

    assert load_policy(folder, None) == shipped_policy()


@pytest.mark.opa
def test_a_stale_policy_is_rebuilt_with_opa(folder: Path, opa_binary: Path) -> None:
    """Where OPA is at hand, a changed matrix is compiled, tested and compared before it decides."""
    edit(folder / CONFIG / "freezes" / "data.json", "1798848000000000000", "1798848000000000001")

    policy = load_policy(folder, opa_binary)

    assert policy.catalogue.revision != shipped_policy().catalogue.revision
    assert policy.wasm == shipped_policy().wasm
    assert not (folder / COMPILED / MANIFEST_FILE).read_text().count(policy.catalogue.revision)


def test_a_deployments_own_data_are_laid_over_the_rules(folder: Path, tmp_path: Path) -> None:
    """Own data decide without OPA, under a revision that covers them, the same as if they lay in the folder."""
    own = tmp_path / "own"
    shutil.copytree(folder / CONFIG, own)
    edit(own / "matrix" / "data.json", '"risk"', '"security"')
    edit(
        own / "matrix" / "data.json",
        '"roles": [\n    "ml-lead",\n    "security",\n    "security"',
        '"roles": ["security", "ml-lead"',
    )

    policy = load_policy(folder, None, own)
    engine = WasmEngine(policy)
    fitting = [
        engine.evaluate(document, timeout_s=10) for document in fitting_inputs(policy.data, policy.catalogue.revision)
    ]
    old = engine.evaluate(PolicyInput({**allowed_input(), "policy_revision": policy.catalogue.revision}), timeout_s=10)
    engine.close()
    shutil.rmtree(folder / CONFIG)
    shutil.copytree(own, folder / CONFIG)

    assert all(result.allow for result in fitting)
    assert {owed.role for owed in old.missing_approvals} == {"ml-lead", "security"}
    assert policy.catalogue.revision == revision_of(read_sources(folder).digests())
    assert policy.catalogue.revision != shipped_policy().catalogue.revision


def test_own_data_do_not_excuse_changed_rules(folder: Path, tmp_path: Path) -> None:
    """Laying data over does not lift the check of the rules."""
    shutil.copytree(folder / CONFIG, tmp_path / "own")
    append(folder / FREEZE_RULE, "\n")

    with pytest.raises(PolicyStaleError):
        load_policy(folder, None, tmp_path / "own")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda own: (own / "matrix" / "data.json").unlink(), "cannot read it"),
        (lambda own: (own / "matrix" / "data.json").write_text('{"a":1,"a":2}'), "want each key once"),
        (lambda own: (own / "matrix" / "data.json").write_text("{}"), "want the field"),
        (lambda own: (own / "matrix" / "data.yaml").write_text("rows: []"), "want only <name>/data.json"),
        (lambda own: (own / "extra").mkdir() or (own / "extra" / "data.json").write_text("{}"), "want only"),
        (lambda own: (own / "matrix" / "data.json").write_bytes(b" " * (FILE_BYTES_MAX + 1)), "want at most"),
        (
            link_away,
            "link",
        ),
        (shutil.rmtree, "want the folder"),
    ],
)
def test_bad_data_are_refused(folder: Path, tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    """Missing, ambiguous, unknown, oversized or linked data stop the start."""
    own = tmp_path / "own"
    shutil.copytree(folder / CONFIG, own)
    spoil(own)

    with pytest.raises(PolicyBuildError, match=message):
        load_policy(folder, None, own)


def test_foreign_files_among_the_rules_are_refused(folder: Path) -> None:
    """A data file beside a rule would be data that nothing has checked."""
    (folder / "lockgate" / "rules" / "freeze" / "data.json").write_text("{}")

    with pytest.raises(PolicyBuildError, match=r"want only \.rego files"):
        load_policy(folder, None)
