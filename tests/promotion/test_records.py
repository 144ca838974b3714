"""What stays: receipts, inputs, idempotency, expiry; and what is believed of it afterwards."""

from sqlalchemy import text

from lockgate.audit import verify_receipt
from lockgate.audit.types import Receipt
from lockgate.canonical_json import canonicalize
from lockgate.demo.virtual_sigstore import VirtualSigner
from lockgate.digests import sha256_of
from lockgate.policy import PolicyInput
from lockgate.policy.wasm import WasmEngine
from lockgate.storage import write_transaction
from support.gates import (
    ARTIFACT,
    DAY_NS,
    PROMOTE,
    GateUnderTest,
)
from support.promotions import json_id, verdict_of, violated


def test_the_receipt_proves_exactly_the_decision_shown(gate: GateUnderTest) -> None:
    """The record under the receipt is in the signed log, and its body is the decision, byte for byte."""
    answer = gate.request()
    receipt = answer["receipt"]
    record = verify_receipt(
        Receipt(seq=receipt["seq"], record=receipt["record"].encode(), proof=receipt["proof"]), [gate.key]
    )

    assert canonicalize(record["body"]) == canonicalize(answer["decision"])
    assert record["kind"] == "gate.decision"


def test_what_nobody_decides_expires(gate: GateUnderTest) -> None:
    """At its expiry instant a pending promotion is closed, and that is recorded once."""
    asked = gate.request()
    gate.clock.advance(7 * DAY_NS - 1)
    path = f"/v1/promotions/{asked['promotion']['id']}"
    assert gate.call("GET", path, "rita").json["promotion"]["state"] == "pending"
    gate.clock.advance(1000)
    response = gate.approve("leo", "ml-lead", asked)

    assert (response.status_code, response.json["code"]) == (409, "promotion.closed")
    assert gate.call("GET", path, "rita").json["promotion"]["state"] == "expired"
    assert len(gate.records("gate.expiry")) == 1


def test_the_same_key_and_body_give_the_same_answer(gate: GateUnderTest) -> None:
    """Asking again under one key makes no second promotion, whatever happened since."""
    document = gate.request_document()
    first = gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k1")
    gate.approve("leo", "ml-lead", first.json)
    again = gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k1")

    assert again.status_code == first.status_code
    assert again.json == first.json
    assert len(gate.call("GET", "/v1/promotions", "rita").json["items"]) == 1


def test_the_same_key_with_another_body_is_refused(gate: GateUnderTest) -> None:
    """A key that was used is not a key for something else."""
    gate.call("POST", "/v1/promotions", "rita", gate.request_document(), Idempotency_Key="k1")
    other = gate.call("POST", "/v1/promotions", "rita", gate.request_document(reason="x"), Idempotency_Key="k1")

    assert (other.status_code, other.json["code"]) == (422, "idempotency.key_reused")


def test_a_key_belongs_to_its_principal(gate: GateUnderTest) -> None:
    """Two people may use the same key for different things."""
    gate.call("POST", "/v1/promotions", "rita", gate.request_document(), Idempotency_Key="k1")
    other = gate.call("POST", "/v1/promotions", "ravi", gate.request_document(), Idempotency_Key="k1")

    assert other.status_code == 202
    assert other.json["promotion"]["requester"] == "ravi"


def test_the_whole_input_of_a_decision_is_kept(gate: GateUnderTest, engine: WasmEngine) -> None:
    """From the log alone a decision can be run again, and says the same."""
    answer = gate.request()
    digest = answer["decision"]["input"].removeprefix("sha256:")
    kept = gate.services.log.attachment(digest)
    from lockgate.canonical_json import INT64_MAX, parse_canonical  # noqa: PLC0415 - this test alone

    document = PolicyInput(parse_canonical(kept, integer_max=INT64_MAX, bytes_max=10**6))
    result = engine.evaluate(document, timeout_s=5)

    assert result.allow is False
    assert {violation.rule_id for violation in result.violations} == violated(answer)


def test_the_bundles_are_kept(gate: GateUnderTest) -> None:
    """An auditor finds the very bytes that were verified."""
    bundle = gate.bundle()
    gate.call("POST", "/v1/promotions", "rita", gate.request_document(bundle))

    assert gate.services.log.attachment(sha256_of(bundle).hex) == bundle


