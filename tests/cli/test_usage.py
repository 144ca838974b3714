"""`lockgate usage`: what is sent, and what is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockgate.cli import usage as usage_commands
from lockgate.cli.usage import BATCH_ROWS
from lockgate.schemas import load_schema
from support.commands import Run
from support.gate_server import Call, GateServer, Reply, json_reply, problem_reply

ROW = {
    "model": "fraud-detector",
    "version": "1.4.0",
    "environment": "production",
    "day": "2026-11-23",
    "loads": 2,
    "predictions": 1042,
}
LISTED = {**ROW, "source": "api", "last_used_at": "2026-11-23T09:00:00.000000Z"}
IDLE = {
    "model": "fraud-detector",
    "version": "1.4.0",
    "environment": "production",
    "live_since": "2026-09-01T09:00:00.000000Z",
    "last_used_at": None,
    "reason": "not_counted",
}


def keep(call: Call) -> Reply:
    """Answer a report as the gate does."""
    return json_reply({"schema_version": 1, "rows": len(call.body["rows"])})


def in_file(folder: Path, *rows: dict[str, Any]) -> str:
    """Write rows, one on a line, an empty line between."""
    path = folder / "usage.jsonl"
    path.write_text("\n\n".join(json.dumps(row) for row in rows))
    return str(path)


def test_a_file_is_sent_in_batches(run: Run, gate: GateServer, tmp_path: Path) -> None:
    """Each as large as the gate takes; nothing else of a line is changed."""
    gate.answer = keep
    rows = [{**ROW, "version": str(number)} for number in range(BATCH_ROWS + 1)]
    ended = run("usage", "record", in_file(tmp_path, *rows))

    assert (ended.code, ended.out) == (0, f"KEPT {BATCH_ROWS + 1}\n")
    assert [len(call.body["rows"]) for call in gate.calls] == [BATCH_ROWS, 1]
    assert [row for call in gate.calls for row in call.body["rows"]] == rows
    assert load_schema("v1/api/usage_report")["properties"]["rows"]["maxItems"] == BATCH_ROWS


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2: want one JSON value"),
        (json.dumps({**ROW, "loads": -1}), "line 2: want at least 0 at /loads"),
        (json.dumps({**ROW, "note": "x" * 5000}), "line 2: want at most 4096 bytes"),
        (json.dumps([ROW]), "line 2: want an object"),
    ],
)
def test_a_bad_line_sends_nothing(run: Run, gate: GateServer, tmp_path: Path, line: str, words: str) -> None:
    """All lines are read before the first is sent; the message says which one is wrong."""
    path = tmp_path / "usage.jsonl"
    path.write_text(f"{json.dumps(ROW)}\n{line}\n")
    ended = run("usage", "record", str(path))

    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert gate.calls == []


def test_a_report_that_is_refused_is_said(run: Run, gate: GateServer, tmp_path: Path) -> None:
    """What the gate says is shown, with its code; the request was at fault."""
    gate.answer = lambda _call: problem_reply(422, "usage.day_out_of_range")
    ended = run("usage", "record", in_file(tmp_path, ROW))

    assert (ended.code, ended.out) == (2, "")
    assert "usage.day_out_of_range" in ended.err


def test_a_list_is_read_to_its_end(run: Run, gate: GateServer) -> None:
    """Page after page, with the filters that were given."""
    pages = [
        {"items": [LISTED], "next_cursor": "a~1~production~2026-11-23~api"},
        {"items": [LISTED], "next_cursor": ""},
    ]
    gate.answer = lambda _call: json_reply(pages[len(gate.calls) - 1])
    ended = run("usage", "list", "--model", "fraud-detector", "--since", "2026-11-01")

    assert ended.code == 0
    assert ended.out == ("2026-11-23  fraud-detector 1.4.0  production  loads 2  predictions 1042  by api\n" * 2)
    assert [call.path for call in gate.calls] == [
        "/v1/usage?model=fraud-detector&since=2026-11-01",
        "/v1/usage?model=fraud-detector&since=2026-11-01&cursor=a~1~production~2026-11-23~api",
    ]


def test_a_list_ends_somewhere(run: Run, gate: GateServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gate that always has a next page does not hold the command for ever; that something is missing is said."""
    monkeypatch.setattr(usage_commands, "ITEMS_MAX", 3)
    gate.answer = lambda _call: json_reply({"items": [LISTED, LISTED], "next_cursor": "a~1~b~2026-11-23~api"})
    ended = run("usage", "list", "--output", "json")

    assert ended.code == 0
    assert len(json.loads(ended.out)["items"]) == 3  # noqa: TID251 - what a reader of the output does
    assert "only the first 3" in ended.err


def test_idle_versions_are_shown_with_their_reason(run: Run, gate: GateServer) -> None:
    """A line each."""
    gate.answer = lambda _call: json_reply({"days": 60, "items": [IDLE], "next_cursor": ""})
    ended = run("usage", "idle", "--days", "60")

    assert ended.out == (
        "not_counted  fraud-detector 1.4.0  production  live since 2026-09-01T09:00:00.000000Z  last used never\n"
    )
    assert [call.path for call in gate.calls] == ["/v1/usage/idle?days=60"]
