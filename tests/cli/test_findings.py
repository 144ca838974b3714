"""`lockgate finding` against a gate: what is shown, and how it ends."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lockgate.policy.wasm import WasmEngine
from lockgate.reconciling.types import Difference, FindingKind
from support.commands import Run
from support.gate_server import Call, GateServer, Reply
from support.gates import GateUnderTest, make_gate

DIFFERENCE = Difference(
    kind=FindingKind.ALIAS_MOVED,
    model="fraud-detector",
    environment="production",
    registry="mlflow",
    registry_model="Fraud \x1b[31m",
    alias="champion",
    wanted_version="3",
    found_version="4\x1b[31m",
)


@pytest.fixture
def made(tmp_path: Path, engine: WasmEngine, gate: GateServer) -> Iterator[GateUnderTest]:
    """A whole gate behind the peer."""
    folder = tmp_path / "gate"
    folder.mkdir()
    made = make_gate(folder, engine)
    gate.roles = None

    def answer(call: Call) -> Reply:
        response = made.client.open(
            call.path,
            method=call.method,
            data=None if call.body is None else json.dumps(call.body),
            headers={name: value for name, value in call.headers.items() if name not in {"Host", "Content-Length"}},
        )
        return Reply(status=response.status_code, body=response.data, content_type=response.content_type)

    gate.answer = answer
    with capture_logs():  # else the gate's lines mix with what the command prints
        yield made


def test_a_finding_is_shown_and_closed(made: GateUnderTest, run: Run) -> None:
    """A person sees what is wanted and what was found, in printable characters, and closes it with a reason, once."""
    finding_id = made.services.findings.open(DIFFERENCE, "alert")

    def lockgate(*arguments: str) -> tuple[int, str]:
        ended = run(*arguments, environment={"LOCKGATE_TOKEN": made.tokens["lena"]})
        return ended.code, ended.out

    code, shown = lockgate("finding", "list")
    assert code == 0
    assert shown.startswith(f"{finding_id}  alias_moved_out_of_band  production  fraud-detector  wanted 3, found 4")
    assert "\x1b" not in shown
    code, closed = lockgate("finding", "close", finding_id, "--reason", "put back")
    assert (code, closed.split()[-1]) == (0, "closed")
    assert lockgate("finding", "list") == (0, "")
    assert lockgate("finding", "list", "--state", "closed", "-o", "json")[1].count(finding_id) == 1
    assert lockgate("finding", "close", finding_id, "--reason", "again")[0] == 3
