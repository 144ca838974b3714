"""What a build refuses, each numbered step with a case, and that it always gives the same bytes."""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from lockgate.policy import PolicyBuildError, PolicyInput, build_authz_input
from lockgate.policy.build import BUNDLE_FILE, MANIFEST_FILE, MODULE_FILE, build_policy, check_policy, run_policy_tests
from lockgate.policy.comparison import compare_authz_with_opa, compare_with_opa
from lockgate.policy.compiled import COMPILED
from lockgate.policy.opa_binary import OPA_VERSION, find_opa, opa_version, run_opa
from lockgate.policy.rule_tests import NAMED_MAX
from lockgate.policy.sources import FILE_BYTES_MAX
from lockgate.shipped import shipped_folder
from support.policies import allowed_input, changed_input, shipped_policy

pytestmark = pytest.mark.opa

RULE = "lockgate/rules/model_known/model_known.rego"
ENTRY = "lockgate/promotion/promotion.rego"
LISTED = '\t"LG-011": {"status": model_known.status, "violations": model_known.deny},\n'
IMPORTED = "import data.lockgate.rules.model_known\n"
AUTHZ = "lockgate/authz/authz.rego"
AUTHZ_TEST = "lockgate/authz/authz_test.rego"
TEST = "lockgate/rules/model_known/model_known_test.rego"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the shipped policy folder."""
    shutil.copytree(shipped_folder("policies"), tmp_path / "policies")
    return tmp_path / "policies"


def edit(path: Path, old: str, new: str) -> None:
    """Change a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def append(path: Path, text: str) -> None:
    """Add to a file."""
    path.write_text(path.read_text() + text)


def unlist(folder: Path) -> None:
    """Take a rule out of force, but leave its file."""
    edit(folder / ENTRY, LISTED, "")
    edit(folder / ENTRY, IMPORTED, "")


def test_a_rebuild_gives_the_committed_bytes(folder: Path, tmp_path: Path, opa_binary: Path) -> None:
    """The committed module, manifest and bundle are what the sources build to, wherever they lie."""
    built = build_policy(folder, out=tmp_path / "out", opa=opa_binary)

    for name in (MODULE_FILE, MANIFEST_FILE, BUNDLE_FILE):
        assert (tmp_path / "out" / name).read_bytes() == (shipped_folder("policies") / COMPILED / name).read_bytes(), (
            name
        )
    assert built.policy == shipped_policy()
    assert built.compared > 1000
    assert 6 <= built.allowed < built.compared


