"""Reading: lists, the log, the policy, health, metrics, the API's own description."""

import re
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import text

from lockgate.audit.formats.merkle import leaf_hash
from lockgate.schemas import check_schema
from lockgate.storage import write_transaction
from lockgate.web.api.openapi import openapi_document
from support.gates import GateUnderTest


def test_a_list_is_read_page_by_page(gate: GateUnderTest) -> None:
    """The cursor leads through every promotion once, newest first."""
    ids = [gate.request(version=f"1.{number}")["promotion"]["id"] for number in range(5)]
    seen, cursor = [], ""
    while True:
        suffix = f"&cursor={cursor}" if cursor else ""
        page = gate.call("GET", f"/v1/promotions?limit=2{suffix}", "rita").json
        check_schema("v1/api/promotion_list", page)
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break

    assert seen == ids[::-1]


def test_a_list_is_filtered(gate: GateUnderTest) -> None:
    """State and model narrow the list."""
    pending = gate.request()["promotion"]["id"]
    gate.request(evidence=[])

    listed = gate.call("GET", "/v1/promotions?state=pending&model=fraud-detector", "rita").json["items"]
    other = gate.call("GET", "/v1/promotions?model=other", "rita").json["items"]

    assert [item["id"] for item in listed] == [pending]
    assert other == []


def test_every_answer_carries_its_request_id(gate: GateUnderTest) -> None:
    """A caller's UUID is kept and reaches the record; anything else is replaced."""
    trace = "6f1f1c0a-0000-4000-8000-000000000001"
    response = gate.call("POST", "/v1/promotions", "rita", gate.request_document(), X_Request_Id=trace)
    other = gate.call("GET", "/v1/policy", "rita", X_Request_Id="<evil>")

    assert response.headers["X-Request-Id"] == trace
    assert gate.records("gate.decision")[0]["trace"] == trace
    assert other.headers["X-Request-Id"] not in {"<evil>", ""}


def test_the_log_is_served_as_it_is(gate: GateUnderTest) -> None:
    """Records, receipt, checkpoint and proofs are what the log itself gives."""
    gate.request()
    log = gate.services.log
    page = gate.call("GET", "/v1/audit/records?limit=1", "aude").json
    rest = gate.call("GET", f"/v1/audit/records?after={page['next_cursor']}&limit=1", "aude").json
    receipt = gate.call("GET", "/v1/audit/records/1", "aude").json
    inclusion = gate.call("GET", "/v1/audit/proofs/inclusion?seq=0&size=2", "aude").json

    assert [item["seq"] for item in (*page["items"], *rest["items"])] == [0, 1]
    assert receipt["proof"] == log.receipt(1).proof
    assert gate.call("GET", "/v1/audit/checkpoint", "aude").data == log.checkpoint()
    assert gate.call("GET", "/v1/audit/key", "aude").text.strip() == str(gate.key)
    assert inclusion["hashes"] == [leaf_hash(receipt["record"].encode()).hex()]


def test_the_policy_tells_its_rules(gate: GateUnderTest) -> None:
    """The catalogue lists each rule that a decision names."""
    rules = gate.call("GET", "/v1/policy/rules", "rita").json
    decision = gate.request()["decision"]

    assert [rule["rule_id"] for rule in rules["rules"]] == [rule["rule_id"] for rule in decision["rules"]]
    assert rules["revision"] == gate.call("GET", "/v1/policy", "rita").json["revision"]


def test_health_needs_no_token(gate: GateUnderTest) -> None:
    """Alive and ready, for probes."""
    ready = gate.client.get("/readyz")

    assert gate.client.get("/livez").status_code == 200
    assert ready.status_code == 200
    assert {check["name"]: check["ok"] for check in ready.json["checks"]} == {
        "policy": True,
        "database": True,
        "audit_log": True,
        "trust": True,
    }


def unready(gate: GateUnderTest) -> set[str]:
    """Return the parts that are not ready."""
    response = gate.client.get("/readyz")
    assert response.status_code == 503
    return {check["name"] for check in response.json["checks"] if not check["ok"]}


