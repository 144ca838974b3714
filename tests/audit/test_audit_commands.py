"""`lockgate audit`: verdicts as exit codes, JSON for machines, nothing harmful on a terminal."""

from typing import Any

import pytest
from click.testing import CliRunner, Result

from lockgate.audit.formats.notes import format_signer, make_signer
from lockgate.canonical_json import parse_json
from lockgate.cli.audit import audit
from support.audit_logs import ORIGIN, LogStand, make_event

STRANGER = str(make_signer(ORIGIN, bytes(32)).verifier_key)


@pytest.fixture
def stand(stand: LogStand) -> LogStand:
    """A log with its key beside it, as a gate has it."""
    path = stand.folder / "log.key"
    path.write_text(format_signer(stand.signer) + "\n")
    path.chmod(0o600)
    stand.fill(4)
    return stand


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(audit, [str(argument) for argument in arguments])


def _json(result: Result) -> Any:
    return parse_json(result.stdout_bytes, bytes_max=1_000_000)


def _key(stand: LogStand) -> str:
    return str(stand.signer.verifier_key)


def test_export_verifies_and_a_changed_byte_is_found(stand: LogStand) -> None:
    """An export is valid with exit code 0; after one byte is changed it is tampered at that record, with 1."""
    out = stand.folder / "export"
    assert _run("export", "--out", out, "--data-dir", stand.folder).exit_code == 0
    good = _run("verify", "--export", out, "--key", _key(stand))
    lines = (out / "records.jsonl").read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"tested", b"tasted")
    (out / "records.jsonl").write_bytes(b"".join(lines))
    bad = _run("verify", "--export", out, "--key", _key(stand), "--output", "json")

    assert (good.exit_code, good.stdout.split()[0]) == (0, "VALID")
    assert (bad.exit_code, _json(bad)["verdict"], _json(bad)["first_bad_seq"]) == (1, "tampered", 3)


def test_live_database_verifies(stand: LogStand) -> None:
    """The live database verifies by folder and by URL, and an edited column is found."""
    assert _run("verify", "--data-dir", stand.folder, "--key", _key(stand)).exit_code == 0
    stand.edit("UPDATE audit_entry SET actor = 'mallory' WHERE seq = 2")
    result = _run("verify", "--database", f"sqlite:///{stand.database}", "--key", _key(stand), "--output", "json")

    assert (result.exit_code, _json(result)["problems"][0]["code"]) == (1, "column_mismatch")


def test_held_checkpoint_betrays_a_shortened_log(stand: LogStand) -> None:
    """A log cut back is found with a checkpoint that the auditor kept."""
    held = stand.folder / "held"
    held.write_bytes(stand.log.checkpoint())
    for table, column in (("audit_entry", "seq"), ("audit_checkpoint", "size - 1")):
        stand.edit(f"DELETE FROM {table} WHERE {column} > 2")  # noqa: S608 - the test's own names
    log = ["--database", f"sqlite:///{stand.database}", "--key", _key(stand)]

    assert _run("verify", *log).exit_code == 0
    assert _run("verify", *log, "--checkpoint", held).exit_code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", "--data-dir", "{folder}"],
        ["verify", "--data-dir", "{folder}", "--key", "nonsense"],
        ["verify", "--data-dir", "{folder}", "--key", STRANGER],
        ["verify", "--data-dir", "{folder}", "--export", "{folder}", "--key", "{key}"],
        ["verify", "--export", "{folder}/missing", "--key", "{key}"],
        ["verify", "--data-dir", "{folder}/missing", "--key", "{key}"],
        ["verify", "--database", "postgresql://x/y", "--key", "{key}"],
        ["verify", "--data-dir", "{folder}", "--key", "{key}", "--checkpoint", "{folder}/missing"],
    ],
)
def test_what_cannot_be_decided_exits_2(stand: LogStand, arguments: list[str]) -> None:
    """Wrong usage, a missing file and another key: unverifiable, never tampered and never valid."""
    filled = [argument.format(folder=stand.folder, key=_key(stand)) for argument in arguments]

    assert _run(*filled).exit_code == 2
    assert not (stand.folder / "missing").exists()


def test_export_is_never_overwritten(stand: LogStand) -> None:
    """An existing folder is refused and left as it is; no draft stays behind."""
    out = stand.folder / "export"
    out.mkdir()
    before = sorted(path.name for path in stand.folder.iterdir())

    assert _run("export", "--out", out, "--data-dir", stand.folder).exit_code != 0
    assert sorted(path.name for path in stand.folder.iterdir()) == before
    assert list(out.iterdir()) == []


def test_key_is_printed_for_the_verifier(stand: LogStand) -> None:
    """`audit key` prints the public key and nothing else."""
    assert _run("key", "--data-dir", stand.folder).stdout == f"{_key(stand)}\n"


def test_show_spells_out_what_a_terminal_would_obey(stand: LogStand) -> None:
    """Escape sequences, C1 controls, DEL and direction overrides in a record do not reach the terminal."""
    stand.log.append(make_event("\x1b[31m\x9b\x7f\u202edrow"))
    for output in ("text", "json"):
        shown = _run("show", "5", "--data-dir", stand.folder, "--output", output).stdout

        assert not set(shown) & set("\x1b\x9b\x7f\u202e")
        assert "drow" in shown


def test_show_takes_the_newest_of_a_kind(stand: LogStand) -> None:
    """`--last` and `--kind` narrow what is shown; each record is one JSON line."""
    lines = _run("show", "--last", "2", "--data-dir", stand.folder, "--output", "json").stdout_bytes.splitlines()
    genesis = _run("show", "--last", "9", "--kind", "log.genesis", "--data-dir", stand.folder, "--output", "json")

    assert [parse_json(line, bytes_max=10_000)["seq"] for line in lines] == [3, 4]
    assert _json(genesis)["kind"] == "log.genesis"


@pytest.mark.parametrize("arguments", [[], ["1", "--last", "1"], ["1", "--kind", "a.b"], ["99"], ["-1"]])
def test_wrong_show_is_usage(stand: LogStand, arguments: list[str]) -> None:
    """A record that is not there and options that contradict each other are usage errors."""
    assert _run("show", "--data-dir", stand.folder, *arguments).exit_code == 2