def test_an_approval_written_into_the_table_alone_is_found(gate: GateUnderTest) -> None:
    """Whoever can write the database but not the log cannot approve: nothing more is decided."""
    asked = gate.request()
    gate.approve("maya", "risk", asked)
    with write_transaction(gate.database) as connection:
        body = connection.execute(text("SELECT body FROM approval")).scalar_one().decode()
        forged = body.replace('"maya"', '"leo"').replace('"risk"', '"ml-lead"')
        forged_id = "01a1ee56-5e00-7cf9-af7f-000000000000"
        forged = forged.replace(json_id(body), forged_id)
        connection.execute(
            text("INSERT INTO approval (id, promotion_id, approver, body) VALUES (:id, :promotion, 'leo', :body)"),
            {"id": forged_id, "promotion": asked["promotion"]["id"], "body": forged.encode()},
        )
    response = gate.approve("lena", "risk", asked)

    assert (response.status_code, response.json["code"]) == (503, "audit.log_inconsistent")


def test_an_approval_changed_in_the_table_is_found(gate: GateUnderTest) -> None:
    """A row that says something else than its record, here a later end, does not count: nothing more is decided."""
    asked = gate.request()
    approval = gate.approve("maya", "risk", asked).json["approval"]
    with write_transaction(gate.database) as connection:
        connection.execute(
            text("UPDATE approval SET body = CAST(replace(CAST(body AS TEXT), :old, :new) AS BLOB)"),
            {"old": approval["expires_at"], "new": asked["promotion"]["expires_at"]},
        )
    response = gate.approve("leo", "ml-lead", asked)

    assert (response.status_code, response.json["code"]) == (503, "audit.log_inconsistent")


def test_a_promotion_that_points_at_another_s_decision_is_found(gate: GateUnderTest) -> None:
    """A row made to show somebody else's allow shows nothing."""
    allowed = gate.request(**{**PROMOTE, "from": "dev", "to": "staging"})
    pending = gate.request()
    with write_transaction(gate.database) as connection:
        connection.execute(
            text("UPDATE promotion SET decision_id = :decision WHERE id = :id"),
            {"decision": allowed["decision"]["id"], "id": pending["promotion"]["id"]},
        )
    response = gate.call("GET", f"/v1/promotions/{pending['promotion']['id']}", "rita")

    assert (response.status_code, response.json["code"]) == (503, "audit.log_inconsistent")


def test_a_decision_too_large_to_record_is_no_decision(gate: GateUnderTest) -> None:
    """When the record would be over its limit, the caller is told, and the log says that no decision was made."""
    bundles = [
        gate.sigstore.sign_artifact(
            ARTIFACT, VirtualSigner(identity="https://x.example/" + "i" * 990, issuer="https://i" + "s" * 490)
        )
        for _ in range(16)
    ]
    response = gate.call("POST", "/v1/promotions", "rita", gate.request_document(*bundles))

    assert (response.status_code, response.json["code"]) == (413, "audit.record_invalid")
    assert gate.records("gate.failure")[0]["body"]["code"] == "audit.record_invalid"
    assert gate.records("gate.decision") == []


def test_many_promotions_that_run_out_together_stop_nothing(gate: GateUnderTest) -> None:
    """More than one transaction's worth expires, a batch at each operation, and every expiry is recorded once."""
    for number in range(120):
        gate.request(version=f"1.{number}")
    gate.clock.advance(7 * DAY_NS)
    shown = gate.call("GET", "/v1/promotions?limit=100", "rita")
    gate.call("GET", "/v1/promotions", "rita")
    gate.call("GET", "/v1/promotions", "rita")
    fresh = gate.request()

    assert {item["state"] for item in shown.json["items"]} == {"expired"}
    assert verdict_of(fresh) == "pending"
    assert len(gate.records("gate.expiry")) == 120


def test_a_replayed_answer_is_not_counted_again(gate: GateUnderTest) -> None:
    """Metrics count decisions, not how often one was asked for."""
    document = gate.request_document()
    for _ in range(3):
        gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k1")

    assert (
        'lockgate_decisions_total{to_env="production",verdict="pending"} 1.0'
        in gate.call("GET", "/metrics", "otto").text
    )
