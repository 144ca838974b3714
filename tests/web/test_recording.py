"""`POST /v1/audit/records`: events of other modules in the gate's log."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from lockgate.audit import Actor, Receipt, verify_receipt
from lockgate.audit.formats.records import parse_record
from lockgate.audit.kinds import RESERVED_WORDS
from lockgate.audit.writing.group_commit import GroupCommit
from lockgate.canonical_json import RECORD_BYTES_MAX
from lockgate.identity import parse_principal
from lockgate.recording import KindNotPermittedError, Recorder
from lockgate.schemas import check_schema
from support.gates import DAY_NS, GateUnderTest

PATH = "/v1/audit/records"
ID = "01a1ee56-5e00-7cf9-af7f-e207b52d6636"
BODY = {"account": "ann", "verdict": "keep"}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["account"],
    "additionalProperties": False,
    "properties": {"account": {"type": "string"}, "verdict": {"enum": ["keep", "revoke"]}, "n": {"type": "integer"}},
}
PEOPLE = {"reviews": ("recorder:access",), "twin": ("recorder:access",), "both": ("recorder:gate", "recorder:access")}


@pytest.fixture
def gate(gate: GateUnderTest) -> GateUnderTest:
    """A gate where `access.review` is registered, and modules that may record."""
    gate.services.log.register_kind("access.review", orjson.dumps(SCHEMA), Actor(type="system", id="tests"))
    tokens = dict(gate.tokens)
    for subject, roles in PEOPLE.items():
        principal = parse_principal(subject=subject, type="machine", roles=roles, identities=())
        gate.identities.put_principal(principal)
        tokens[subject] = gate.identities.create_token(subject, DAY_NS).secret
    return dataclasses.replace(gate, tokens=tokens)


def event(**changes: Any) -> dict[str, Any]:
    """Write an event."""
    return {"schema_version": 1, "kind": "access.review", "body": BODY, **changes}


def outcome(response: Any) -> tuple[int, str, str | None]:
    """Return what tells one problem from another."""
    check_schema("v1/api/problem", response.json)
    return response.status_code, response.json["code"], response.json.get("pointer")


def test_an_event_becomes_a_record_of_its_sender(gate: GateUnderTest) -> None:
    """The answer is the receipt; the actor is whoever holds the token, whatever the body says."""
    response = gate.call("POST", PATH, "reviews", event(id=ID, subject="account:ann"))
    check_schema("v1/api/receipt", response.json)
    receipt = Receipt(seq=response.json["seq"], record=response.json["record"].encode(), proof=response.json["proof"])
    record = verify_receipt(receipt, [gate.key])

    assert response.status_code == 201
    assert response.headers["Location"] == f"{PATH}/{record['seq']}"
    assert record["actor"] == {"type": "machine", "id": "reviews", "roles": ["recorder:access"]}
    assert (record["id"], record["kind"], record["subject"]) == (ID, "access.review", "account:ann")
    assert (record["body"], record["trace"]) == (BODY, response.headers["X-Request-Id"])


def test_an_event_sent_again_is_one_record(gate: GateUnderTest) -> None:
    """The same id and content: 200 with the same receipt, byte for byte."""
    first = gate.call("POST", PATH, "reviews", event(id=ID))
    gate.call("POST", PATH, "reviews", event())
    again = gate.call("POST", PATH, "reviews", event(id=ID))

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json == first.json
    assert len(gate.records("access.review")) == 2


@pytest.mark.parametrize(
    ("who", "changes"),
    [
        ("reviews", {"body": {**BODY, "verdict": "revoke"}}),
        ("reviews", {"body": {"account": "ann"}}),
        ("reviews", {"subject": "account:ann"}),
        ("twin", {}),
    ],
)
def test_an_id_stands_for_one_event_of_one_sender(gate: GateUnderTest, who: str, changes: Mapping[str, Any]) -> None:
    """Other content, or the same by somebody else, is a conflict; nothing is written and nothing shown."""
    gate.call("POST", PATH, "reviews", event(id=ID))
    response = gate.call("POST", PATH, who, event(id=ID, **changes))

    assert outcome(response) == (409, "recording.id_reused", None)
    assert len(gate.records("access.review")) == 1


def test_true_is_not_one(gate: GateUnderTest) -> None:
    """Contents that Python calls equal and JSON does not are not the same event."""
    loose = {**SCHEMA, "properties": {"account": {}, "n": {}}}
    gate.services.log.register_kind("access.review", orjson.dumps(loose), Actor(type="system", id="tests"))
    gate.call("POST", PATH, "reviews", event(id=ID, body={"account": "ann", "n": 1}))
    response = gate.call("POST", PATH, "reviews", event(id=ID, body={"account": "ann", "n": True}))

    assert outcome(response) == (409, "recording.id_reused", None)


def test_the_id_of_a_decision_is_not_free(gate: GateUnderTest) -> None:
    """A record of the gate's own is never handed out for somebody's event."""
    decision = gate.request()["decision"]["id"]

    assert outcome(gate.call("POST", PATH, "reviews", event(id=decision)))[:2] == (409, "recording.id_reused")


@pytest.mark.parametrize("kind", ["vault.opened", "accession.review", "gate.decision", "log.kind", "app.event"])
@pytest.mark.parametrize("who", ["reviews", "both"])
def test_a_kind_that_no_role_covers_is_forbidden(gate: GateUnderTest, who: str, kind: str) -> None:
    """A recorder writes its own kinds; nobody writes the gate's, whatever their role is called."""
    response = gate.call("POST", PATH, who, event(kind=kind))

    assert outcome(response) == (403, "identity.not_permitted", None)


