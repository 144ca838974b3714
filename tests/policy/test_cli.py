"""`lockgate policy`, as an author of rules runs it."""

import re
import shutil
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from lockgate.cli.policy import policy
from lockgate.policy import PolicyBuildError
from lockgate.policy.build import MANIFEST_FILE, MODULE_FILE
from lockgate.policy.compiled import COMPILED
from lockgate.policy.data import CONFIG
from lockgate.shipped import shipped_folder
from support.policies import shipped_policy

pytestmark = [pytest.mark.opa, pytest.mark.usefixtures("opa_binary")]


def test_check_lists_the_rules() -> None:
    """A policy in order is answered with its rules, one a line."""
    ended = CliRunner().invoke(policy, ["check"])

    assert ended.exit_code == 0
    assert [line.split()[0] for line in ended.output.splitlines()] == [
        rule.rule_id for rule in shipped_policy().catalogue.rules
    ]


def test_test_runs_the_rules_tests() -> None:
    """Where all is well the tests are counted on one line."""
    ended = CliRunner().invoke(policy, ["test"])

    assert ended.exit_code == 0
    assert re.fullmatch(r"PASS (\d{3})/\1, coverage 100 %\n", ended.output)


def test_build_writes_the_module_for_own_data(tmp_path: Path) -> None:
    """A deployment builds for its own data; the module is the same, the revision is not."""
    shutil.copytree(shipped_folder("policies") / CONFIG, tmp_path / "own")
    freezes = tmp_path / "own" / "freezes" / "data.json"
    freezes.write_text('{"schema_version": 1, "freezes": []}')

    ended = CliRunner().invoke(policy, ["build", "--config-dir", str(tmp_path / "own"), "--out", str(tmp_path / "out")])

    assert ended.exit_code == 0
    assert (tmp_path / "out" / MODULE_FILE).read_bytes() == (
        shipped_folder("policies") / COMPILED / MODULE_FILE
    ).read_bytes()
    assert shipped_policy().catalogue.revision not in ended.output
    assert "revision sha256:" in ended.output
    assert (tmp_path / "out" / MANIFEST_FILE).exists()


def test_roles_are_printed_as_the_policy_has_them(tmp_path: Path) -> None:
    """Of a policy of one's own it is told what that one permits, as a page or as JSON."""
    shutil.copytree(shipped_folder("policies"), tmp_path / "policies")
    page = CliRunner().invoke(policy, ["roles", "--policy-dir", str(tmp_path / "policies")])
    document = orjson.loads(CliRunner().invoke(policy, ["roles", "--output", "json"]).output)
    (approving,) = [route for route in document["routes"] if route["operation"] == "promotions.approve"]

    assert page.exit_code == 0
    assert page.output == (Path(__file__).parents[2] / "docs" / "roles.md").read_text()
    assert document["roles"] == list(approving["cells"])
    assert approving["cells"]["approver:<role>"] == "by role"
    assert approving["cells"]["admin"] == "no"


def test_a_refused_policy_is_an_error(tmp_path: Path) -> None:
    """What is refused ends with the error that names it, for the command line's one place to turn into an exit code."""
    shutil.copytree(shipped_folder("policies"), tmp_path / "policies")
    (tmp_path / "policies" / CONFIG / "matrix" / "data.json").write_text("{}")

    ended = CliRunner().invoke(policy, ["check", "--policy-dir", str(tmp_path / "policies")])

    assert isinstance(ended.exception, PolicyBuildError)
    assert str(ended.exception) == "lockgate/config/matrix/data.json at /: want the field 'schema_version'"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("matrix/data.json", "{}", "matrix/data.json at /: want the field 'schema_version'"),
        ("matrix/data.json", "{", "matrix/data.json: "),
        ("notes.txt", "", "notes.txt: want only <name>/data.json of "),
    ],
)
def test_a_refused_file_is_named_where_it_lies(tmp_path: Path, name: str, text: str, message: str) -> None:
    """Data that were read from a folder of their own are named there, not in the policy's own folder."""
    own = tmp_path / "own"
    shutil.copytree(shipped_folder("policies") / CONFIG, own)
    (own / name).write_text(text)
    ended = CliRunner().invoke(policy, ["check", "--config-dir", str(own)])

    assert isinstance(ended.exception, PolicyBuildError)
    assert str(ended.exception).startswith(f"{own}/{message}")
