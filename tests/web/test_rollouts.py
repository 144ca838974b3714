"""Rollouts over HTTP: the whole way, each refusal with its status and code, and what is live as anybody may ask."""

from typing import Any

import orjson
import pytest
from jwt import PyJWK, PyJWS

from lockgate.clock import NS_PER_S, format_timestamp
from support.expositions import value
from support.gates import DAY_NS, GateUnderTest
from support.rollouts import MODEL, PRODUCTION, Deployer, digest_of

LIVE = f"/v1/live/{MODEL}/{PRODUCTION}"
UNKNOWN = "01936e1a-0000-7000-8000-000000000000"
NONCE = "nonce-of-this-call"


@pytest.fixture
def deployer(gate: GateUnderTest) -> Deployer:
    """Somebody who carries promotions out."""
    return Deployer(gate=gate)


def report(gate: GateUnderTest, promotion_id: str, **document: Any) -> Any:
    """Report something as the deployer."""
    return gate.call("POST", f"/v1/promotions/{promotion_id}/reports", "dora", {"schema_version": 1, **document})


def observe(gate: GateUnderTest, version: str) -> Any:
    """See a version run, as the deployer."""
    return gate.call("POST", f"{LIVE}/observations", "dora", {"schema_version": 1, "digest": str(digest_of(version))})


def verified(gate: GateUnderTest, token: str, typ: str) -> dict[str, Any]:
    """Return what a token says, verified with the key that everybody may get."""
    keys = gate.call("GET", "/v1/keys", None).json["keys"]
    parts = PyJWS().decode_complete(token, PyJWK(keys[0]).key, algorithms=["EdDSA"])
    assert parts["header"] == {"alg": "EdDSA", "kid": keys[0]["kid"], "typ": typ}
    claims: dict[str, Any] = orjson.loads(parts["payload"])
    return claims


def test_the_whole_way(gate: GateUnderTest, deployer: Deployer) -> None:
    """Permit, report, observation: each answer has the receipt of its record, and the last one says what is live."""
    promotion_id = deployer.allow("1")
    permitted = gate.call("POST", f"/v1/promotions/{promotion_id}/permit", "dora")
    claims = verified(gate, permitted.json["permit"], "lockgate-permit+jwt")
    executing = report(gate, promotion_id, status="executing", permit_id=claims["jti"], percent=100, former_version="0")
    seen = observe(gate, "1")
    again = observe(gate, "1")

    assert (permitted.status_code, permitted.headers["Lockgate-Verdict"]) == (201, "allow")
    assert permitted.json["promotion"]["state"] == "permitted"
    assert permitted.json["rollout"]["permit_id"] == claims["jti"] == record_id(permitted.json["rollout_receipt"])
    assert (executing.status_code, executing.json["promotion"]["state"]) == (201, "executing")
    assert (seen.status_code, seen.json["result"], seen.json["promotion_id"]) == (201, "confirmed", promotion_id)
    assert seen.json["live"]["record_id"] == record_id(seen.json["receipt"])
    assert (again.status_code, again.json["result"], again.json["receipt"]) == (200, "unchanged", None)
    exposition = gate.call("GET", "/metrics", "otto").text
    assert value(exposition, "lockgate_rollouts_total", to_env=PRODUCTION, outcome="confirmed") == 1


def record_id(receipt: dict[str, Any]) -> str:
    """Return the id in a receipt's record."""
    identifier: str = orjson.loads(receipt["record"])["id"]
    return identifier


def test_a_permit_that_is_denied_is_an_answer(gate: GateUnderTest, deployer: Deployer) -> None:
    """What the fresh decision says is told with its receipt, and there is no permit."""
    promotion_id = deployer.allow("1")
    gate.clock.advance(4 * DAY_NS)
    answer = gate.call("POST", f"/v1/promotions/{promotion_id}/permit", "dora")

    assert (answer.status_code, answer.headers["Lockgate-Verdict"]) == (201, "pending")
    assert (answer.json["permit"], answer.json["rollout"]) == ("", None)
    assert answer.json["rollout_receipt"] == answer.json["receipt"]


