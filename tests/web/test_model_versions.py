"""Versions of models over HTTP, and calls that are sent again."""

from typing import Any, Final

import orjson
import pytest

from lockgate.canonical_json import parse_canonical
from lockgate.registration import MODEL, VERSION
from lockgate.registry.metadata import DOCUMENT_BYTES_MAX
from lockgate.registry.parsing import VERSION_REQUEST_BYTES_MAX
from lockgate.schemas import check_schema
from support.gates import ARTIFACT, DAY_NS, GateUnderTest
from support.models import (
    FRAUD,
    MODELS,
    RETIRE,
    VERSIONS,
    attached,
    disclosed,
    model_request,
    model_update,
    problem,
    register_model,
    register_version,
    version_request,
)
from support.rollouts import Deployer, digest_of

RUN: Final = {
    "id": "run-17",
    "code_commit": "0123456789abcdef0123456789abcdef01234567",
    "params": [{"name": "depth", "value": "6"}],
    "metrics": [{"name": "auc", "value": "0.93"}],
    "datasets": [{"name": "payments", "digest": "9c11", "source": "s3://data/payments", "context": "training"}],
}


def test_a_version_is_registered_with_its_run(gate: GateUnderTest) -> None:
    """What made it is kept as declared, recorded by digest, and never changed."""
    register_model(gate)
    answer = register_version(gate, run=RUN, source="s3://models/fraud/1.4.0")
    version = answer["version"]
    (record,) = gate.records(VERSION)
    run = gate.services.registries["builtin"].find_run("fraud-detector", "1.4.0")

    assert (version["id"], version["digest"]) == ("builtin:fraud-detector/1.4.0", str(ARTIFACT))
    assert version["run"]["user"] == ""
    assert {**version["run"], **RUN} == version["run"]
    assert run is not None
    assert (run.code_commit, run.datasets[0].digest) == (RUN["code_commit"], "9c11")
    assert (record["subject"], record["body"]["digest"]) == ("model:fraud-detector", str(ARTIFACT))
    said = attached(gate, record["body"]["document"])
    check_schema("v1/registry/version", parse_canonical(said, bytes_max=DOCUMENT_BYTES_MAX))
    assert b"9c11" in said
    assert gate.call("GET", f"{VERSIONS}/1.4.0", "aude").json == {"version": version, "promotions": [], "live": []}


def test_a_large_run_is_no_matter_to_the_record(gate: GateUnderTest) -> None:
    """What is said lies in an attachment, so that a record stays small whatever a run was told."""
    register_model(gate)
    many = [{"name": f"p{number}", "value": "x" * 1000} for number in range(100)]
    register_version(gate, run={"params": many})
    (stored,) = gate.services.log.records(limit=1000, kind=VERSION)

    assert len(stored.body) < 2048
    assert len(gate.call("GET", f"{VERSIONS}/1.4.0", "aude").json["version"]["run"]["params"]) == 100


@pytest.mark.parametrize("character", ["\u0001", "\U0001f600"], ids=["escaped", "four bytes"])
def test_the_most_that_may_be_said_is_kept(gate: GateUnderTest, character: str) -> None:
    """Whatever a request's schema takes can be written, however long its characters become."""
    name = "" if character < " " else character * 100
    tags = [{"name": f"{number:02}{name}", "value": character * 1000} for number in range(64)]
    register_model(gate, purpose=character * 4000, tags=tags)

    assert gate.call("GET", FRAUD, "aude").json["tags"] == tags


