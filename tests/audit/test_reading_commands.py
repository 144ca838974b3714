"""`lockgate audit export` and `show`: every form and condition; each read recorded unless said otherwise."""

import csv
import io
import stat
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from lockgate.audit import APP_EVENT, Actor, Event
from lockgate.audit.formats.notes import format_signer
from lockgate.audit.formats.records import parse_record
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import parse_json
from lockgate.cli.audit import audit
from support.audit_logs import LogStand, make_event
from support.tile_reader import TileReader


@pytest.fixture
def stand(stand: LogStand) -> LogStand:
    """A log of five records with its key beside it, as a gate has it."""
    path = stand.folder / "log.key"
    path.write_text(format_signer(stand.signer) + "\n")
    path.chmod(0o600)
    stand.fill(3)
    stand.log.append(
        Event(
            id=str(uuid.uuid4()),
            kind=APP_EVENT,
            actor=Actor(type="user", id="=cmd"),
            subject="model:a",
            body=make_event().body,
        )
    )
    return stand


def _run(stand: LogStand, *arguments: object) -> Result:
    return CliRunner().invoke(audit, [*map(str, arguments), "--data-dir", str(stand.folder)])


def _newest(stand: LogStand) -> dict[str, Any]:
    (record,) = stand.log.find(RecordFilter(), limit=1, newest_first=True)
    return parse_record(record.body)


def _shown(result: Result) -> list[int]:
    assert result.exit_code == 0, result.output
    return [parse_json(line, bytes_max=100_000)["seq"] for line in result.stdout_bytes.splitlines()]


def test_export_holds_tiles_and_the_record_of_itself(stand: LogStand) -> None:
    """The folder is proved by its tiles, and its last record says that it was made."""
    out = stand.folder / "export"
    result = _run(stand, "export", "--out", out)
    last = parse_record((out / "records.jsonl").read_bytes().splitlines()[-1])

    assert result.exit_code == 0
    assert "exported 6 records" in result.stderr
    assert (last["kind"], last["body"]) == ("log.export", {"size": 5, "format": "folder", "filter": ""})
    assert last["actor"] == {"type": "system", "id": "command-line", "roles": []}
    assert TileReader(lambda path: (out / path).read_bytes()).check_all() == 6


def test_tiles_can_be_left_out(stand: LogStand) -> None:
    """`--no-tiles` leaves everything else."""
    out = stand.folder / "export"

    assert _run(stand, "export", "--out", out, "--no-tiles").exit_code == 0
    assert not (out / "tile").exists()
    assert (out / "policy").is_file()


def test_csv_export_is_narrowed_and_harmless(stand: LogStand) -> None:
    """Only what was asked for, formulas marked, and the conditions in the log."""
    out = stand.folder / "records.csv"
    result = _run(stand, "export", "--out", out, "--format", "csv", "--subject", "model:a")
    rows = list(csv.reader(io.StringIO(out.read_bytes().decode(), newline="")))

    assert result.exit_code == 0
    assert [(row[0], row[4]) for row in rows[1:]] == [("4", "'=cmd")]
    assert _newest(stand)["body"] == {"size": 5, "format": "csv", "filter": "subject=model:a"}
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_ocsf_export_is_narrowed_by_time(stand: LogStand) -> None:
    """`--since` and `--until` as in queries."""
    since, until = (parse_record(stand.log.receipt(seq).record)["ts"] for seq in (1, 3))
    out = stand.folder / "records.ocsf"
    result = _run(stand, "export", "--out", out, "--format", "ocsf", "--since", since, "--until", until)
    events = [parse_json(line, bytes_max=100_000) for line in out.read_bytes().splitlines()]

    assert result.exit_code == 0
    assert [event["metadata"]["sequence"] for event in events] == [1, 2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["export"],
        ["export", "--out", "x", "--format", "xml"],
        ["export", "--out", "x", "--kind", "app.event"],
        ["export", "--out", "x", "--since", "2026-01-01T00:00:00Z"],
        ["export", "--out", "x", "--format", "csv", "--no-tiles"],
        ["export", "--out", "x", "--format", "csv", "--since", "yesterday"],
        ["show", "1", "--subject", "model:a"],
        ["show", "1", "--until", "2026-01-01T00:00:00Z"],
        ["show", "--last", "1001"],
        ["show", "--last", "0"],
        ["show", "--since", "2026-01-01T00:00:00Z"],
    ],
)
def test_wrong_usage_reads_and_records_nothing(stand: LogStand, arguments: list[str]) -> None:
    """Options that contradict each other, and a part of a log that would pass for the whole."""
    assert _run(stand, *arguments).exit_code == 2
    assert _newest(stand)["seq"] == 4
    assert not Path("x").exists()


def test_show_is_narrowed_and_recorded(stand: LogStand) -> None:
    """The newest that meet the conditions, oldest of them first; what was asked for is in the log."""
    actor = ("--actor", "ann@example.com")

    assert _shown(_run(stand, "show", "--last", 2, *actor, "--output", "json")) == [2, 3]
    assert _newest(stand)["body"] == {"query": "actor=ann@example.com\nlimit=2\norder=desc", "count": 2}
    assert _shown(_run(stand, "show", "--last", 9, "--subject", "model:a", "--output", "json")) == [4]
    assert _shown(_run(stand, "show", 1, "--output", "json")) == [1]
    assert _newest(stand)["body"] == {"query": "after=0\nlimit=1\norder=asc", "count": 1}


@pytest.mark.parametrize("arguments", [["show", "2"], ["show", "--last", "1"], ["export", "--out", "{out}"]])
def test_what_cannot_be_recorded_is_not_shown(stand: LogStand, arguments: list[str]) -> None:
    """A log that takes no record gives none; unless it is said that this read leaves none."""
    stand.edit("UPDATE audit_head SET leaf = ?", bytes(32))
    out = stand.folder / "export"
    filled = [argument.format(out=out) for argument in arguments]
    refused = _run(stand, *filled)
    allowed = _run(stand, *filled, "--unrecorded")

    assert refused.exit_code != 0
    assert refused.stdout == ""
    assert allowed.exit_code == 0
    assert "this read is not recorded in the log" in allowed.stderr


def test_another_record_is_never_shown_instead(stand: LogStand) -> None:
    """A record that is gone is not there, though the next one is."""
    stand.edit("DELETE FROM audit_entry WHERE seq = 2")

    assert _run(stand, "show", "2", "--unrecorded").exit_code == 2


def test_unrecorded_reads_leave_nothing(stand: LogStand) -> None:
    """A copy that cannot be written is read with the public key alone."""
    (stand.folder / "log.key").write_text(f"{stand.signer.verifier_key}\n")

    assert _shown(_run(stand, "show", "--last", 1, "--output", "json", "--unrecorded")) == [4]
    assert _run(stand, "export", "--out", stand.folder / "export", "--unrecorded").exit_code == 0
    assert _newest(stand)["seq"] == 4