@pytest.mark.parametrize("word", sorted(RESERVED_WORDS))
def test_lockgates_own_kinds_are_refused_whatever_the_policy_permits(gate: GateUnderTest, word: str) -> None:
    """A policy that forgets Lockgate's own kinds does not open them."""
    forger = parse_principal(subject="forger", type="machine", roles=[f"recorder:{word}"], identities=())
    with pytest.raises(KindNotPermittedError):
        Recorder(gate.services.log).record(forger, event(kind=f"{word}.event"), trace=ID)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (event(kind="access.forgotten"), (422, "audit.kind_unknown", None)),
        (event(body={"verdict": "keep"}), (422, "schema.invalid", "/body")),
        (event(body={"account": "ann", "verdict": "maybe"}), (422, "schema.invalid", "/body/verdict")),
        (event(body={"account": "ann", "Extra": 1}), (422, "schema.invalid", "/body")),
        (event(body={"account": "ann", "n": 1.5}), (422, "schema.invalid", "/body")),
        (event(body={"account": "ann", "n": 2**53}), (422, "schema.invalid", "/body")),
        (event(body=[]), (422, "schema.invalid", "/body")),
        (event(actor="mallory"), (422, "schema.invalid", "")),
        (event(id=ID.upper()), (422, "schema.invalid", "/id")),
        (event(kind="access"), (422, "schema.invalid", "/kind")),
        (event(subject=""), (422, "schema.invalid", "/subject")),
        (event(schema_version=2), (422, "schema.invalid", "/schema_version")),
        (event(body={"account": "a" * RECORD_BYTES_MAX}), (413, "http.too_large", None)),
        (event(body={"account": "a" * (RECORD_BYTES_MAX - 200)}), (413, "audit.record_invalid", None)),
        (event(body={"account": [[[[[[[["deep"]]]]]]]]}), (413, "json.too_large", None)),
        (event(body={"account": "a\0"}), (400, "json.malformed", None)),
    ],
)
def test_bad_events_are_refused_by_name(gate: GateUnderTest, sent: object, expected: tuple[int, str, str]) -> None:
    """Each mistake has its status, its code and, where there is one, its place; nothing is written."""
    before = len(gate.records())
    response = gate.call("POST", PATH, "reviews", sent)

    assert outcome(response) == expected
    assert len(gate.records()) == before


def test_a_query_is_refused(gate: GateUnderTest) -> None:
    """There is no parameter to get wrong."""
    assert outcome(gate.call("POST", f"{PATH}?force=1", "reviews", event()))[:2] == (400, "http.parameter")


def test_a_full_queue_says_when_to_come_back(gate: GateUnderTest) -> None:
    """Too many writers wait: 503 with Retry-After, and nothing was written."""
    log = gate.services.log
    log._writers = GroupCommit(log._write, waiting_max=0)
    response = gate.call("POST", PATH, "reviews", event())

    assert outcome(response)[:2] == (503, "audit.busy")
    assert int(response.headers["Retry-After"]) > 0


def test_a_newer_schema_counts_at_once(gate: GateUnderTest) -> None:
    """A schema registered by another process counts for the next event."""
    narrow = {**SCHEMA, "required": ["account", "verdict"]}
    gate.services.log.register_kind("access.review", orjson.dumps(narrow), Actor(type="system", id="tests"))
    response = gate.call("POST", PATH, "reviews", event(body={"account": "ann"}))

    assert outcome(response)[:2] == (422, "schema.invalid")


def test_a_lost_role_counts_at_once(gate: GateUnderTest) -> None:
    """Roles are those of now, not those of the token's making."""
    gate.identities.put_principal(parse_principal(subject="reviews", type="machine", roles=(), identities=()))

    assert gate.call("POST", PATH, "reviews", event()).status_code == 403


def test_a_registered_kind_is_read_by_auditors(gate: GateUnderTest) -> None:
    """The record is found among the log's, by its kind."""
    gate.call("POST", PATH, "reviews", event(id=ID))
    page = gate.call("GET", f"{PATH}?kind=access.review", "aude").json

    assert [parse_record(item["record"].encode())["id"] for item in page["items"]] == [ID]
