"""Models, versions and environments over HTTP: what is registered, recorded, refused, and never deleted."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from lockgate.audit import Actor, verify_receipt
from lockgate.audit.keeping.erasing import erase
from lockgate.audit.types import Receipt
from lockgate.canonical_json import parse_canonical
from lockgate.digests import sha256_hex, sha256_of
from lockgate.policy.wasm import WasmEngine
from lockgate.registration import MODEL
from lockgate.schemas import check_schema
from support.gates import DAY_NS, GateUnderTest, make_gate
from support.models import (
    BOM,
    BOM_DIGEST,
    CARD,
    CARD_DIGEST,
    FRAUD,
    MODELS,
    OTHER_CARD,
    RETIRE,
    VERSIONS,
    attached,
    handed_in,
    model_request,
    model_update,
    problem,
    register_model,
    register_version,
    version_request,
)


def test_a_model_is_registered_with_a_record(gate: GateUnderTest) -> None:
    """The answer shows the model and the receipt of its record, which names what was said by digest."""
    response = gate.call("POST", MODELS, "ravi", model_request(purpose="Scores payments.", card=handed_in(CARD)))
    model, receipt = response.json["model"], response.json["receipt"]
    (record,) = gate.records(MODEL)

    assert response.status_code == 201
    assert (response.headers["ETag"], response.headers["Location"]) == ('"1"', FRAUD)
    assert (model["id"], model["registered"], model["row_version"]) == ("builtin:fraud-detector", True, 1)
    assert (model["purpose"], model["card"], model["bom"]) == ("Scores payments.", CARD_DIGEST, "")
    assert model["retired_at"] is None
    verify_receipt(Receipt(seq=receipt["seq"], record=receipt["record"].encode(), proof=receipt["proof"]), [gate.key])
    assert orjson.loads(receipt["record"]) == record
    assert (record["subject"], record["actor"]["id"]) == ("model:fraud-detector", "ravi")
    assert (record["body"]["change"], record["body"]["card"]) == ("created", CARD_DIGEST)
    said = attached(gate, record["body"]["document"])
    check_schema("v1/registry/model", parse_canonical(said))
    assert b"Scores payments." in said
    assert attached(gate, CARD_DIGEST) == CARD


def test_a_model_is_read_as_it_was_registered(gate: GateUnderTest) -> None:
    """Reading shows what the answer to registering showed, with the same tag."""
    made = register_model(gate, tags=[{"name": "b", "value": ""}, {"name": "a", "value": "ü"}])["model"]
    response = gate.call("GET", FRAUD, "aude")

    assert response.json == made
    assert response.headers["ETag"] == '"1"'
    assert [tag["name"] for tag in made["tags"]] == ["a", "b"]


def test_a_model_is_changed_as_a_whole(gate: GateUnderTest) -> None:
    """What the change leaves out is said no more; a document is kept by its digest, or replaced."""
    register_model(gate, purpose="Old.", card=handed_in(CARD), bom=handed_in(BOM))
    change = model_update(owner="fraud-ml", card=handed_in(OTHER_CARD), bom={"digest": BOM_DIGEST})
    response = gate.call("PUT", FRAUD, "rita", change, If_Match='"1"')
    model = response.json["model"]

    assert (response.status_code, response.headers["ETag"]) == (200, '"2"')
    assert (model["owner"], model["tier"], model["purpose"]) == ("fraud-ml", "", "")
    assert (model["card"], model["bom"]) == (str(sha256_of(OTHER_CARD)), BOM_DIGEST)
    assert gate.call("GET", f"{FRAUD}/documents/{model['card']}", "aude").data == OTHER_CARD
    assert [record["body"]["change"] for record in gate.records(MODEL)] == ["created", "updated"]
    assert gate.call("GET", FRAUD, "rita").json == model


@pytest.mark.parametrize(
    ("tag", "answer"),
    [
        (None, (428, "http.condition_required")),
        ('"2"', (412, "registry.model_moved")),
        ("1", (400, "http.parameter")),
        ("*", (400, "http.parameter")),
        ('W/"1"', (400, "http.parameter")),
        ('"01"', (400, "http.parameter")),
        ('"1", "2"', (400, "http.parameter")),
    ],
)
def test_nobody_changes_what_they_did_not_see(gate: GateUnderTest, tag: str | None, answer: tuple[int, str]) -> None:
    """A change must name the row version that its caller saw, in its one spelling; nothing is recorded otherwise."""
    register_model(gate)
    headers = {} if tag is None else {"If_Match": tag}
    response = gate.call("PUT", FRAUD, "rita", model_update(owner="other"), **headers)

    assert problem(response) == answer
    assert len(gate.records(MODEL)) == 1


def test_a_document_is_served_byte_for_byte(gate: GateUnderTest) -> None:
    """A card that the model names is served as it was handed in, and may be kept for good."""
    register_model(gate, card=handed_in(CARD), bom=handed_in(BOM))
    card = gate.call("GET", f"{FRAUD}/documents/{CARD_DIGEST}", "aude")

    assert (card.data, card.mimetype) == (CARD, "application/json")
    assert card.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert gate.call("GET", f"{FRAUD}/documents/{BOM_DIGEST}", "aude").data == BOM


@pytest.mark.parametrize("digest", ["sha256:" + "0" * 64, CARD_DIGEST.upper(), CARD_DIGEST[7:], "x", "%00"])
def test_no_other_attachment_is_served(gate: GateUnderTest, digest: str) -> None:
    """Only what the model names: the log keeps evidence and policy inputs too, which are not the registry's to show."""
    register_model(gate, card=handed_in(CARD))
    gate.request()
    (record,) = gate.records("gate.decision")

    assert problem(gate.call("GET", f"{FRAUD}/documents/{digest}", "aude")) == (404, "registry.document_unknown")
    for other in record["attachments"]:
        answer = gate.call("GET", f"{FRAUD}/documents/{other}", "aude")
        assert problem(answer) == (404, "registry.document_unknown")


