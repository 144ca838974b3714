"""Events by cursor, and deliveries, over HTTP."""

from pathlib import Path

import pytest

from lockgate.audit import RecordPrunedError
from lockgate.clock import NS_PER_S
from lockgate.delivery.sender import WebhookJob
from lockgate.delivery.webhooks import parse_webhooks
from lockgate.policy.wasm import WasmEngine
from lockgate.storage import write_transaction
from lockgate.web import gauges
from support.expositions import scrape, value
from support.gates import DAY_NS, PUBLIC_URL, GateUnderTest, make_gate
from support.receivers import SECRET_TEXT

NOBODY = "http://127.0.0.1:9/hook"


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine) -> GateUnderTest:
    """A gate whose production has a log of its own."""
    return make_gate(tmp_path, engine, environment_logs=("production",))


def make_dead(gate: GateUnderTest) -> str:
    """Let a delivery fail until it is given up; return its id."""
    (gate.folder / "secret").write_text(SECRET_TEXT)
    table = {"name": "bot", "url": NOBODY, "secret_file": "secret", "public_only": False}
    (webhook,) = parse_webhooks([table], gate.folder)
    services = gate.services
    job = WebhookJob(
        webhook=webhook, database=gate.database, logs=services.logs, clock=gate.clock, public_url=PUBLIC_URL
    )
    job.run()
    gate.request()
    while not (dead := gate.call("GET", "/v1/deliveries?state=dead", "otto").json["items"]):
        job.run()
        gate.clock.advance(DAY_NS)
    delivery_id: str = dead[-1]["id"]
    return delivery_id


def test_a_promotion_in_events(gate: GateUnderTest) -> None:
    """Whoever reads a log's events by cursor sees a promotion asked for, approved and allowed, in this order."""
    answer = gate.request()
    gate.clock.advance(1_000_000)
    answer = gate.approve("leo", "ml-lead", answer).json
    gate.clock.advance(1_000_000)
    gate.approve("maya", "risk", answer)
    types: list[str] = []
    path = "/v1/events?log=production&limit=2"
    cursor, at_end = "", False
    while not at_end:
        page = gate.call("GET", path + cursor, "otto").json
        types += [event["type"].removeprefix("dev.lockgate.promotion.") for event in page["items"]]
        cursor, at_end = f"&after={page['next_cursor']}", page["at_end"]

    assert types == ["requested.v1", "approved.v1", "evaluated.v1", "approved.v1", "allowed.v1"]


def test_reading_events_leaves_no_record(gate: GateUnderTest) -> None:
    """Whoever asks every second writes nothing."""
    gate.request()
    before = len(gate.records())
    gate.call("GET", "/v1/events", "otto")

    assert len(gate.records()) == before


def test_cdevents_link_to_the_gate(gate: GateUnderTest) -> None:
    """The same records in the words of CDEvents, with links to where the gate is reached."""
    answer = gate.request()
    (event,) = gate.call("GET", "/v1/events?log=production&format=cdevents", "otto").json["items"]

    assert event["type"] == "dev.cdevents.approval.created.0.1.0"
    content = event["data"]["subject"]["content"]
    assert content["approvalDetailsUrl"] == f"{PUBLIC_URL}/v1/promotions/{answer['promotion']['id']}"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?after=1000", 404, "audit.record_unknown"),
        ("?log=staging", 404, "audit.record_unknown"),
        ("?after=-1", 400, "http.parameter"),
        ("?after=", 400, "http.parameter"),
        ("?format=atom", 400, "http.parameter"),
        ("?limit=0", 400, "http.parameter"),
        ("?since=1", 400, "http.parameter"),
    ],
)
def test_cursors_that_cannot_be_followed(gate: GateUnderTest, query: str, status: int, code: str) -> None:
    """Each is told by its code, and none is answered with an empty page."""
    response = gate.call("GET", f"/v1/events{query}", "otto")

    assert (response.status_code, response.json["code"]) == (status, code)


def test_a_pruned_cursor(gate: GateUnderTest) -> None:
    """What was pruned is gone, and the answer says from where there is more."""
    gate.request()
    gate.request(version="1.4.1")
    with write_transaction(gate.database) as connection:
        connection.exec_driver_sql("UPDATE audit_head SET first_seq = 2 WHERE log LIKE '%/production'")
    response = gate.call("GET", "/v1/events?log=production&after=0", "otto")

    assert (response.status_code, response.json["code"]) == (410, RecordPrunedError.code)
    assert "want after from 1" in response.json["detail"]


def test_deliveries_are_listed(gate: GateUnderTest) -> None:
    """Deliveries are found by state and subscriber, page by page."""
    dead = make_dead(gate)
    listed = gate.call("GET", "/v1/deliveries?state=dead&subscriber=bot&limit=1", "aude").json
    rest = gate.call("GET", f"/v1/deliveries?state=dead&cursor={listed['next_cursor']}", "aude").json
    others = gate.call("GET", "/v1/deliveries?subscriber=other", "aude").json

    (item,) = listed["items"]
    assert (item["state"], item["log"], item["code"]) == ("dead", "production", "outbound.failed")
    assert dead in {one["id"] for one in (*listed["items"], *rest["items"])}
    assert others == {"items": [], "next_cursor": ""}


def test_redelivery_is_recorded(gate: GateUnderTest) -> None:
    """An operator has a delivery sent again; the log says who."""
    dead = make_dead(gate)
    response = gate.call("POST", f"/v1/deliveries/{dead}:redeliver", "otto")

    assert (response.status_code, response.json["state"]) == (202, "waiting")
    record = gate.records("gate.delivery")[-1]
    assert (record["body"]["change"], record["body"]["delivery_id"]) == ("redelivered", dead)
    assert record["actor"] == {"id": "otto", "roles": ["operator"], "type": "user"}


def test_backlogs_are_metrics(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape tells what waits for each subscriber, what was given up, and for how long somebody was not told."""
    monkeypatch.setattr(gauges, "FRESH_S", -1.0)
    before = scrape(gate).text
    make_dead(gate)
    gate.clock.advance(NS_PER_S)
    after = scrape(gate).text

    assert value(before, "lockgate_deliveries_waiting", subscriber="bot") == 0
    assert value(before, "lockgate_delivery_oldest_seconds", subscriber="bot") is None
    assert (value(after, "lockgate_deliveries_dead", subscriber="bot") or 0) >= 1
    assert (value(after, "lockgate_delivery_oldest_seconds", subscriber="bot") or 0) > 0


def test_redelivery_of_nothing(gate: GateUnderTest) -> None:
    """An id that no delivery has is not found, and is not recorded."""
    response = gate.call("POST", "/v1/deliveries/01a1ee56-5e00-7cf9-af7f-e207b52d6636:redeliver", "otto")

    assert (response.status_code, response.json["code"]) == (404, "delivery.unknown")
    assert gate.records("gate.delivery") == []


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/events"), ("GET", "/v1/deliveries")])
def test_requesters_read_no_events(gate: GateUnderTest, method: str, path: str) -> None:
    """Events hold bodies of records, so they are for who may read records."""
    assert gate.call(method, path, "rita").status_code == 403