def test_the_shipped_policy_is_checked_and_tested(folder: Path, opa_binary: Path) -> None:
    """The shipped policy passes what an author runs before a commit."""
    rules = check_policy(folder, opa=opa_binary)

    assert rules == shipped_policy().catalogue.rules
    assert re.fullmatch(r"PASS (\d+)/\1, coverage 100 %", run_policy_tests(folder, opa=opa_binary))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(
            lambda folder: append(folder / RULE, "\nlater if time.now_ns() > 0\n"),
            "undefined function",
            id="(2) impure",
        ),
        pytest.param(
            lambda folder: append(folder / RULE, '\nanswer := http.send({"url": "x"})\n'),
            "undefined function",
            id="(2) calls out",
        ),
        pytest.param(
            lambda folder: append(folder / RULE, '\ntext := sprintf("%d", [1])\n'),
            "undefined function",
            id="(2) not native in Wasm",
        ),
        pytest.param(
            lambda folder: append(folder / RULE, "\nextra if input.request.modell\n"),
            "rego_type_error",
            id="(2) misspelt",
        ),
        pytest.param(
            lambda folder: append(folder / RULE, "\nextra if {\n\tunused := 1\n}\n"), "unused", id="(2) not strict"
        ),
        pytest.param(
            lambda folder: append(folder / RULE, "\nextra if not {\n\tsome a in input.approvals\n\ta.id\n}\n"),
            r"want a named helper|parse_error",
            id="(3) not block",
        ),
        pytest.param(
            lambda folder: edit(folder / RULE, "rule_id: LG-011", "rule_id: LG-010"), "second time", id="(5) id"
        ),
        pytest.param(
            lambda folder: edit(folder / RULE, "#   severity: high\n", ""),
            f"^{RULE}: METADATA: want the field 'severity'$",
            id="(5) no severity",
        ),
        pytest.param(
            lambda folder: edit(folder / RULE, "severity: high", "severity: hgih"),
            f'^{RULE}: METADATA at severity: want one of "low", "medium", "high", "critical"$',
            id="(5) severity",
        ),
        pytest.param(
            lambda folder: edit(folder / RULE, "approvable: false", "approvable: 'no'"),
            f"^{RULE}: METADATA at approvable: want true or false, got a string$",
            id="(5) approvable",
        ),
        pytest.param(
            lambda folder: edit(folder / RULE, "#   rule_id: LG-011\n", ""),
            f"^{RULE}: METADATA: want the field 'rule_id'$",
            id="(5) no id",
        ),
        pytest.param(
            lambda folder: (folder / RULE).write_text(
                "package lockgate.rules.model_known"
                + (folder / RULE).read_text().split("package lockgate.rules.model_known")[1]
            ),
            f"^{RULE}: want package METADATA with custom.rule_id$",
            id="(5) no METADATA",
        ),
        pytest.param(
            unlist,
            f"^{RULE}: want LG-011 listed in data.lockgate.promotion.rules, or it is never evaluated$",
            id="(5) not listed",
        ),
        pytest.param(
            lambda folder: edit(folder / ENTRY, LISTED, LISTED + LISTED.replace("LG-011", "LG-999")),
            "^want only rules with a file listed in data.lockgate.promotion.rules, got 'LG-999'$",
            id="(5) listed without a file",
        ),
        pytest.param(
            lambda folder: edit(folder / RULE, 'default status := "fail"\n\n', ""),
            "want data.lockgate.promotion.rules defined for every input",
            id="(5) not total",
        ),
        pytest.param(lambda folder: (folder / TEST).unlink(), "want a test beside", id="(5) no test"),
        pytest.param(lambda folder: append(folder / RULE, "\n\n\n"), "want the format", id="format"),
        pytest.param(lambda folder: shutil.rmtree(folder / "lockgate/authz"), "lockgate/authz/decision", id="no authz"),
        pytest.param(
            lambda folder: edit(folder / AUTHZ, 'input.operation == "audit.record"', 'input.operaton == "x"'),
            "rego_type_error",
            id="(2) authz misspelt",
        ),
    ],
)
def test_a_check_refuses(folder: Path, opa_binary: Path, spoil: Callable[[Path], object], message: str) -> None:
    """What an author gets wrong is refused before anything is built."""
    spoil(folder)

    with pytest.raises(PolicyBuildError, match=message):
        check_policy(folder, opa=opa_binary)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        pytest.param(lambda folder: append(folder / RULE, "\n\n\n"), "want the format", id="(2) format"),
        pytest.param(
            lambda folder: append(folder / TEST, "\ntest_wrong if false\n"), "want every test to pass", id="(4) failing"
        ),
        pytest.param(
            lambda folder: append(folder / RULE, '\nuncovered if input.request.model == "x"\n'),
            "want full coverage by tests",
            id="(4) uncovered",
        ),
        pytest.param(
            lambda folder: edit(folder / AUTHZ, '"policy.reload": {"operator"}', '"policy.reload": {"admin"}'),
            "want every test to pass",
            id="(4) a grant that no test wants",
        ),
        pytest.param(
            lambda folder: edit(folder / AUTHZ_TEST, '{"promotions.destroy"}', '{"destroy"}'),
            r"data\.lockgate\.authz_test\.inputs\[\d+\] at /operation: want text of the form",
            id="(7) no call",
        ),
    ],
)
def test_a_build_refuses(
    folder: Path, tmp_path: Path, opa_binary: Path, spoil: Callable[[Path], object], message: str
) -> None:
    """A policy that fails a step is not built, and nothing is written."""
    spoil(folder)

    with pytest.raises(PolicyBuildError, match=message):
        build_policy(folder, out=tmp_path / "out", opa=opa_binary)

    assert not (tmp_path / "out").exists()


