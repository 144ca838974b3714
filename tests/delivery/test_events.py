"""Records as events: every kind is one or is none on purpose, and what is written keeps to the specifications."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lockgate.administration import IDENTITY_KINDS
from lockgate.audit import Actor, Event
from lockgate.audit.formats.records import Place, encode_record
from lockgate.audit.kinds import OWN_KINDS
from lockgate.audit.types import StoredRecord
from lockgate.authorization import AUTHORIZATION_KINDS
from lockgate.bootstrap import RECORD_KINDS
from lockgate.canonical_json import parse_json
from lockgate.clock import NS_PER_S, EpochNs
from lockgate.delivery.cdevents import cdevent_of
from lockgate.delivery.deliveries import DELIVERY_KINDS
from lockgate.delivery.events import EVENT_TYPES, CloudEvent, event_of
from lockgate.digests import sha256_hex
from lockgate.ids import new_id
from lockgate.schemas import check_schema, load_schema, schemas_root

EXAMPLES: Final = schemas_root() / "examples"
SPECIFICATION: Final = Path(__file__).parents[2] / "docs" / "formats" / "events.md"
NOW: Final = EpochNs(1_795_000_000 * NS_PER_S)
ORIGIN: Final = "gate.example/audit"
PUBLIC_URL: Final = "https://gate.example"
RITA: Final = "urn:lockgate:user:rita%40example.com"
GATE: Final = "urn:lockgate:system:lockgate"
# No events, each for the reason that `lockgate.delivery.events` gives.
SILENT: Final = {*OWN_KINDS, *IDENTITY_KINDS, *AUTHORIZATION_KINDS, *DELIVERY_KINDS}
_URI_REFERENCE: Final = re.compile(r"[A-Za-z0-9/:@!$&'()*,;=._~\[\]%-]+", re.ASCII)

# Written from the specifications of CDEvents: 0.5.0 for services, the draft of 0.6 for approvals.
_TEXT: Final = {"type": "string", "minLength": 1}
_APPROVAL: Final[Mapping[str, Any]] = {
    "created": {"requestor"},
    "updated": {"responder", "decision"},
    "closed": {"responder", "decision", "status"},
}


def cdevents_schema(subject: str, predicate: str) -> dict[str, Any]:
    """Return the form of a CDEvent."""
    if subject == "approval":
        fields = {"approvalDetailsUrl", "resourceTargetUrl", *_APPROVAL[predicate]}
        content: dict[str, Any] = dict.fromkeys(fields, _TEXT)
        if "status" in fields:
            content["status"] = {"enum": ["approved", "rejected", "cancelled", "expired"]}
    else:
        environment = {"type": "object", "required": ["id"], "properties": {"id": _TEXT}, "additionalProperties": False}
        content = {"environment": environment, "artifactId": {"type": "string", "pattern": "^pkg:generic/[^ ]+$"}}
    version = "0.1.0" if subject == "approval" else "0.3.0"
    context = {
        "specversion": {"enum": ["0.6.0-draft" if subject == "approval" else "0.5.0"]},
        "id": _TEXT,
        "source": _TEXT,
        "type": {"const": f"dev.cdevents.{subject}.{predicate}.{version}"},
        "timestamp": _TEXT,
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["context", "subject"],
        "properties": {
            "context": {
                "type": "object",
                "additionalProperties": False,
                "required": sorted(context),
                "properties": {**context, "chainId": _TEXT},
            },
            "subject": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "content"],
                "properties": {
                    "id": _TEXT,
                    "source": _TEXT,
                    "content": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": sorted(content),
                        "properties": content,
                    },
                },
            },
            "customData": {"type": "object"},
            "customDataContentType": {"type": "string"},
        },
    }


def stored(kind: str, body: Mapping[str, Any], *, log: str = ORIGIN, seq: int = 7) -> StoredRecord:
    """Return a record as it lies in a log."""
    place = Place(
        log=log,
        seq=seq,
        prev=bytes(32) if seq == 0 else bytes(range(32)),
        ts=NOW,
        instance="test",
        boot=new_id(NOW),
        schema_sha256="ab" * 32,
    )
    actor = Actor(type="user", id="rita@example.com", roles=("requester",))
    event = Event(id=new_id(NOW), kind=kind, actor=actor, body=body, subject="model:fraud-detector")
    record = encode_record(event, place)
    return StoredRecord(seq=seq, body=record, leaf=bytes.fromhex(sha256_hex(b"\0" + record)))


def example_files() -> Iterator[tuple[str, Path]]:
    """Give every kind with the file of each valid example of its body."""
    for kind, schema in sorted(RECORD_KINDS.items()):
        for file in sorted((EXAMPLES / schema / "valid").glob("*.json")):
            yield kind, file


def examples() -> Iterator[tuple[str, Any]]:
    """Give every kind with each valid example of its body."""
    for kind, file in example_files():
        yield kind, parse_json(file.read_bytes(), bytes_max=1024 * 1024)


EVERY_EXAMPLE: Final = [
    pytest.param(kind, body, id=f"{kind}-{file.stem}")
    for (kind, file), (_, body) in zip(example_files(), examples(), strict=True)
]


def decision(**changes: Any) -> dict[str, Any]:
    """Return the body of a decision."""
    body: dict[str, Any] = next(body for kind, body in examples() if kind == "gate.decision")
    return {**body, **changes}


def to_event(kind: str, body: Mapping[str, Any]) -> CloudEvent:
    """Return a record as an event, which it must be."""
    event = event_of(stored(kind, body))
    assert event is not None
    return event


@pytest.mark.parametrize(("kind", "body"), EVERY_EXAMPLE)
def test_every_kind_is_an_event_or_silent(kind: str, body: Any) -> None:
    """Whatever Lockgate records is an event that keeps to its schema, or is none by name."""
    event = event_of(stored(kind, body))

    assert (event is None) == (kind in SILENT)
    if event is not None:
        assert event.type in EVENT_TYPES
        check_schema("v1/api/event", event.document)
        check_schema("v1/api/event_data", event.document["data"])
        assert event.document["data"]["body"] == body


@pytest.mark.parametrize("kind", sorted(set(RECORD_KINDS) - SILENT))
def test_every_value_that_decides_is_known(kind: str) -> None:
    """Of a field that decides which event a record is, each value that its schema allows is in the table."""
    properties = load_schema(RECORD_KINDS[kind])["properties"]
    field = {"gate.decision": "verdict", "gate.approval": "verdict", "gate.confirmation": "kind"}.get(kind, "change")
    example = next(body for known, body in examples() if known == kind)
    values = properties.get(field, {}).get("enum", [None])

    types = {to_event(kind, example if value is None else {**example, field: value}).type for value in values}
    assert len(types) == len(values)


def test_the_specification_names_every_type() -> None:
    """docs/formats/events.md has a row for each type and for no other."""
    rows = re.findall(r"^\| `(dev\.lockgate\.[a-z_.]+v1)` \|", SPECIFICATION.read_text(), re.MULTILINE)

    assert sorted(rows) == sorted(EVENT_TYPES)


def test_unknown_kinds_are_no_events() -> None:
    """What other modules record is theirs to tell."""
    assert event_of(stored("access.review", {"n": 1})) is None
    assert cdevent_of(stored("access.review", {"n": 1}), PUBLIC_URL) is None


def test_the_first_of_the_waiting_is_the_request() -> None:
    """A promotion that waits was requested by its first decision; later ones evaluate it anew."""
    later = EpochNs(NOW + NS_PER_S)
    promotion = new_id(NOW)
    first = decision(verdict="pending", promotion_id=promotion, id=new_id(NOW))
    second = decision(verdict="pending", promotion_id=promotion, id=new_id(later))
    refused = decision(verdict="deny", promotion_id=promotion, id=new_id(NOW))

    assert to_event("gate.decision", first).type == "dev.lockgate.promotion.requested.v1"
    assert to_event("gate.decision", second).type == "dev.lockgate.promotion.evaluated.v1"
    assert to_event("gate.decision", refused).type == "dev.lockgate.promotion.denied.v1"


def test_an_event_points_at_its_record() -> None:
    """Id, time, subject, source, place and leaf are the record's, so that its proof can be fetched and compared."""
    record = stored("gate.policy", next(body for kind, body in examples() if kind == "gate.policy"))
    event = event_of(record)
    assert event is not None
    raw = parse_json(record.body, bytes_max=65536)

    document = event.document
    assert [document[name] for name in ("id", "time", "subject", "source")] == [
        raw["id"],
        raw["ts"],
        "model:fraud-detector",
        ORIGIN,
    ]
    assert (document["data"]["seq"], document["data"]["leaf"]) == (7, f"sha256:{record.leaf.hex()}")
    assert event.encode() == event.encode()