def test_a_document_of_before_is_the_auditors(gate: GateUnderTest) -> None:
    """What the model names no more is not served here; the log still has it."""
    register_model(gate, card=handed_in(CARD))
    gate.call("PUT", FRAUD, "rita", model_update(), If_Match='"1"')

    assert gate.call("GET", f"{FRAUD}/documents/{CARD_DIGEST}", "aude").status_code == 404
    assert attached(gate, CARD_DIGEST) == CARD


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"owner": None}, ""),
        ({"owner": "a\nb"}, "/owner"),
        ({"registry_model": "a\u0007"}, "/registry_model"),
        ({"tags": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]}, "/tags/1/name"),
        ({"tags": [{"name": f"t{number}", "value": ""} for number in range(65)]}, "/tags"),
        ({"card": {"document": "no base64"}}, "/card/document"),
        ({"card": handed_in(b"{")}, "/card/document"),
        ({"card": handed_in(b'{"a": 1, "a": 2}')}, "/card/document"),
        ({"card": handed_in(BOM)}, "/card/document"),
        ({"card": handed_in(CARD.replace(b'"developers"', b'"developer"'))}, "/card/document/model_details"),
        ({"bom": handed_in(BOM.replace(b"machine-learning-model", b"library"))}, "/bom/document"),
        ({"bom": handed_in(b"[" * 40 + b"]" * 40)}, "/bom/document"),
        ({"card": {"digest": CARD_DIGEST, **handed_in(CARD)}}, "/card"),
        ({"card": {}}, "/card"),
        ({"stage": "Production"}, ""),
    ],
)
def test_a_request_that_breaks_its_schema_registers_nothing(
    gate: GateUnderTest, change: dict[str, Any], pointer: str
) -> None:
    """The problem says where, also within a document; there is no row and no record."""
    response = gate.call("POST", MODELS, "ravi", model_request(**change))

    assert problem(response) == (422, "schema.invalid")
    assert response.json["pointer"].startswith(pointer)
    assert gate.call("GET", MODELS, "ravi").json["items"] == []
    assert gate.records(MODEL) == []


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a b", "é", "a\n", "-a", "a" * 129, "fraud\u202e", "a%00"])
def test_a_name_has_a_form_that_every_path_can_hold(gate: GateUnderTest, name: str) -> None:
    """Names are for promotions, addresses and file names; whatever a registry calls its model is another field."""
    assert problem(gate.call("POST", MODELS, "ravi", model_request(name))) == (422, "schema.invalid")