def test_refusals_have_their_status_and_code(gate: GateUnderTest, deployer: Deployer) -> None:
    """Each is told from the others."""
    pending = deployer.ask("9")["promotion"]["id"]
    first, second = deployer.allow("1"), deployer.allow("2")
    permit = f"/v1/promotions/{first}/permit"
    observed = {"schema_version": 1, "digest": str(digest_of("1"))}
    executing = {"status": "executing", "percent": 5, "former_version": ""}
    answers = [
        gate.call("POST", f"/v1/promotions/{UNKNOWN}/permit", "dora"),
        gate.call("POST", f"/v1/promotions/{pending}/permit", "dora"),
    ]
    permit_id = gate.call("POST", permit, "dora").json["rollout"]["permit_id"]
    answers += [
        gate.call("POST", f"/v1/promotions/{second}/permit", "dora"),
        report(gate, first, permit_id=UNKNOWN, **executing),
        report(gate, first, status="step", percent=50),
    ]
    answers.append(gate.call("POST", permit, "dora"))
    gate.clock.advance(60 * NS_PER_S)
    answers.append(report(gate, first, permit_id=permit_id, **executing))
    permit_id = gate.call("POST", permit, "dora").json["rollout"]["permit_id"]
    report(gate, first, permit_id=permit_id, **executing)
    answers += [
        report(gate, first, permit_id=permit_id, **executing),
        report(gate, first, status="step", percent=5),
        report(gate, first, status="confirmed"),
        gate.call("POST", f"/v1/live/{MODEL}/moon/observations", "dora", observed),
        gate.call("POST", "/v1/rollbacks", "rita", {"schema_version": 1, "model": MODEL, "environment": PRODUCTION}),
        gate.call("POST", f"/v1/holds/{MODEL}/{PRODUCTION}:lift", "lena", {"schema_version": 1}),
    ]

    assert [(answer.status_code, answer.json["code"]) for answer in answers] == [
        (404, "promotion.unknown"),
        (409, "rollout.wrong_state"),
        (409, "rollout.under_way"),
        (409, "permit.unknown"),
        (409, "rollout.wrong_state"),
        (409, "permit.held"),
        (409, "permit.expired"),
        (409, "permit.used"),
        (409, "rollout.no_step"),
        (422, "schema.invalid"),
        (404, "environment.unknown"),
        (409, "rollback.no_good_version"),
        (404, "hold.unknown"),
    ]


def test_a_rollback_over_http(gate: GateUnderTest, deployer: Deployer) -> None:
    """It is a promotion like others, placed with a hold that a person lifts; its time is measured."""
    deployer.deploy("1")
    deployer.deploy("2")
    wanted = {"schema_version": 1, "model": MODEL, "environment": PRODUCTION, "reason": "errors"}
    asked = gate.call("POST", "/v1/rollbacks", "rita", wanted, Idempotency_Key="alert-1")
    repeated = gate.call("POST", "/v1/rollbacks", "rita", wanted, Idempotency_Key="alert-1")
    promotion_id = asked.json["promotion"]["id"]
    gate.approve("leo", "ml-lead", asked.json)
    deployer.execute(promotion_id)
    gate.clock.advance(90 * NS_PER_S)
    observe(gate, "1")
    holds = gate.call("GET", "/v1/holds", "aude").json["items"]
    lifted = gate.call("POST", f"/v1/holds/{MODEL}/{PRODUCTION}:lift", "lena", {"schema_version": 1, "reason": "fixed"})

    assert (asked.status_code, asked.headers["Location"]) == (202, f"/v1/promotions/{promotion_id}")
    assert (asked.json["promotion"]["kind"], asked.json["promotion"]["version"]) == ("rollback", "1")
    assert repeated.json == asked.json
    assert [(hold["model"], hold["environment"], hold["promotion_id"]) for hold in holds] == [
        (MODEL, PRODUCTION, promotion_id)
    ]
    assert (lifted.status_code, lifted.json["hold"]["change"]) == (200, "lifted")
    assert gate.call("GET", "/v1/holds", "aude").json["items"] == []
    exposition = gate.call("GET", "/metrics", "otto").text
    assert value(exposition, "lockgate_rollback_seconds_sum", to_env=PRODUCTION) == 90