def test_a_log_that_was_cut_is_not_ready_and_takes_nothing_more(gate: GateUnderTest) -> None:
    """When the newest record is gone, nothing is decided any more."""
    gate.request()
    with write_transaction(gate.database) as connection:
        for (name,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
            connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(text("DELETE FROM audit_entry WHERE seq = 1"))
    response = gate.call("POST", "/v1/promotions", "rita", gate.request_document())

    assert unready(gate) == {"audit_log"}
    assert (response.status_code, response.json["code"]) == (503, "audit.log_inconsistent")


def test_a_missing_table_is_not_ready(gate: GateUnderTest) -> None:
    """A database of another version is named."""
    with write_transaction(gate.database) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))

    assert unready(gate) == {"database"}


def test_a_trust_folder_that_breaks_is_not_ready_and_keeps_what_was(
    gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken root changes nothing but health; a mended one takes effect."""
    from lockgate.evidence import trust_folder  # noqa: PLC0415 - this test alone

    monkeypatch.setattr(trust_folder, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr("lockgate.readiness.FRESH_S", 0.0)
    gate.services.trust._look_at = 0.0
    root = gate.folder / "trust" / "test.trusted_root.json"
    good = root.read_bytes()
    root.write_bytes(good[:-20])
    broken, answer = unready(gate), gate.request()
    root.write_bytes(good)
    mended = gate.client.get("/readyz").status_code

    assert broken == {"trust"}
    assert answer["decision"]["verdict"] == "pending"
    assert mended == 200


def test_another_root_of_trust_takes_effect_at_once(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the folder names another instance, bundles of the old one are refused, cached or not."""
    from lockgate.demo.virtual_sigstore import VirtualSigstore  # noqa: PLC0415 - this test alone
    from lockgate.evidence import trust_folder  # noqa: PLC0415 - same

    monkeypatch.setattr(trust_folder, "LOOK_EVERY_S", 0.0)
    gate.services.trust._look_at = 0.0
    document = gate.request_document()
    before = gate.call("POST", "/v1/promotions", "rita", document).json
    VirtualSigstore(name="test", clock=gate.clock).write_trust_domain(gate.folder / "trust")
    after = gate.call("POST", "/v1/promotions", "rita", document).json

    assert before["decision"]["verdict"] == "pending"
    assert after["decision"]["verdict"] == "deny"
    assert len(after["decision"]["evidence"]["refusals"]) == 1


def test_counters_name_neither_models_nor_people(gate: GateUnderTest) -> None:
    """Metrics count, with bounded labels."""
    gate.request()
    gate.client.get("/v1/policy")
    exposition = gate.call("GET", "/metrics", "otto").text

    assert 'lockgate_decisions_total{to_env="production",verdict="pending"} 1.0' in exposition
    assert 'lockgate_problems_total{code="identity.unauthenticated"} 1.0' in exposition
    assert 'route="/v1/promotions"' in exposition
    assert "fraud-detector" not in exposition
    assert "rita" not in exposition


def test_the_description_is_openapi_3_1_and_names_every_route(gate: GateUnderTest) -> None:
    """What is served and what is described are the same routes and methods."""
    document = gate.call("GET", "/openapi.json", "rita").json
    described = {(path, method.upper()) for path, methods in document["paths"].items() for method in methods}
    served = {
        (re.sub(r"<(?:[^:>]+:)?([a-z_]+)>", r"{\1}", rule.rule), method)
        for rule in gate.client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert document["openapi"] == "3.1.0"
    assert described == served


def test_every_schema_of_the_description_is_sound() -> None:
    """Each component is JSON Schema 2020-12 and refers to components only."""
    document = openapi_document()
    components: dict[str, Any] = document["components"]["schemas"]
    for schema in components.values():
        Draft202012Validator.check_schema(schema)
    references = {part.split('"')[0] for part in orjson.dumps(document).decode().split('"$ref":"')[1:]}

    assert references <= {f"#/components/schemas/{name}" for name in components}
