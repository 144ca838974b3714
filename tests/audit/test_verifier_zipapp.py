"""`lockgate-verify.pyz`: one file, plain Python and two packages; its exit codes accuse nobody by accident."""

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

import orjson
import pytest
from packaging.requirements import Requirement

from lockgate.audit.formats.log_policy import format_log_policy
from lockgate.audit.formats.merkle import leaf_hash
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.formats.proofs import InclusionProof, format_proof
from lockgate.audit.verification import command
from lockgate.audit.verification.reports import as_text
from lockgate.canonical_json import parse_json
from support.written_logs import ORIGIN, SIGNER, WrittenLog, only

ROOT = Path(__file__).parents[2]
KEY = str(SIGNER.verifier_key)
STRANGER = str(make_signer(ORIGIN, bytes(32)).verifier_key)
RECORDS = 12


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built file, beside a folder with nothing but the packages that it needs."""
    folder = tmp_path_factory.mktemp("pyz")
    subprocess.run([sys.executable, ROOT / "scripts/build-verifier", folder / "verify.pyz"], check=True)
    (folder / "packages").mkdir()
    for name in ("orjson", "cryptography", "cffi"):
        package = distribution(name)
        for top in {path.parts[0] for path in package.files or () if path.parts[0] not in ("..", "bin")}:
            (folder / "packages" / top).symlink_to(str(package.locate_file(top)))
    return folder / "verify.pyz"


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A small export."""
    return WrittenLog().fill(RECORDS).write(tmp_path / "export")


def _run(pyz: Path, *arguments: object, **more: Any) -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(pyz.parent / "packages")}
    return subprocess.run(
        [sys.executable, "-S", "-s", str(pyz), *map(str, arguments)],
        env=environment,
        check=False,
        capture_output=True,
        timeout=60,
        **more,
    )


def _receipt(log: WrittenLog, **changes: Any) -> bytes:
    # Record 0 of a log of two: its path is the leaf beside it.
    proof = format_proof(InclusionProof(index=0, path=(leaf_hash(log.lines[1]),), checkpoint=log.notes[1]))
    return orjson.dumps({"seq": 0, "record": log.lines[0].decode(), "proof": proof, **changes})


def test_export_verifies_with_two_packages_and_plain_python(pyz: Path, export: Path, tmp_path: Path) -> None:
    """Whole log, key or policy, text or JSON, one process or two: valid, exit code 0."""
    (tmp_path / "policy").write_text(format_log_policy(only()))
    by_key = _run(pyz, "--export", export, "--key", KEY)
    by_policy = _run(pyz, "log", "--export", export, "--policy", tmp_path / "policy", "--output", "json", "--workers=2")

    assert (by_key.returncode, by_key.stdout.split()[0], by_key.stderr) == (0, b"VALID", b"")
    assert by_policy.returncode == 0, by_policy.stderr
    assert parse_json(by_policy.stdout, bytes_max=10_000)["size"] == RECORDS


def test_changed_record_is_named_with_exit_code_1(pyz: Path, export: Path) -> None:
    """An edit is found and named as everywhere else."""
    path = export / "records.jsonl"
    path.write_bytes(path.read_bytes().replace(b'{"n":7}', b'{"n":8}'))
    done = _run(pyz, "--export", export, "--key", KEY, "--output", "json")

    assert done.returncode == 1
    assert parse_json(done.stdout, bytes_max=10_000)["first_bad_seq"] == 7