@given(log=st.text(st.characters(blacklist_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1, max_size=60))
@settings(deadline=None, max_examples=60)
def test_the_source_is_a_uri_reference(log: str) -> None:
    """Whatever a log is named, its events' source holds no character that a URI may not."""
    log = re.sub(r"[\s+\x00]", "x", log)
    event = event_of(stored("gate.policy", {"n": 1}, log=log))
    assert event is not None

    assert _URI_REFERENCE.fullmatch(event.document["source"])


@pytest.mark.parametrize(("kind", "body"), EVERY_EXAMPLE)
def test_cdevents_keep_to_their_specification(kind: str, body: Any) -> None:
    """Each translation is what CDEvents describes, in an envelope that agrees with it."""
    event = cdevent_of(stored(kind, body), PUBLIC_URL)
    if event is None:
        return
    check_schema("v1/api/event", event.document)
    _, _, subject, predicate, _ = event.type.split(".", 4)
    cdevent = event.document["data"]

    Draft202012Validator(cdevents_schema(subject, predicate)).validate(cdevent)
    context = cdevent["context"]
    assert [context[name] for name in ("id", "source", "type", "timestamp")] == [
        event.document[name] for name in ("id", "source", "type", "time")
    ]
    assert cdevent["subject"]["id"] == event.document["subject"]
    check_schema("v1/api/event_data", cdevent["customData"]["lockgate"])


@pytest.mark.parametrize(
    ("kind", "changes", "type_", "said"),
    [
        ("gate.decision", {"verdict": "allow"}, "approval.closed.0.1.0", ("approved", GATE)),
        ("gate.decision", {"verdict": "deny"}, "approval.closed.0.1.0", ("rejected", GATE)),
        ("gate.withdrawal", {}, "approval.closed.0.1.0", ("cancelled", RITA)),
        ("gate.expiry", {}, "approval.closed.0.1.0", ("expired", RITA)),
        ("gate.approval", {"verdict": "approve"}, "approval.updated.0.1.0", (None, RITA)),
    ],
)
def test_approvals_in_cdevents(kind: str, changes: Mapping[str, Any], type_: str, said: tuple[str | None, str]) -> None:
    """How an approval ended and who said so is what our record says; a decision is the gate's own word."""
    body = {**next(body for known, body in examples() if known == kind), **changes}
    event = cdevent_of(stored(kind, body), PUBLIC_URL)
    assert event is not None
    content = event.document["data"]["subject"]["content"]

    assert event.type == f"dev.cdevents.{type_}"
    assert (content.get("status"), content["responder"]) == said
    assert content["approvalDetailsUrl"] == f"{PUBLIC_URL}/v1/promotions/{body['promotion_id']}"
    assert content["resourceTargetUrl"].startswith(f"{PUBLIC_URL}/v1/models/fraud-detector")


@pytest.mark.parametrize(
    ("kind", "changes", "type_"),
    [
        ("gate.confirmation", {"kind": "promote"}, "service.deployed.0.3.0"),
        ("gate.confirmation", {"kind": "rollback"}, "service.rolledback.0.3.0"),
        ("gate.live", {}, "service.deployed.0.3.0"),
    ],
)
def test_services_in_cdevents(kind: str, changes: Mapping[str, Any], type_: str) -> None:
    """What was seen to run names its environment, and its bytes by digest."""
    body = {**next(body for known, body in examples() if known == kind), **changes}
    event = cdevent_of(stored(kind, body), PUBLIC_URL)
    assert event is not None
    content = event.document["data"]["subject"]["content"]

    assert event.type == f"dev.cdevents.{type_}"
    assert content["environment"] == {"id": body["environment"]}
    assert content["artifactId"].endswith(f"?checksum={body['digest']}")