def test_failing_tests_are_named_first(folder: Path, opa_binary: Path) -> None:
    """Each failing test is on a line of its own, by file, row and case, with what it printed; passing ones are not."""
    row = len((folder / TEST).read_text().splitlines()) + 2
    append(
        folder / TEST,
        "\ntest_wrong if {\n\tprint(1)\n\tfalse\n}\n"
        '\ntest_cases[note] if {\n\tsome note in ["good", "bad"]\n\tnote == "good"\n}\n'
        "\ntodo_test_later if true\n",
    )

    with pytest.raises(PolicyBuildError) as caught:
        run_policy_tests(folder, opa=opa_binary)

    first, *lines = str(caught.value).splitlines()
    assert re.fullmatch(r"want every test to pass, got 3 of \d{3} failing:", first)
    assert lines == [
        f"FAIL {TEST}:{row} test_wrong",
        "    1",
        f"FAIL {TEST}:{row + 5} test_cases[bad]",
        f"FAIL {TEST}:{row + 10} todo_test_later",
    ]


def test_many_failing_tests_are_counted(folder: Path, opa_binary: Path) -> None:
    """No more than a screen of failing tests is named; how many are left is said."""
    append(folder / TEST, "".join(f"\ntest_wrong_{number} if false\n" for number in range(NAMED_MAX + 2)))

    with pytest.raises(PolicyBuildError) as caught:
        run_policy_tests(folder, opa=opa_binary)

    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + NAMED_MAX + 1
    assert lines[-1] == "and 2 more"


def test_uncovered_lines_are_named(folder: Path, opa_binary: Path) -> None:
    """The tests reach every line of the rules, or the lines are named by file and row."""
    row = len((folder / RULE).read_text().splitlines()) + 2
    append(folder / RULE, '\nuncovered if input.request.model == "x"\n')

    with pytest.raises(PolicyBuildError) as caught:
        run_policy_tests(folder, opa=opa_binary)

    first, *lines = str(caught.value).splitlines()
    assert re.fullmatch(r"want full coverage by tests, got 99\.\d\d %:", first)
    assert lines == [f"{RULE}:{row}"]


def test_a_policy_without_tests_is_refused(folder: Path, opa_binary: Path) -> None:
    """Nothing that fails is not enough: something must pass."""
    for path in folder.rglob("*_test.rego"):
        path.unlink()

    with pytest.raises(PolicyBuildError, match="want tests beside the rules, got none"):
        run_policy_tests(folder, opa=opa_binary)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda folder: append(folder / RULE, "\noops {"), id="syntax"),
        pytest.param(lambda folder: append(folder / RULE, "\nextra if input.request.modell\n"), id="type"),
        pytest.param(lambda folder: append(folder / RULE, "\n\n\n"), id="format"),
        pytest.param(lambda folder: edit(folder / RULE, "severity: high", "severity: hgih"), id="METADATA"),
        pytest.param(lambda folder: (folder / RULE).write_bytes(b" " * (FILE_BYTES_MAX + 1)), id="size"),
    ],
)
def test_a_file_is_named_as_its_author_knows_it(
    folder: Path, opa_binary: Path, spoil: Callable[[Path], object]
) -> None:
    """Whatever is wrong with a file, its name is its path in the policy folder."""
    spoil(folder)

    with pytest.raises(PolicyBuildError) as caught:
        check_policy(folder, opa=opa_binary)

    assert re.search(rf"(^|\s){re.escape(RULE)}\b", str(caught.value)), str(caught.value)
    assert "\t" not in str(caught.value)


def test_a_module_that_differs_from_opa_is_refused(folder: Path, tmp_path: Path, opa_binary: Path) -> None:
    """(7) One decision that differs is enough."""
    shutil.copytree(folder / "lockgate", tmp_path / "policy" / "lockgate")
    edit(
        tmp_path / "policy" / "lockgate" / "lib" / "times" / "times.rego", "now_ns < expires_ns", "now_ns <= expires_ns"
    )
    document = allowed_input()
    edge = PolicyInput({**document, "now_ns": document["request"]["expires_at_ns"]})
    whole = [PolicyInput(document)]

    assert compare_with_opa(shipped_policy(), opa_binary, tmp_path, whole=whole, broken=[]) == 1
    with pytest.raises(PolicyBuildError, match="differ on generated input 1"):
        compare_with_opa(shipped_policy(), opa_binary, tmp_path, whole=[*whole, edge], broken=[])