def test_requirement_that_cannot_be_met_is_exit_code_2(pyz: Path, export: Path) -> None:
    """Completeness that is asked for and cannot be shown leaves the log unverifiable; a held checkpoint shows it."""
    done = _run(pyz, "--export", export, "--key", KEY, "--require", "completeness", "--require", "freshness")
    held = ["--checkpoint", export / "checkpoint", "--require", "completeness"]

    assert (done.returncode, done.stdout.split()[0]) == (2, b"UNVERIFIABLE")
    assert _run(pyz, "--export", export, "--key", KEY, *held).returncode == 0
    assert _run(pyz, "--export", export, "--key", KEY, "--max-age", 9).returncode == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--bogus"],
        ["--export", "{export}"],
        ["--export", "{export}", "--key", "nonsense"],
        ["--export", "{export}", "--key", STRANGER],
        ["--export", "{export}", "--key", KEY, "--policy", "{export}/checkpoint"],
        ["--export", "{export}", "--policy", "{export}/checkpoint"],
        ["--export", "{export}", "--policy", "{export}/missing"],
        ["--export", "{export}/missing", "--key", KEY],
        ["--export", "{export}", "--key", KEY, "--workers", "0"],
        ["--export", "{export}", "--key", KEY, "--checkpoint", "{export}/missing"],
        ["--export", "{export}", "--key", KEY, "--tsa-roots", "{export}/checkpoint"],
        ["receipt"],
        ["receipt", "{export}/missing", "--key", KEY],
        ["receipt", "{export}/checkpoint", "--key", KEY],
    ],
    ids=str,
)
def test_whatever_cannot_be_decided_is_exit_code_2(pyz: Path, export: Path, arguments: list[str]) -> None:
    """Wrong usage, wrong keys, missing files and a missing package: unverifiable, with a word on standard error."""
    done = _run(pyz, *(argument.format(export=export) for argument in arguments))

    assert done.returncode == 2
    assert done.stderr or done.stdout.startswith(b"UNVERIFIABLE")
    assert b"Traceback" not in done.stderr


def test_missing_package_is_exit_code_2(pyz: Path, export: Path, tmp_path: Path) -> None:
    """Without cryptography nothing is decided, and it is said what is missing."""
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "verify.pyz").write_bytes(pyz.read_bytes())
    done = _run(alone / "verify.pyz", "--export", export, "--key", KEY)

    assert done.returncode == 2
    assert b"orjson and cryptography" in done.stderr
    help_text = _run(alone / "verify.pyz", "--help")
    assert (help_text.returncode, help_text.stderr) == (0, b"")
    assert b"--export FOLDER" in help_text.stdout


def test_roots_of_authorities_ask_for_their_package(pyz: Path, export: Path) -> None:
    """Without rfc3161-client `--tsa-roots` is exit code 2 and names the package."""
    done = _run(pyz, "--export", export, "--key", KEY, "--tsa-roots", export / "checkpoint")

    assert done.returncode == 2
    assert b"want the package rfc3161-client for --tsa-roots: pip install rfc3161-client [audit." in done.stderr


def test_help_names_the_other_command(pyz: Path) -> None:
    """`--help` says that receipts can be checked too."""
    done = _run(pyz, "--help")

    assert done.returncode == 0
    assert b"lockgate-verify receipt --help" in b" ".join(done.stdout.split())


def test_build_without_its_packages_says_what_it_wants(tmp_path: Path) -> None:
    """A Python that lacks a package builds nothing, and names the packages."""
    (tmp_path / "rfc3161_client.py").write_text("raise ImportError('not here')")
    build = [sys.executable, str(ROOT / "scripts/build-verifier"), str(tmp_path / "verify.pyz")]
    done = subprocess.run(build, env={"PYTHONPATH": str(tmp_path)}, check=False, capture_output=True)

    assert done.returncode == 1
    assert b"want a Python that has orjson, cryptography and rfc3161-client: ImportError: not here" in done.stderr
    assert not (tmp_path / "verify.pyz").exists()


