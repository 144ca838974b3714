"""Uses over HTTP: reports in, counts and idle versions out."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from limits import RateLimitItemPerDay

from lockgate.clock import EpochNs, format_timestamp
from lockgate.identity import parse_principal
from lockgate.policy.wasm import WasmEngine
from lockgate.storage import write_transaction
from lockgate.storage.tables import live_interval
from lockgate.usage.types import day_at, write_day
from lockgate.web.app import create_app
from lockgate.web.limits import Limits
from support.clocks import START
from support.gates import DAY_NS, GateUnderTest, make_gate
from support.models import register_model

TODAY = write_day(day_at(START))
SINCE = EpochNs(START - 31 * DAY_NS)
ROW = {
    "model": "fraud-detector",
    "version": "1.4.0",
    "environment": "production",
    "day": TODAY,
    "loads": 2,
    "predictions": 1042,
}


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine) -> GateUnderTest:
    """A gate with two models, and `cd`, a machine that deploys."""
    gate = make_gate(tmp_path, engine)
    for model in ("fraud-detector", "other"):
        register_model(gate, model)
    gate.identities.put_principal(parse_principal(subject="cd", type="machine", roles=["deployer"], identities=()))
    secret = gate.identities.create_token("cd", DAY_NS).secret
    return replace(gate, tokens={**gate.tokens, "cd": secret})


def tell(gate: GateUnderTest, *rows: dict[str, Any], who: str = "cd") -> Any:
    """Report uses."""
    return gate.call("POST", "/v1/usage", who, {"schema_version": 1, "rows": list(rows)})


def test_what_is_told_is_listed(gate: GateUnderTest) -> None:
    """A report that is sent twice is kept once; whoever reads promotions reads it."""
    first, second = tell(gate, ROW), tell(gate, ROW)
    listed = gate.call("GET", "/v1/usage", "leo")

    assert (first.status_code, first.json) == (200, {"schema_version": 1, "rows": 1})
    assert second.json == first.json
    assert listed.json == {
        "items": [{**ROW, "source": "api", "last_used_at": format_timestamp(START)}],
        "next_cursor": "",
    }


def test_only_a_deployer_tells(gate: GateUnderTest) -> None:
    """Whoever requests, approves or operates does not count."""
    for who in ("rita", "leo", "otto", "aude"):
        refused = tell(gate, ROW, who=who)
        assert (refused.status_code, refused.json["code"]) == (403, "identity.not_permitted")

    assert gate.call("GET", "/v1/usage", "leo").json["items"] == []


def test_a_bad_row_keeps_nothing(gate: GateUnderTest) -> None:
    """The problem says which row; those beside it are not kept either."""
    broken = tell(gate, ROW, {**ROW, "loads": -1})
    tomorrow = tell(gate, ROW, {**ROW, "day": "2099-01-01"})

    assert (broken.status_code, broken.json["code"], broken.json["pointer"]) == (422, "schema.invalid", "/rows/1/loads")
    assert (tomorrow.status_code, tomorrow.json["code"]) == (422, "usage.day_out_of_range")
    assert "/rows/1/day" in tomorrow.json["detail"]
    assert gate.call("GET", "/v1/usage", "leo").json["items"] == []


def test_what_the_gate_does_not_know_is_refused(gate: GateUnderTest) -> None:
    """A report that names a model nobody registered, or another environment, keeps nothing and says which row."""
    model = tell(gate, ROW, {**ROW, "model": "invented"})
    environment = tell(gate, {**ROW, "environment": "moon"})

    assert (model.status_code, model.json["code"]) == (422, "usage.unknown")
    assert "/rows/1: want a model that is registered" in model.json["detail"]
    assert environment.json["code"] == "usage.unknown"
    assert gate.call("GET", "/v1/usage", "leo").json["items"] == []


def test_how_much_one_principal_tells_in_a_day(gate: GateUnderTest) -> None:
    """Beyond the limit nothing is kept, and they are told when to come back; rows count, not reports."""
    client = create_app(gate.services, limits=Limits(usage=RateLimitItemPerDay(5))).test_client()
    rows = [{**ROW, "version": str(number)} for number in range(3)]
    header = {"Authorization": f"Bearer {gate.tokens['cd']}"}
    first, second = (
        client.post("/v1/usage", json={"schema_version": 1, "rows": rows}, headers=header) for _ in range(2)
    )

    assert (first.status_code, second.status_code) == (200, 429)
    assert second.get_json()["code"] == "usage.too_many_rows"
    assert int(second.headers["Retry-After"]) > 60
    assert len(gate.call("GET", "/v1/usage", "leo").json["items"]) == 3


def test_pages_and_filters(gate: GateUnderTest) -> None:
    """Every count is on one page; filters are exact."""
    rows = [{**ROW, "version": str(number), "source": "edge.fleet-1"} for number in range(7)]
    tell(gate, *rows, {**ROW, "model": "other", "environment": "staging"})
    seen: list[str] = []
    cursor = ""
    while True:
        page = gate.call("GET", f"/v1/usage?model=fraud-detector&limit=3{cursor}", "leo").json
        seen += [item["version"] for item in page["items"]]
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"

    assert seen == [str(number) for number in range(7)]
    assert len(gate.call("GET", "/v1/usage?environment=staging", "leo").json["items"]) == 1
    assert gate.call("GET", f"/v1/usage?since={write_day(day_at(START) + 1)}", "leo").json["items"] == []


@pytest.mark.parametrize(
    "query",
    [
        "model=a%20b",
        "since=2026-02-30",
        "since=yesterday",
        "cursor=x",
        "cursor=a~1~production~2026-02-30~api",
        "cursor=a~1~production~2026-02-28~api~",
        "limit=0",
        "day=2026-11-23",
    ],
)
def test_a_parameter_that_cannot_be_read_is_refused(gate: GateUnderTest, query: str) -> None:
    """A misspelt filter does not silently match everything."""
    refused = gate.call("GET", f"/v1/usage?{query}", "leo")

    assert (refused.status_code, refused.json["code"]) == (400, "http.parameter")


def test_idle_versions_have_their_reason(gate: GateUnderTest) -> None:
    """What was live for so long and was not used, and why we think so."""
    with write_transaction(gate.database) as connection:
        connection.execute(
            live_interval.insert().values(
                model="fraud-detector",
                environment="production",
                version="1.4.0",
                digest="sha256:" + "0" * 64,
                from_ns=SINCE,
                is_live=1,
                promotion_id="",
                log="",
                record_id="",
            )
        )
    before = gate.call("GET", "/v1/usage/idle", "leo")
    tell(gate, {**ROW, "loads": 0, "predictions": 0})
    counted = gate.call("GET", "/v1/usage/idle?days=30", "leo")
    tell(gate, ROW)

    assert before.json == {
        "days": 30,
        "items": [
            {
                "model": "fraud-detector",
                "version": "1.4.0",
                "environment": "production",
                "live_since": format_timestamp(SINCE),
                "last_used_at": None,
                "reason": "not_counted",
            }
        ],
        "next_cursor": "",
    }
    assert counted.json["items"][0]["reason"] == "zero_use"
    assert gate.call("GET", "/v1/usage/idle", "leo").json["items"] == []
    assert gate.call("GET", "/v1/usage/idle?days=32", "leo").json["items"] == []


@pytest.mark.parametrize("query", ["days=0", "days=401", "days=-1", "cursor=0", "model=x"])
def test_idle_takes_days_within_reason(gate: GateUnderTest, query: str) -> None:
    """From one day to what reports may be about."""
    refused = gate.call("GET", f"/v1/usage/idle?{query}", "leo")

    assert (refused.status_code, refused.json["code"]) == (400, "http.parameter")


def test_models_and_versions_tell_their_last_use(gate: GateUnderTest) -> None:
    """In the documents and in the lists; nothing where nobody counted a use."""
    for version, digest in (("1.4.0", "0"), ("1.5.0", "1")):
        document = {"schema_version": 1, "version": version, "digest": "sha256:" + digest * 64}
        made = gate.call("POST", "/v1/models/fraud-detector/versions", "rita", document)
        assert made.status_code == 201, made.text
    before = gate.call("GET", "/v1/models/fraud-detector", "leo").json["last_used_at"]
    tell(gate, ROW, {**ROW, "version": "1.5.0", "loads": 0, "predictions": 0})

    used = format_timestamp(START)
    assert before is None
    assert gate.call("GET", "/v1/models/fraud-detector", "leo").json["last_used_at"] == used
    assert [one["last_used_at"] for one in gate.call("GET", "/v1/models", "leo").json["items"]] == [used, None]
    versions = gate.call("GET", "/v1/models/fraud-detector/versions", "leo").json["items"]
    assert {one["version"]: one["last_used_at"] for one in versions} == {"1.4.0": used, "1.5.0": None}
    one = gate.call("GET", "/v1/models/fraud-detector/versions/1.4.0", "leo").json
    assert one["version"]["last_used_at"] == used
