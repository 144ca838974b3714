"""`lockgate audit verify`: what its options bring, on an export and on the live database."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from lockgate.audit import Outcome
from lockgate.audit.formats.kind_names import PRUNE
from lockgate.audit.formats.log_policy import LogKey, LogPolicy, format_log_policy
from lockgate.audit.formats.merkle import GrowingTree
from lockgate.audit.own_events import OwnEvent
from lockgate.canonical_json import parse_json
from lockgate.cli.audit import audit
from support.audit_logs import LogStand
from support.large_logs import cut_front, lengthen
from support.written_logs import ACTOR


def _verify(*arguments: object) -> tuple[int, Any]:
    done = CliRunner().invoke(audit, ["verify", "--output", "json", *map(str, arguments)])
    return done.exit_code, parse_json(done.stdout_bytes, bytes_max=1_000_000) if done.stdout_bytes else done.stderr


def _url(stand: LogStand) -> str:
    return str(stand.engine.url)


@pytest.fixture
def policy(stand: LogStand) -> Path:
    """A policy file of the log's key."""
    path = stand.folder / "policy"
    path.write_text(format_log_policy(LogPolicy(logs=(LogKey(key=stand.signer.verifier_key),))))
    return path


def test_policy_file_takes_the_place_of_keys(stand: LogStand, policy: Path) -> None:
    """An export and the database verify under a policy, and each dimension has its own verdict."""
    stand.fill(3)
    out = stand.export()
    code, by_export = _verify("--export", out, "--policy", policy)
    _, by_database = _verify("--database", _url(stand), "--policy", policy)

    assert (code, by_export["integrity"], by_export["completeness"]) == (0, "valid", "unverifiable")
    assert {note["code"] for note in by_export["notes"]} == {"unanchored", "not_split_view_resistant"}
    assert by_database == by_export


def test_requirements_and_ages_are_heeded(stand: LogStand, policy: Path) -> None:
    """A dimension that was asked for and is not valid is exit code 2; a held checkpoint makes the log complete."""
    stand.fill(3)
    held = stand.folder / "held"
    held.write_bytes(stand.log.checkpoint())
    log = ["--database", _url(stand), "--policy", str(policy)]

    assert _verify(*log, "--require", "completeness")[0] == 2
    assert _verify(*log, "--require", "completeness", "--checkpoint", held)[0] == 0
    assert _verify(*log, "--require", "freshness", "--max-age", 10)[1]["freshness"] == "stale"
    assert _verify(*log, "--max-age", 10)[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--tsa-roots", "{folder}/missing"],
        ["--tsa-roots", "{folder}/policy"],
        ["--policy", "{folder}/missing"],
        ["--max-age", "0"],
        ["--require", "everything"],
        ["--workers", "0"],
    ],
    ids=str,
)
def test_what_cannot_be_read_is_exit_code_2(stand: LogStand, policy: Path, arguments: list[str]) -> None:
    """Files that are missing or something else, and senseless numbers, decide nothing."""
    filled = [argument.format(folder=stand.folder) for argument in arguments]

    assert _verify("--database", _url(stand), "--policy", policy, *filled)[0] == 2


def test_looking_for_a_database_makes_none(stand: LogStand, policy: Path) -> None:
    """Where there is no database nothing is decided, and none is left behind."""
    missing = stand.folder / "missing.db"

    assert _verify("--database", f"sqlite:///{missing}", "--policy", policy)[0] == 2
    assert not missing.exists()


def test_pruned_database_verifies_from_where_it_begins(stand: LogStand, policy: Path) -> None:
    """The database of a pruned log is valid from its first record on; with a false edge it is not."""
    lengthen(stand.engine, stand.signer, 600)
    records = stand.log.records(limit=512)
    tree = GrowingTree()
    for record in records:
        tree.append(record.leaf)
    body = {
        "before": 512,
        "root": f"sha256:{tree.root().hex()}",
        "leaf": f"sha256:{records[-1].leaf.hex()}",
        "archive": "sha256:" + "0" * 64,
        "reason": "old",
    }
    cut_front(stand.engine, 512)
    event = OwnEvent(id="00000000-0000-4000-8000-000000000001", kind=PRUNE, actor=ACTOR, body=body)
    stand.log.transact(lambda _: Outcome(value=None, events=(event,)))
    code, verification = _verify("--database", _url(stand), "--policy", policy)
    stand.edit("UPDATE audit_node SET hash = ? WHERE level = 9", b"\0" * 32)
    false_code, false = _verify("--database", _url(stand), "--policy", policy)

    assert (code, verification["verified_from_seq"], verification["size"]) == (0, 512, 601)
    assert (false_code, false["first_bad_seq"]) == (1, 512)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_answer_that_cannot_be_written_is_exit_code_2(stand: LogStand, policy: Path) -> None:
    """On a full disk nothing is decided, with the same first word as from the auditor's file."""
    stand.fill(1)
    program = [sys.executable, "-m", "lockgate", "audit", "verify", "--database", _url(stand), "--policy", str(policy)]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(program, check=False, stdout=full, stderr=subprocess.PIPE, timeout=60)

    assert done.returncode == 2
    assert done.stderr.startswith(b"UNVERIFIABLE  cannot be decided: ")