@pytest.mark.parametrize(
    "name", ["a b", "team/model:1", "☃", "'; DROP TABLE model; --", "%2e%2e", "\u202elive", "x" * 255]
)
def test_a_registry_may_call_its_model_anything(gate: GateUnderTest, name: str) -> None:
    """The registry's own name is kept and shown exactly."""
    made = register_model(gate, registry_model=name)["model"]

    assert (made["registry_model"], made["id"]) == (name, f"builtin:{name}")
    found = gate.services.registries["builtin"].find_model(name)
    assert found is not None
    assert found.name == name


def test_the_others_problems_have_codes(gate: GateUnderTest) -> None:
    """What is there already, is not there, or is unknown, each by name."""
    register_model(gate)
    register_version(gate)

    def post(path: str, document: dict[str, Any]) -> tuple[int, str]:
        return problem(gate.call("POST", path, "otto", document))

    assert post(MODELS, model_request()) == (409, "registry.model_taken")
    assert post(MODELS, model_request(registry_model="another")) == (409, "registry.model_taken")
    assert post(MODELS, model_request("other", registry_model="fraud-detector")) == (409, "registry.model_taken")
    assert post(MODELS, model_request("other", registry="mlflow")) == (422, "registry.unknown")
    assert post(MODELS, model_request("other", card={"digest": CARD_DIGEST})) == (404, "registry.document_unknown")
    assert post(VERSIONS, version_request()) == (409, "registry.version_taken")
    assert post(f"{MODELS}/other/versions", version_request()) == (404, "registry.model_unknown")
    assert post(f"{MODELS}/other:retire", RETIRE) == (404, "registry.model_unknown")
    assert post(f"{VERSIONS}/9:retire", RETIRE) == (404, "registry.version_unknown")
    assert post(f"{MODELS}/other/versions/9:retire", RETIRE) == (404, "registry.model_unknown")
    for path in (f"{MODELS}/other", f"{MODELS}/other/versions"):
        assert problem(gate.call("GET", path, "otto")) == (404, "registry.model_unknown")
    for path in (f"{MODELS}/o%20ther", f"{MODELS}/-a", f"{MODELS}/{'a' * 129}", f"{VERSIONS}/%F0%9F%92%A9"):
        assert problem(gate.call("GET", path, "otto")) == (404, "http.not_found")
    assert problem(gate.call("GET", f"{FRAUD}:retire", "otto")) == (405, "http.method_not_allowed")
    assert problem(gate.call("GET", f"{VERSIONS}/9", "otto")) == (404, "registry.version_unknown")
    assert problem(gate.call("GET", f"{MODELS}?registry=mlflow", "otto")) == (422, "registry.unknown")
    assert problem(gate.call("GET", f"{MODELS}?retired=yes", "otto")) == (400, "http.parameter")
    assert problem(gate.call("GET", f"{MODELS}?cursor=x", "otto")) == (400, "http.parameter")


def test_a_retired_model_stays_as_it_is(gate: GateUnderTest) -> None:
    """It is shown, and refuses changes and new versions; its name is never free again."""
    register_model(gate)
    register_version(gate)
    retired = gate.call("POST", f"{FRAUD}:retire", "otto", RETIRE)

    assert (retired.status_code, retired.headers["ETag"]) == (200, '"2"')
    assert gate.call("GET", FRAUD, "aude").json == retired.json["model"]
    change = gate.call("PUT", FRAUD, "rita", model_update(), If_Match='"2"')
    assert problem(change) == (409, "registry.model_retired")
    assert problem(gate.call("POST", VERSIONS, "ravi", version_request("2"))) == (409, "registry.model_retired")
    assert problem(gate.call("POST", f"{FRAUD}:retire", "otto", RETIRE)) == (409, "registry.model_retired")
    assert problem(gate.call("POST", MODELS, "ravi", model_request())) == (409, "registry.model_taken")
    assert len(gate.call("GET", VERSIONS, "aude").json["items"]) == 1
    assert gate.call("DELETE", FRAUD, "otto").status_code == 405


