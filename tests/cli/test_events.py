"""`lockgate events` and `lockgate delivery`, with a real gate behind them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from lockgate.cli import events as commands
from lockgate.delivery.sender import WebhookJob
from lockgate.delivery.webhooks import parse_webhooks
from lockgate.policy.wasm import WasmEngine
from support.commands import Run
from support.gate_server import Call, GateServer, Reply, problem_reply
from support.gates import PUBLIC_URL, GateUnderTest, make_gate
from support.receivers import SECRET_TEXT


@pytest.fixture
def real_gate(tmp_path: Path, engine: WasmEngine, gate: GateServer) -> Iterator[GateUnderTest]:
    """A whole gate behind the peer; whoever calls is otto."""
    folder = tmp_path / "gate"
    folder.mkdir()
    real = make_gate(folder, engine)

    def pass_on(call: Call) -> Reply:
        headers = {"Authorization": f"Bearer {real.tokens['otto']}"}
        data = None if call.body is None else orjson.dumps(call.body)
        response = real.client.open(call.path, method=call.method, headers=headers, data=data)
        return Reply(status=response.status_code, body=response.data, content_type=response.content_type)

    gate.answer = pass_on
    with capture_logs():  # the gate's log would come between what the command says
        yield real


def make_delivery(gate: GateUnderTest) -> None:
    """Make a delivery that nobody took."""
    (gate.folder / "secret").write_text(SECRET_TEXT)
    table = {"name": "bot", "url": "http://127.0.0.1:9/hook", "secret_file": "secret", "public_only": False}
    (webhook,) = parse_webhooks([table], gate.folder)
    job = WebhookJob(
        webhook=webhook,
        database=gate.database,
        logs=gate.services.logs,
        clock=gate.clock,
        public_url=PUBLIC_URL,
    )
    job.run()
    gate.request()
    job.run()


def lines(out: str) -> list[Any]:
    """Read lines of JSON."""
    return [json.loads(line) for line in out.splitlines()]  # noqa: TID251 - our own output, whose types the test looks at


def test_events_are_lines(run: Run, real_gate: GateUnderTest) -> None:
    """Each event is a line; after one, the rest follows."""
    for version in ("1", "2", "3"):
        real_gate.request(version=version)
    everything = run("events")
    first, *rest = lines(everything.out)
    after = run("events", "--after", str(first["data"]["seq"]))

    assert (everything.code, after.code) == (0, 0)
    assert [event["type"] for event in (first, *rest)] == ["dev.lockgate.promotion.requested.v1"] * 3
    assert lines(after.out) == rest


def test_events_are_read_page_by_page(run: Run, real_gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the gate's pages are, nothing is left out."""
    monkeypatch.setattr("lockgate.delivery.reading.STRETCH_RECORDS", 1)
    for version in ("1", "2", "3"):
        real_gate.request(version=version)

    assert len(lines(run("events").out)) == 3


def test_cdevents(run: Run, real_gate: GateUnderTest) -> None:
    """The same in the words of CDEvents."""
    real_gate.request()
    (event,) = lines(run("events", "--format", "cdevents").out)

    assert event["type"] == "dev.cdevents.approval.created.0.1.0"


def test_following_outlives_a_restart(
    run: Run, real_gate: GateUnderTest, gate: GateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes is printed as it comes; a gate that is away for a moment is asked again where it was left."""
    monkeypatch.setattr(commands, "POLL_S", 0.0)
    pass_on = gate.answer
    asked: list[str] = []

    def behave(call: Call) -> Reply:
        asked.append(call.path)
        if len(asked) == 2:
            return problem_reply(503, "storage.unavailable")
        if len(asked) == 3:
            real_gate.request(version="2")
        if len(asked) == 4:
            return problem_reply(403, "identity.not_permitted")  # on purpose: it ends
        return pass_on(call)

    gate.answer = behave
    real_gate.request(version="1")
    ended = run("events", "--follow")

    assert ended.code == 3
    assert [event["data"]["body"]["subject"]["version"] for event in lines(ended.out)] == ["1", "2"]
    assert asked[1] == asked[2]


def test_a_log_that_is_not_there(run: Run, real_gate: GateUnderTest) -> None:
    """What the gate refuses ends the command, with its reason."""
    real_gate.request()
    ended = run("events", "--log", "staging")

    assert (ended.code, ended.out) == (3, "")
    assert "audit.record_unknown" in ended.err


def test_deliveries(run: Run, real_gate: GateUnderTest) -> None:
    """A delivery that failed is listed with its reason, and sent again by its id."""
    make_delivery(real_gate)
    listed = run("delivery", "list", "--state", "waiting", "--subscriber", "bot")
    (item,) = json.loads(run("delivery", "list", "-o", "json").out)["items"]  # noqa: TID251 - as above
    again = run("delivery", "redeliver", item["id"])

    assert listed.code == again.code == 0
    assert listed.out.startswith(f"{item['id']}  waiting    bot   1  outbound.failed  dev.lockgate.promotion.")
    assert real_gate.records("gate.delivery")[-1]["body"]["delivery_id"] == item["id"]


def test_deliveries_that_are_too_many(run: Run, real_gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long list is cut, and says so."""
    make_delivery(real_gate)
    monkeypatch.setattr(commands, "DELIVERIES_PAGE", 1)
    monkeypatch.setattr(commands, "DELIVERIES_MAX", 1)
    ended = run("delivery", "list")

    assert len(ended.out.splitlines()) == 1
    assert "only the newest 1" in ended.err


def test_no_deliveries(run: Run, real_gate: GateUnderTest) -> None:
    """Nothing is nothing."""
    assert (run("delivery", "list").out, real_gate.records("gate.delivery")) == ("", [])


def test_redelivery_of_nothing(run: Run, real_gate: GateUnderTest) -> None:
    """An id that no delivery has, and what is no id."""
    unknown = run("delivery", "redeliver", "01a1ee56-5e00-7cf9-af7f-e207b52d6636")
    none = run("delivery", "redeliver", "latest")

    assert (unknown.code, none.code) == (3, 2)
    assert "delivery.unknown" in unknown.err
    assert real_gate.records("gate.delivery") == []