def test_one_receipt_is_checked_against_one_record(pyz: Path, tmp_path: Path) -> None:
    """A receipt is valid by itself and with its record; with another record, or changed, it is not what it must be."""
    log = WrittenLog().fill(2)
    (tmp_path / "receipt").write_bytes(_receipt(log))
    (tmp_path / "record").write_bytes(log.lines[0] + b"\n")
    (tmp_path / "other").write_bytes(log.lines[1])
    (tmp_path / "changed").write_bytes(_receipt(log, record=log.lines[0].decode().replace("ann", "bob")))

    def exit_code(*arguments: str, key: str = KEY) -> int:
        return _run(pyz, "receipt", *arguments, "--key", key, cwd=tmp_path).returncode

    assert exit_code("receipt") == exit_code("receipt", "--record", "record") == 0
    assert exit_code("receipt", "--record", "other") == exit_code("changed") == 1
    assert exit_code("receipt", key=STRANGER) == 2


def test_requirements_are_what_the_verifier_needs_by_hash(pyz: Path) -> None:
    """The file beside it pins the three packages, and all that they need in turn, as requirements.lock does."""
    blocks = re.split(r"^(?=[a-z0-9])", (pyz.parent / "verify-requirements.txt").read_text(), flags=re.MULTILINE)[1:]
    pinned = {block.partition("==")[0]: block for block in blocks}
    needed, waiting = set(), ["orjson", "cryptography", "rfc3161-client"]
    while waiting:
        name = waiting.pop()
        needed.add(name)
        wants = [Requirement(text) for text in distribution(name).requires or ()]
        waiting += [one.name for one in wants if one.marker is None or one.marker.evaluate({"extra": ""})]
    lock = (ROOT / "requirements.lock").read_text()

    assert pinned.keys() == needed
    for name, block in pinned.items():
        assert f"{name}=={version(name)}" in block
        assert block.count("--hash=sha256:") > 1
        assert block in lock


def test_requirements_without_a_hash_are_not_written() -> None:
    """A lock that does not pin one of them by hash stops the build."""
    script = runpy.run_path(str(ROOT / "scripts/build-verifier"))

    with pytest.raises(ValueError, match="want cffi, cryptography, pycparser, rfc3161-client"):
        script["pins"]("cffi==1.0\norjson==3.13.0 \\\n    --hash=sha256:00\n")


def test_reader_that_leaves_early_changes_no_exit_code(pyz: Path, export: Path) -> None:
    """A broken pipe is no verdict: the exit code is that of the log, and nothing is printed about the pipe."""
    reader, writer = os.pipe()
    os.close(reader)
    environment = {"PYTHONPATH": str(pyz.parent / "packages")}
    done = subprocess.run(
        [sys.executable, "-S", "-s", str(pyz), "--export", str(export), "--key", KEY],
        env=environment,
        check=False,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, b"")


def test_build_is_reproducible(pyz: Path) -> None:
    """Two builds of the same sources are the same bytes."""
    again = pyz.with_name("again.pyz")
    subprocess.run([sys.executable, ROOT / "scripts/build-verifier", again], check=True)

    assert again.read_bytes() == pyz.read_bytes()


def _interrupt(*_: object, **__: object) -> int:
    raise KeyboardInterrupt


def _fail(*_: object, **__: object) -> int:
    raise RuntimeError("out of luck")


@pytest.mark.parametrize("failure", [_interrupt, _fail])
def test_failure_of_the_verifier_itself_accuses_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], export: Path, failure: Callable[..., int]
) -> None:
    """An interruption or a defect of the program is exit code 2."""
    monkeypatch.setattr(command, "check_export", failure)

    assert command.main(["--export", str(export), "--key", KEY]) == 2
    assert "UNVERIFIABLE" in capsys.readouterr().err


def test_text_shows_nothing_that_a_terminal_obeys() -> None:
    """Escape sequences and direction overrides in what others wrote are spelt out, and none can be forged."""
    verification = replace(WrittenLog().fill(1).verify(), log="\x1b[2Jevil\u202e\\u{1b}")

    assert as_text(verification).startswith("VALID  \\u{1b}[2Jevil\\u{202e}\\\\u{1b}: 1 records read\n")