def test_models_are_listed_page_by_page(gate: GateUnderTest) -> None:
    """By name, each once; filters narrow the list."""
    for number in range(5):
        register_model(gate, f"m{number}", owner="a" if number % 2 else "b", tier="low" if number else "high")
    gate.call("POST", f"{MODELS}/m3:retire", "otto", RETIRE)
    seen, cursor = [], ""
    while True:
        suffix = f"&cursor={cursor}" if cursor else ""
        page = gate.call("GET", f"{MODELS}?limit=2{suffix}", "aude").json
        seen += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break

    def named(query: str) -> list[str]:
        return [item["name"] for item in gate.call("GET", f"{MODELS}?{query}", "aude").json["items"]]

    assert seen == ["m0", "m1", "m2", "m3", "m4"]
    assert named("owner=a") == ["m1", "m3"]
    assert named("owner=a&retired=true") == ["m3"]
    assert named("retired=false") == ["m0", "m1", "m2", "m4"]
    assert named("tier=high&registry=builtin") == ["m0"]
    assert named("owner=nobody") == []


def test_environments_come_with_their_pointers(tmp_path: Path, engine: WasmEngine) -> None:
    """As the policy in force has them, with the aliases that the settings protect."""
    aliases = [{"environment": "production", "alias": "champion"}, {"environment": "moon", "alias": "lunar"}]
    gate = make_gate(tmp_path, engine, registries=[{"name": "builtin", "type": "builtin", "aliases": aliases}])
    answer = gate.call("GET", "/v1/environments", "aude").json

    assert [environment["name"] for environment in answer["environments"]] == ["dev", "staging", "production"]
    assert answer["environments"][2]["pointers"] == [{"registry": "builtin", "alias": "champion"}]
    assert answer["environments"][0]["pointers"] == []
    assert {"kind": "rollback", "from": "production", "to": "production"} in answer["transitions"]
    assert answer["policy_revision"] == engine.catalogue().revision


def test_pointers_are_shown_when_asked_for(gate: GateUnderTest) -> None:
    """Where the registry's aliases point is read from it, and from nowhere else."""
    register_model(gate, registry_model="fraud model")
    register_version(gate)
    gate.services.registries["builtin"].move_pointer("fraud model", "champion", "1.4.0", expected=None, permit="")

    assert gate.call("GET", FRAUD, "aude").json["pointers"] is None
    shown = gate.call("GET", f"{FRAUD}?pointers=true", "aude").json["pointers"]
    assert shown == [{"alias": "champion", "version": "1.4.0"}]


def test_a_card_that_was_erased_is_gone_by_name(gate: GateUnderTest) -> None:
    """Its digest stays, its bytes do not: 410."""
    register_model(gate, card=handed_in(CARD))
    actor = Actor(type="system", id="test")
    erase(gate.database, gate.services.log, [sha256_hex(CARD)], reason="asked for", actor=actor)

    assert problem(gate.call("GET", f"{FRAUD}/documents/{CARD_DIGEST}", "aude")) == (410, "audit.erased")


def test_times_are_those_of_the_changes(gate: GateUnderTest) -> None:
    """A clock that steps back is written as it is; order is the log's."""
    register_model(gate)
    gate.clock.advance(-DAY_NS)
    model = gate.call("PUT", FRAUD, "rita", model_update(), If_Match='"1"').json["model"]

    assert model["changed_at"] < model["created_at"]


def test_another_name_in_a_registry_is_the_operators_to_say(gate: GateUnderTest) -> None:
    """A requester registers a model under its own name alone: who stands for another moves that one's pointers."""
    asked = model_request("other", registry_model="crown jewel")
    refused = gate.call("POST", MODELS, "ravi", asked)
    made = gate.call("POST", MODELS, "otto", asked)
    (denial,) = gate.records("identity.denial")

    assert problem(refused) == (403, "identity.not_permitted")
    assert (denial["body"]["reason"], denial["body"]["object"]) == ("other_name", {"mapping": "other_name"})
    assert made.status_code == 201


@pytest.mark.parametrize("registry", ["builtin", "theirs"])
def test_a_models_name_is_its_own_in_every_registry(tmp_path: Path, engine: WasmEngine, registry: str) -> None:
    """Of one that the policy knows before it is registered, and of one that is registered; whoever asks."""
    gate = make_gate(tmp_path, engine, registries=[{"name": "theirs", "type": "mlflow", "url": "http://127.0.0.1:9"}])
    register_model(gate, "registered-elsewhere", registry_model="there")
    refused = [
        gate.call("POST", MODELS, "otto", model_request("toy", registry=registry, registry_model=name))
        for name in ("fraud-detector", "registered-elsewhere")
    ]

    assert [problem(one) for one in refused] == [(409, "registry.model_taken")] * 2
    assert register_model(gate)["model"]["name"] == "fraud-detector"
