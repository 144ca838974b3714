"""Queries of the audit log over HTTP: conditions, pages, and the record that each read leaves."""

from typing import Any

import orjson
import pytest

from lockgate.audit import load_key_file
from lockgate.audit.formats.checkpoints import read_checkpoint
from lockgate.audit.formats.cosignatures import cosign
from lockgate.audit.formats.notes import make_signer
from lockgate.audit.store import add_cosigned
from lockgate.clock import EpochNs
from lockgate.policy.wasm import WasmEngine
from lockgate.schemas import check_schema
from lockgate.storage import write_transaction
from support.gates import GateUnderTest, make_gate
from support.large_logs import lengthen

TRACE = "6f1f1c0a-0000-4000-8000-000000000009"


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory, engine: WasmEngine) -> GateUnderTest:
    """A gate for requests that are refused."""
    return make_gate(tmp_path_factory.mktemp("still"), engine)


@pytest.fixture
def gate(gate: GateUnderTest) -> GateUnderTest:
    """A gate whose log holds seven records, a minute apart from each other."""
    lengthen(gate.database, load_key_file(gate.folder / "log.key"), 7, step_ns=60_000_000_000)
    gate.clock.advance(3600 * 10**9)
    return gate


def _page(gate: GateUnderTest, query: str) -> dict[str, Any]:
    response = gate.call("GET", f"/v1/audit/records?{query}", "aude", X_Request_Id=TRACE)
    assert response.status_code == 200, response.text
    check_schema("v1/api/audit_records", response.json)
    document: dict[str, Any] = response.json
    return document


def _seqs(gate: GateUnderTest, query: str) -> list[int]:
    return [item["seq"] for item in _page(gate, query)["items"]]


def _time(gate: GateUnderTest, seq: int) -> str:
    time: str = gate.records()[seq]["ts"]
    return time


def test_conditions_narrow(gate: GateUnderTest) -> None:
    """Kind, actor, subject and time, one by one and together; the reads themselves come last."""
    since, until = _time(gate, 3), _time(gate, 5)

    assert _seqs(gate, "kind=log.genesis") == [0]
    assert _seqs(gate, "actor=ann@example.com&limit=2") == [1, 2]
    assert _seqs(gate, "subject=model:none") == []
    assert _seqs(gate, f"since={since}&until={until}") == [3, 4]
    assert _seqs(gate, f"since={since[:19]}Z&kind=app.event&actor=ann%40example.com") == [3, 4, 5, 6]
    assert _seqs(gate, "actor=aude") == [7, 8, 9, 10, 11]


def test_both_orders_lead_through_everything(gate: GateUnderTest) -> None:
    """The cursor of a page continues its own order."""
    for order, expected in (("asc", [1, 2, 3, 4, 5, 6]), ("desc", [6, 5, 4, 3, 2, 1])):
        seen, cursor = [], ""
        while True:
            page = _page(gate, f"kind=app.event&order={order}&limit=4{cursor}")
            seen += [item["seq"] for item in page["items"]]
            if not page["next_cursor"]:
                break
            cursor = f"&after={page['next_cursor']}"

        assert seen == expected


def test_each_query_is_recorded(gate: GateUnderTest) -> None:
    """One record for each request: who, what, how many, and the request's id; its own page does not hold it."""
    first = _seqs(gate, "limit=1000")
    gate.call("GET", "/v1/audit/records/2", "aude", X_Request_Id=TRACE)
    records = gate.records("log.read")

    assert first == list(range(7))
    assert [record["body"] for record in records] == [
        {"query": "limit=1000\norder=asc", "count": 7},
        {"query": "seq=2", "count": 1},
    ]
    assert {record["actor"]["id"] for record in records} == {"aude"}
    assert {record["trace"] for record in records} == {TRACE}


def test_refused_reads_leave_nothing(gate: GateUnderTest) -> None:
    """Wrong parameters, strangers and records that are not there."""
    for path in ("/v1/audit/records?kind=X", "/v1/audit/records/99"):
        assert gate.call("GET", path, "aude").status_code in {400, 404}
    assert gate.call("GET", "/v1/audit/records", "rita").status_code == 403

    assert gate.records("log.read") == []


def test_what_cannot_be_recorded_is_not_answered(gate: GateUnderTest) -> None:
    """When the log takes no record, nobody reads records: 503. What needs no record is served still."""
    with gate.database.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_head_update")
        connection.exec_driver_sql("UPDATE audit_head SET leaf = zeroblob(32)")
    for path in ("/v1/audit/records", "/v1/audit/records/1"):
        response = gate.call("GET", path, "aude")

        assert (response.status_code, response.json["code"]) == (503, "audit.log_inconsistent")
        assert "items" not in response.json
    assert gate.call("GET", "/audit/tile/0/000.p/7", "aude").status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=01",
        "after=-1",
        "after=1.0",
        "order=newest",
        "order=ASC",
        "kind=",
        "kind=app",
        "kind=App.event",
        f"kind=a.{'b' * 70}",
        "actor=",
        "actor=ann%0akind=x",
        "actor=a%00b",
        f"actor={'a' * 256}",
        "subject=",
        "subject=%7f",
        "since=yesterday",
        "since=",
        "since=2026-11-23",
        "until=2026-11-23T09:00:00%2B01:00",
        "since=2026-13-01T00:00:00Z",
        "until=2026-11-23T09:00:00.1234567Z",
        "actor=ann&actor=bob",
        "user=ann",
    ],
)
def test_a_wrong_parameter_is_named(still: GateUnderTest, query: str) -> None:
    """400, and the name of the parameter: a condition that is not understood must not match everything."""
    response = still.call("GET", f"/v1/audit/records?{query}", "aude")

    assert (response.status_code, response.json["code"]) == (400, "http.parameter")
    assert query.partition("=")[0] in response.json["detail"]


def test_a_page_of_a_thousand(gate: GateUnderTest) -> None:
    """The largest page is a valid answer."""
    lengthen(gate.database, load_key_file(gate.folder / "log.key"), 1200)
    page = _page(gate, "limit=1000")

    assert (len(page["items"]), page["next_cursor"]) == (1000, "999")
    assert orjson.loads(page["items"][-1]["record"])["seq"] == 999


def test_witnessed_receipt_is_had_when_witnesses_signed(gate: GateUnderTest) -> None:
    """`witnessed=yes` is 404 with a code of its own until a witness signed, and nothing else is a yes."""
    missing = gate.call("GET", "/v1/audit/records/3?witnessed=yes", "aude")
    other = gate.call("GET", "/v1/audit/records/3?witnessed=no", "aude")
    note = gate.call("GET", "/v1/audit/checkpoint", "aude").data
    line = cosign(note, make_signer("w.example", bytes(range(32))), EpochNs(gate.clock.now_ns())).line
    with write_transaction(gate.database) as connection:
        add_cosigned(connection, gate.key.name, read_checkpoint(note).size, note + line.encode())
    answer = gate.call("GET", "/v1/audit/records/3?witnessed=yes", "aude")

    assert (missing.status_code, missing.json["code"]) == (404, "audit.not_witnessed")
    assert (other.status_code, other.json["code"]) == (400, "http.parameter")
    assert answer.status_code == 200
    check_schema("v1/api/receipt", answer.json)
    assert answer.json["proof"].endswith(line)
    assert gate.records()[-1]["body"] == {"query": "seq=3", "count": 1}