def test_what_was_live_at_an_instant(gate: GateUnderTest, deployer: Deployer) -> None:
    """Also who let it in; the future is nobody's to tell."""
    promotion_id = deployer.deploy("1")
    begun = gate.clock.now
    gate.clock.advance(60 * NS_PER_S)
    deployer.observe("stranger")
    then = gate.call("GET", f"{LIVE}?at={format_timestamp(begun)}", "aude").json
    now = gate.call("GET", LIVE, "aude").json
    before = gate.call("GET", f"{LIVE}?at=2026-01-01T00:00:00Z", "aude").json
    future = gate.call("GET", f"{LIVE}?at=2126-01-01T00:00:00Z", "aude")
    history = gate.call("GET", f"{LIVE}/history?limit=1", "aude").json

    assert (then["live"]["version"], then["live"]["promotion_id"]) == ("1", promotion_id)
    assert then["live"]["to"] == now["live"]["from"]
    assert then["let_in"]["requester"] == "rita"
    assert {each["kind"] for each in then["let_in"]["records"]} == {"gate.decision", "gate.permit", "gate.confirmation"}
    assert (now["live"]["promotion_id"], now["let_in"], now["signed"]) == ("", None, "")
    assert (before["live"], before["let_in"]) == (None, None)
    assert (future.status_code, future.json["code"]) == (400, "http.parameter")
    assert [item["digest"] for item in history["items"]] == [str(digest_of("stranger"))]
    rest = gate.call("GET", f"{LIVE}/history?cursor={history['next_cursor']}", "aude").json
    assert [item["version"] for item in rest["items"]] == ["1"]


def test_a_signed_answer_is_for_its_caller_and_a_minute(gate: GateUnderTest, deployer: Deployer) -> None:
    """It says what the answer says, with the caller's nonce, and is no permit."""
    deployer.allow("1")
    answer = gate.call("GET", f"{LIVE}?nonce={NONCE}", "dora").json
    claims = verified(gate, answer["signed"], "lockgate-live+jwt")
    short = gate.call("GET", f"{LIVE}?nonce=short", "dora")

    assert claims["nonce"] == NONCE
    assert claims["iss"] == gate.services.log.origin
    assert claims["exp"] - claims["iat"] == 60
    said = {name: claims[name] for name in answer if name != "signed"}
    assert said == {name: told for name, told in answer.items() if name != "signed"}
    assert (answer["desired"]["version"], answer["desired"]["state"]) == ("1", "allowed")
    assert (short.status_code, short.json["code"]) == (400, "http.parameter")


def test_names_that_nobody_has(gate: GateUnderTest) -> None:
    """An unknown model has nothing live; what is no name is no resource."""
    unknown = gate.call("GET", "/v1/live/nobody/production", "aude")

    assert (unknown.status_code, unknown.json["live"]) == (200, None)
    for path in ("/v1/live/a%2Fb/production", "/v1/live/model/Production", "/v1/live/model/prod%20uction"):
        assert gate.call("GET", path, "aude").status_code == 404


def test_only_approvers_lift_holds(gate: GateUnderTest) -> None:
    """Not who asked, not who deploys, not who operates."""
    path = f"/v1/holds/{MODEL}/{PRODUCTION}:lift"
    statuses = {
        who: gate.call("POST", path, who, {"schema_version": 1}).status_code
        for who in ("lena", "ravi", "dora", "otto", "aude")
    }

    assert statuses == {"lena": 404, "ravi": 403, "dora": 403, "otto": 403, "aude": 403}


def test_without_a_key_only_signing_is_refused(gate: GateUnderTest, deployer: Deployer) -> None:
    """What is live is told all the same."""
    promotion_id = deployer.allow("1")
    object.__setattr__(gate.services.lifecycle, "permit_key", None)
    gate.services.lifecycle.rollouts._key = None
    refused = [
        gate.call("POST", f"/v1/promotions/{promotion_id}/permit", "dora"),
        gate.call("GET", f"{LIVE}?nonce={NONCE}", "dora"),
        gate.call("GET", "/v1/keys", None),
    ]

    assert [(answer.status_code, answer.json["code"]) for answer in refused] == [(503, "permit.no_key")] * 3
    assert gate.call("GET", LIVE, "dora").status_code == 200