def test_a_module_that_permits_other_calls_than_opa_is_refused(folder: Path, tmp_path: Path, opa_binary: Path) -> None:
    """(7) One call that the module permits and OPA denies is enough."""
    shutil.copytree(folder / "lockgate", tmp_path / "policy" / "lockgate")
    edit(tmp_path / "policy" / AUTHZ, '"promotions.create": {"requester"}', '"promotions.create": {"admin"}')
    parts = {"subject": "ann", "type": "user", "facts": {}, "revision": shipped_policy().catalogue.revision}
    listing = build_authz_input(**parts, roles=("requester",), operation="promotions.list")  # type: ignore[arg-type]
    creating = build_authz_input(**parts, roles=("requester",), operation="promotions.create")  # type: ignore[arg-type]
    denied = build_authz_input(**parts, roles=(), operation="promotions.create")  # type: ignore[arg-type]
    compare = partial(compare_authz_with_opa, shipped_policy(), opa_binary, tmp_path)

    assert compare(whole=[listing, denied], broken=[{}]) == 1
    with pytest.raises(PolicyBuildError, match="differ on generated input 1 of lockgate/authz/decision"):
        compare(whole=[listing, creating], broken=[])
    with pytest.raises(PolicyBuildError, match="want at least one call that is permitted"):
        compare(whole=[denied], broken=[{}])


def test_an_incomplete_answer_is_refused(folder: Path, tmp_path: Path, opa_binary: Path) -> None:
    """(7) A rule of the catalogue that the entrypoint forgets is noticed although both engines agree."""
    shutil.copytree(folder / "lockgate", tmp_path / "policy" / "lockgate")
    rules = shipped_policy().catalogue.rules
    one_more = replace(rules[0], rule_id="LG-999")
    catalogue = replace(shipped_policy().catalogue, rules=(*rules, one_more))

    with pytest.raises(PolicyBuildError, match="want every rule evaluated once"):
        compare_with_opa(
            replace(shipped_policy(), catalogue=catalogue),
            opa_binary,
            tmp_path,
            whole=[PolicyInput(allowed_input())],
            broken=[],
        )


def test_a_policy_that_allows_nothing_is_refused(folder: Path, tmp_path: Path, opa_binary: Path) -> None:
    """(7) Where every generated input is denied the comparison would show nothing."""
    shutil.copytree(folder / "lockgate", tmp_path / "policy" / "lockgate")
    unsigned = changed_input("evidence", "signatures", value=[])

    with pytest.raises(PolicyBuildError, match="want at least one generated input that is allowed"):
        compare_with_opa(shipped_policy(), opa_binary, tmp_path, whole=[unsigned], broken=[])


def test_another_opa_is_refused(folder: Path, tmp_path: Path) -> None:
    """Only the pinned version builds: another one's bytes and semantics may differ."""
    other = tmp_path / "opa"
    other.write_text("#!/bin/sh\necho 'Version: 1.9.0'\n")
    other.chmod(0o755)

    assert opa_version(other) == "1.9.0"
    with pytest.raises(PolicyBuildError, match=f"want OPA {OPA_VERSION}"):
        build_policy(folder, out=tmp_path / "out", opa=other)


def test_a_broken_opa_is_an_error(tmp_path: Path) -> None:
    """A binary that cannot be run, or fails, is a build error with what it said."""
    fails = tmp_path / "opa"
    fails.write_text("#!/bin/sh\necho 'no such policy' >&2\nexit 1\n")
    fails.chmod(0o755)

    assert opa_version(tmp_path / "missing") == ""
    with pytest.raises(PolicyBuildError, match="cannot be run"):
        run_opa(tmp_path / "missing", ["version"], cwd=tmp_path)
    with pytest.raises(PolicyBuildError, match="opa test failed: no such policy"):
        run_opa(fails, ["test"], cwd=tmp_path)


def test_the_pinned_opa_is_found(opa_binary: Path) -> None:
    """What is found has the pinned version."""
    assert find_opa() == opa_binary
    assert opa_version(opa_binary) == OPA_VERSION
