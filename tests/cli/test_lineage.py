"""`lockgate lineage`: what is asked, and what is shown."""

import json
from pathlib import Path
from typing import Any

import pytest

from lockgate.schemas import check_schema
from support.commands import Run
from support.gate_server import GateServer, json_reply, problem_reply

GRAPH: dict[str, Any] = {
    "nodes": [
        {
            "id": "version:builtin/m/1",
            "kind": "version",
            "label": "m 1",
            "facts": [{"name": "registry", "value": "builtin"}],
        },
        {"id": "code:c1", "kind": "code", "label": "c1\x1b[2J", "facts": []},
    ],
    "edges": [{"from": "code:c1", "to": "version:builtin/m/1", "kind": "ran"}],
    "truncated": True,
}
ANSWER: dict[str, Any] = {
    "model": "m",
    "version": "1",
    "digest": "sha256:" + "c" * 64,
    "collected_at": "2026-07-31T12:00:00.000000Z",
    "score": 33,
    "problems": ["run.unknown"],
    "truncated": ["datasets"],
    "params": [],
    "metrics": [],
    "graph": GRAPH,
}


@pytest.mark.parametrize(("command", "method"), [("show", "GET"), ("collect", "POST")])
def test_a_snapshot_is_shown(run: Run, gate: GateServer, command: str, method: str) -> None:
    """Each node and each edge has its line; what is missing or cut is said; no line moves the cursor."""
    check_schema("v1/api/lineage", ANSWER)
    gate.answer = lambda _: json_reply(ANSWER)
    ended = run("lineage", command, "m", "1")

    assert ended.code == 0
    assert [(call.method, call.path, call.body) for call in gate.calls] == [
        (method, "/v1/models/m/versions/1/lineage", None)
    ]
    assert ended.out.splitlines()[0].startswith("LINEAGE m 1  33 %  sha256:cc")
    for words in ("missing   run.unknown", "cut       datasets", "--ran->  version m 1", "and more than is shown"):
        assert words in ended.out
    assert "\x1b" not in ended.out


def test_the_whole_answer_as_json(run: Run, gate: GateServer) -> None:
    """`--output json` is what the gate said."""
    gate.answer = lambda _: json_reply(ANSWER)

    assert json.loads(run("lineage", "show", "m", "1", "-o", "json").out) == ANSWER  # noqa: TID251 - our own output


def test_events_one_on_a_line(run: Run, gate: GateServer) -> None:
    """OpenLineage events come one on each line, as collectors of lineage take them."""
    gate.answer = lambda _: json_reply({"model": "m", "version": "1", "events": []})
    ended = run("lineage", "show", "m", "1", "--openlineage")

    assert (ended.code, ended.out) == (0, "")
    assert gate.calls[0].path.endswith("/lineage?format=openlineage")


@pytest.mark.parametrize(
    ("status", "code"), [(404, "registry.lineage_unknown"), (503, "registry.unavailable"), (502, "registry.answer")]
)
def test_what_the_gate_did_not_say_is_no_answer(run: Run, gate: GateServer, status: int, code: str) -> None:
    """Nothing was shown; the code says why."""
    gate.answer = lambda _: problem_reply(status, code)
    ended = run("lineage", "show", "m", "1")

    assert (ended.code, ended.out) == (3, "")
    assert code in ended.err


def test_names_stay_within_their_path(run: Run, gate: GateServer) -> None:
    """A name with odd characters asks for that name, and for nothing else."""
    gate.answer = lambda _: problem_reply(404, "registry.model_unknown")
    run("lineage", "show", "../x", "1?format=graph")

    assert gate.calls[0].path == "/v1/models/..%2Fx/versions/1%3Fformat%3Dgraph/lineage"


def test_a_feature_store_that_cannot_be_used_is_told_by_line(run: Run, tmp_path: Path) -> None:
    """`lockgate config check` finds what is wrong with a table of a feature store, at its line."""
    file = tmp_path / "lockgate.toml"
    file.write_text(
        'data_dir = "data"\n\n[[feature_store]]\nname = "feast"\ntype = "feast"\n'
        'url = "http://feast.example.org"\nprojects = ["fraud"]\n'
    )
    file.chmod(0o600)
    ended = run("config", "check", "--config", str(file))

    assert (ended.code, ended.out) == (
        2,
        f"wrong: {file}:6: feature_store[0].url: want https; http only for this machine itself\n",
    )