def test_a_version_of_the_longest_request_is_kept(gate: GateUnderTest) -> None:
    """What the request left out adds to what is kept, and still fits."""
    register_model(gate)
    head = len(orjson.dumps(version_request(run={"params": [], "tags": []})))
    params = [{"name": f"p{number}", "value": "\u0001" * 400} for number in range(100)]
    room = VERSION_REQUEST_BYTES_MAX - head - len(orjson.dumps(params))
    tags = [{"name": "t", "value": "\u0001" * min(1000, (room - 100) // 6)}]
    register_version(gate, run={"params": params, "tags": tags})

    assert gate.call("GET", f"{VERSIONS}/1.4.0", "aude").json["version"]["run"]["params"][0]["value"] == "\u0001" * 400


def test_a_version_shows_its_promotions(gate: GateUnderTest) -> None:
    """Of this version alone, newest first, whatever became of them."""
    register_model(gate)
    register_version(gate)
    denied = gate.request(evidence=[])["promotion"]["id"]
    pending = gate.request()["promotion"]["id"]
    gate.request(version="1.5.0")
    shown = gate.call("GET", f"{VERSIONS}/1.4.0", "aude").json["promotions"]

    assert [(stage["id"], stage["state"]) for stage in shown] == [(pending, "pending"), (denied, "denied")]
    assert (shown[0]["from"], shown[0]["to"], shown[0]["kind"]) == ("staging", "production", "promote")


def test_a_version_shows_when_it_was_live(gate: GateUnderTest) -> None:
    """In whatever environment, newest first, each with the promotion that brought it."""
    register_model(gate)
    register_version(gate, digest=str(digest_of("1.4.0")))
    deployer = Deployer(gate=gate)
    first = deployer.deploy("1.4.0")
    gate.clock.advance(DAY_NS)
    deployer.deploy("1.5.0")
    gate.clock.advance(DAY_NS)
    again = deployer.deploy("1.4.0")
    shown = gate.call("GET", f"{VERSIONS}/1.4.0", "aude").json["live"]

    assert [interval["promotion_id"] for interval in shown] == [again, first]
    assert shown[0]["to"] is None
    assert shown[1]["from"] < shown[1]["to"] < shown[0]["from"]
    assert {interval["digest"] for interval in shown} == {str(digest_of("1.4.0"))}
    assert {interval["environment"] for interval in shown} == {"production"}


def test_retiring_is_an_act_with_a_record(gate: GateUnderTest) -> None:
    """A retired version is shown as such, and cannot be registered again; the reason is a disclosure."""
    register_model(gate)
    register_version(gate)
    answer = gate.call("POST", f"{VERSIONS}/1.4.0:retire", "otto", {**RETIRE, "reason": "Leaks data."}).json["version"]
    record = gate.records(VERSION)[-1]

    assert answer["retired_at"] is not None
    assert answer["row_version"] == 2
    assert gate.call("GET", f"{VERSIONS}/1.4.0", "aude").json["version"] == answer
    assert (record["body"]["change"], record["actor"]["id"]) == ("retired", "otto")
    assert record["body"]["reason"] in record["attachments"]
    assert "Leaks" not in orjson.dumps(record).decode()
    assert "Leaks data." in [disclosed(attached(gate, name)) for name in record["attachments"]]
    again = gate.call("POST", f"{VERSIONS}/1.4.0:retire", "otto", RETIRE)
    assert problem(again) == (409, "registry.version_retired")
    assert problem(gate.call("POST", VERSIONS, "ravi", version_request())) == (409, "registry.version_taken")


def test_versions_are_listed_newest_first(gate: GateUnderTest) -> None:
    """By the order of registering, page by page."""
    register_model(gate)
    for number in range(3):
        register_version(gate, version=f"1.{number}")
    first = gate.call("GET", f"{VERSIONS}?limit=2", "aude").json
    second = gate.call("GET", f"{VERSIONS}?limit=2&cursor={first['next_cursor']}", "aude").json

    assert [item["version"] for item in first["items"] + second["items"]] == ["1.2", "1.1", "1.0"]
    assert second["next_cursor"] == ""


def test_a_call_that_is_sent_again_is_done_once(gate: GateUnderTest) -> None:
    """The same key and request give the same record's receipt; there is one record of each act."""
    calls = [
        ("ravi", MODELS, model_request()),
        ("ravi", VERSIONS, version_request()),
        ("otto", f"{VERSIONS}/1.4.0:retire", RETIRE),
        ("otto", f"{FRAUD}:retire", RETIRE),
    ]
    for number, (who, path, document) in enumerate(calls):
        first = gate.call("POST", path, who, document, Idempotency_Key=f"k{number}")
        again = gate.call("POST", path, who, document, Idempotency_Key=f"k{number}")

        assert first.status_code in {200, 201}, first.text
        assert (again.status_code, again.json, again.headers["ETag"]) == (
            first.status_code,
            first.json,
            first.headers["ETag"],
        )
    assert len(gate.records(MODEL)) == len(gate.records(VERSION)) == 2


def test_a_call_sent_again_shows_the_model_as_it_is_now(gate: GateUnderTest) -> None:
    """The receipt is that of the first time; the row version is the one that a change must name."""
    first = gate.call("POST", MODELS, "ravi", model_request(), Idempotency_Key="k")
    gate.call("PUT", FRAUD, "rita", model_update(owner="other"), If_Match='"1"')
    again = gate.call("POST", MODELS, "ravi", model_request(), Idempotency_Key="k")

    assert again.json["receipt"] == first.json["receipt"]
    assert (again.json["model"]["owner"], again.headers["ETag"]) == ("other", '"2"')


def test_a_key_is_for_one_request(gate: GateUnderTest) -> None:
    """Another body, another path or another kind of request under a key is refused; other people's keys are theirs."""
    register_model(gate, "other")
    gate.call("POST", MODELS, "ravi", model_request(), Idempotency_Key="k")
    reused = (422, "idempotency.key_reused")

    def post(who: str, path: str, document: dict[str, Any], key: str = "k") -> Any:
        return gate.call("POST", path, who, document, Idempotency_Key=key)

    assert problem(post("ravi", MODELS, model_request("third"))) == reused
    assert problem(post("ravi", VERSIONS, version_request())) == reused
    assert problem(post("ravi", "/v1/promotions", gate.request_document())) == reused
    assert post("rita", MODELS, model_request("third")).status_code == 201
    assert post("ravi", VERSIONS, version_request(), "v").status_code == 201
    assert problem(post("ravi", f"{MODELS}/other/versions", version_request(), "v")) == reused
    assert problem(post("ravi", MODELS, model_request("fourth"), "ü")) == (400, "idempotency.key_invalid")
    gate.call("POST", "/v1/promotions", "ravi", gate.request_document(), Idempotency_Key="p")
    assert problem(post("ravi", MODELS, model_request("fourth"), "p")) == reused
