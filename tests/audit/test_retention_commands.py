"""`lockgate audit attachments`, `erase` and `prune`: they ask first, say what they did, and record it."""

import secrets

import pytest

from lockgate.administration import Administration
from lockgate.audit.formats.notes import format_signer
from lockgate.audit.formats.records import parse_record
from lockgate.bootstrap import open_log
from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.main import main
from lockgate.config import load_settings
from lockgate.identity import parse_principal
from support.audit_logs import LogStand
from support.retention import fill_quickly, keep, name_of

SECRET = b"ann@example.com lives here"


@pytest.fixture
def stand(stand: LogStand) -> LogStand:
    """A log with its key beside it, as a gate has it."""
    path = stand.folder / "log.key"
    path.write_text(format_signer(stand.signer) + "\n")
    path.chmod(0o600)
    return stand


def _run(stand: LogStand, *arguments: object) -> int:
    return main(["audit", *map(str, arguments), "--data-dir", str(stand.folder)])


def _kinds(stand: LogStand) -> list[str]:
    return [parse_record(record.body)["kind"] for record in stand.log.records(limit=1000)]


def test_a_person_s_address_is_found_and_erased(stand: LogStand, capsys: pytest.CaptureFixture[str]) -> None:
    """A principal's identities are committed to; they are found by their text, and erased without naming them."""
    address = f"ann-{secrets.token_hex(8)}@example.com"
    settings = load_settings(data_dir=str(stand.folder))
    log = open_log(settings, stand.clock, stand.engine)
    principal = parse_principal(subject="p-4711", type="user", roles=["requester"], identities=[address, "other"])
    Administration(log, stand.clock).put_principal(principal)
    (record,) = log.records(kind="identity.principal")
    body = parse_record(record.body)["body"]
    assert address.encode() not in record.body
    assert len(body["identities"]) == 2
    assert _run(stand, "attachments", "--containing", address) == ExitCode.ALLOW
    line = capsys.readouterr().out
    digest = line.split()[0]
    assert digest in body["identities"]
    assert line.endswith(f"  record {record.seq} identity.principal principal:p-4711  identity={address}\n")
    assert _run(stand, "erase", digest, "--reason", "request 4711", "--yes") == ExitCode.ALLOW
    erased = capsys.readouterr()
    assert _run(stand, "attachments", "--record", record.seq) == ExitCode.ALLOW

    assert (erased.out, erased.err) == (f"erased {digest}\n", "")
    assert {line.split(maxsplit=1)[1] for line in capsys.readouterr().out.splitlines()} == {
        "erased",
        "60  identity=other",
    }
    assert _kinds(stand)[-3:] == ["log.read", "log.erase", "log.read"]
    assert not any(address.encode() in one.body for one in log.records(kind="log.read"))


def test_erasing_again_says_so(stand: LogStand, capsys: pytest.CaptureFixture[str]) -> None:
    """The second time nothing is on standard output, and the command succeeds."""
    keep(stand, SECRET)
    assert _run(stand, "erase", name_of(SECRET), "--reason", "asked to", "--yes") == ExitCode.ALLOW
    capsys.readouterr()
    assert _run(stand, "erase", f"sha256:{name_of(SECRET)}", "--reason", "asked to", "--yes") == ExitCode.ALLOW
    captured = capsys.readouterr()

    assert (captured.out, captured.err) == ("", "1 were erased before\n")


def test_what_is_not_there_cannot_be_erased(stand: LogStand, capsys: pytest.CaptureFixture[str]) -> None:
    """The refusal has its code, and ends like every other operation that was not done."""
    assert _run(stand, "erase", "0" * 64, "--reason", "asked to", "--yes") == ExitCode.UNDECIDED
    assert "[audit.retention_refused]" in capsys.readouterr().err


def test_pruning_with_an_archive(stand: LogStand, capsys: pytest.CaptureFixture[str]) -> None:
    """Export, prune, verify: the log begins where it was told to, and both halves are valid."""
    fill_quickly(stand, 300)
    archive, rest = stand.folder / "archive", stand.folder / "rest"
    key = str(stand.signer.verifier_key)
    assert _run(stand, "export", "--out", archive) == ExitCode.ALLOW
    assert _run(stand, "prune", "--before", 256, "--archive", archive, "--reason", "old", "--yes") == ExitCode.ALLOW
    pruned = capsys.readouterr().out
    assert _run(stand, "export", "--out", rest) == ExitCode.ALLOW

    for asked in (["show", "3"], ["show", "3", "--unrecorded"], ["attachments", "--record", "3"]):
        assert _run(stand, *asked) == ExitCode.USAGE
        assert "record 3 was pruned, with all before 256; see the archive" in capsys.readouterr().err
    assert pruned.startswith("pruned before 256; archive sha256:")
    assert _kinds(stand)[-3:] == ["log.prune", "log.export", "log.read"]
    assert main(["audit", "verify", "--export", str(archive), "--key", key]) == 0
    assert main(["audit", "verify", "--export", str(rest), "--key", key]) == 0
    assert main(["audit", "verify", "--data-dir", str(stand.folder), "--key", key]) == 0


def test_a_wrong_beginning_is_refused(stand: LogStand, capsys: pytest.CaptureFixture[str]) -> None:
    """Not a whole tile: the message says what would do."""
    fill_quickly(stand, 300)
    archive = stand.export("archive")
    assert _run(stand, "prune", "--before", 100, "--archive", archive, "--reason", "old", "--yes") == ExitCode.UNDECIDED
    assert "want a multiple of 256 above 0, where the log begins, and below 301" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["attachments"],
        ["attachments", "--record", "1", "--containing", "x"],
        ["attachments", "--containing", ""],
        ["attachments", "--record", "99"],
        ["erase", "--reason", "r", "--yes"],
        ["erase", "nonsense", "--reason", "r", "--yes"],
        ["erase", "A" * 64, "--reason", "r", "--yes"],
        ["erase", "0" * 64, "--yes"],
        ["erase", "0" * 64, "--reason", "", "--yes"],
        ["erase", "0" * 64, "--reason", "x" * 1001, "--yes"],
        ["erase", "0" * 64, "--reason", "r"],  # nobody to ask
        ["prune", "--before", "0", "--archive", ".", "--reason", "r", "--yes"],
        ["prune", "--before", "256", "--archive", "missing", "--reason", "r", "--yes"],
        ["prune", "--before", "256", "--archive", ".", "--reason", "r"],  # nobody to ask
    ],
)
def test_wrong_usage_does_nothing(stand: LogStand, arguments: list[str]) -> None:
    """Wrong usage ends with 2, and leaves no record."""
    assert _run(stand, *arguments) == ExitCode.USAGE
    assert _kinds(stand) == ["log.genesis"]


@pytest.mark.parametrize("command", ["erase", "prune"])
def test_a_no_deletes_nothing(stand: LogStand, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal it asks, and anything but yes ends it."""
    keep(stand, SECRET)
    fill_quickly(stand, 300)
    archive = stand.export("archive")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda *_, **__: False)
    asked: dict[str, list[object]] = {
        "erase": ["erase", name_of(SECRET), "--reason", "r"],
        "prune": ["prune", "--before", "256", "--archive", archive, "--reason", "r"],
    }

    assert _run(stand, *asked[command]) == ExitCode.UNDECIDED
    assert stand.log.attachment(name_of(SECRET)) == SECRET
