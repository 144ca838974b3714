"""Kinds of a module's own: registered in the log, held to their newest schema, in every process, on both databases."""

import contextlib
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.administration import IDENTITY_KINDS
from lockgate.audit import Actor, Event, KindCatalogue, KindUnknownError, Outcome, RecordInvalidError
from lockgate.audit.errors import BodyInvalidError, DuplicateIDError, KindInvalidError
from lockgate.audit.formats.kind_names import KIND
from lockgate.audit.formats.records import parse_record
from lockgate.audit.kind_schemas import (
    KIND_SCHEMA_BYTES_MAX,
    KIND_SCHEMA_DEPTH_MAX,
    KIND_SCHEMA_PARTS_MAX,
    KIND_SCHEMA_PATTERNS_MAX,
    KindSchema,
)
from lockgate.audit.kinds import OWN_KINDS, RESERVED_WORDS, check_name
from lockgate.audit.types import Receipt
from lockgate.audit.writing import log_kinds
from lockgate.audit.writing.log import _Job
from lockgate.digests import sha256_hex
from lockgate.promotion import GATE_KINDS
from support.audit_logs import LogStand, make_event, make_stand, verify_export

FORMAT = Path(__file__).parents[2] / "docs/formats/audit-log.md"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ADMIN = Actor(type="system", id="tests")
REVIEW = "access.review"


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[LogStand]:
    """A log with nothing but its genesis record; every test that asks for it runs on both databases."""
    made = make_stand(tmp_path, database_url)
    yield made
    made.engine.dispose()


def write_schema(**keywords: Any) -> bytes:
    """Write a schema file."""
    return orjson.dumps({"$schema": DIALECT, "type": "object", **keywords})


OLD = write_schema(required=["account"], properties={"account": {"type": "string", "maxLength": 64}})
NEW = write_schema(
    required=["account", "verdict"],
    additionalProperties=False,
    properties={"account": {"type": "string", "pattern": "^[a-z]+$"}, "verdict": {"enum": ["keep", "revoke"]}},
)


def review(kind: str = REVIEW, **body: Any) -> Event:
    """Make an event of a module's kind."""
    return Event(id=str(uuid.uuid4()), kind=kind, actor=ADMIN, body=body)


def record_of(receipt: Receipt | None) -> dict[str, Any]:
    """Return the record in a receipt."""
    assert receipt is not None
    return parse_record(receipt.record)


# --- the schema ---------------------------------------------------------------------------------------------------


def nested(levels: int) -> dict[str, Any]:
    """Return a schema of objects within objects."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


def laughing(levels: int) -> dict[str, Any]:
    """Return definitions of which each asks the next twice: 2**levels checks."""
    definitions: dict[str, Any] = {
        f"a{level}": {"anyOf": [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(levels)
    }
    return {"$ref": "#/$defs/a0", "$defs": {**definitions, f"a{levels}": {"type": "string"}}}


REFUSED_SCHEMAS: dict[str, bytes] = {
    "no JSON": b"type: object",
    "a key twice": OLD[:-1] + b',"type":"object"}',
    "a list": b"[]",
    "no dialect": b'{"type":"object"}',
    "an old dialect": orjson.dumps({"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}),
    "bodies that are no objects": orjson.dumps({"$schema": DIALECT, "type": ["object", "string"]}),
    "no type": orjson.dumps({"$schema": DIALECT}),
    "a keyword that nobody knows": write_schema(requierd=["account"]),
    "a keyword that checks nothing": write_schema(properties={"at": {"format": "date-time"}}),
    "a dynamic reference": write_schema(properties={"a": {"$dynamicRef": "#a"}}),
    "a reference to the network": write_schema(properties={"a": {"$ref": "https://example.com/a.json"}}),
    "a reference to a file": write_schema(properties={"a": {"$ref": "file:///etc/passwd"}}),
    "a reference to itself": write_schema(properties={"a": {"$ref": "#"}}),
    "a reference to what is not there": write_schema(**{"$ref": "#/$defs/a"}),
    "a reference below a definition": write_schema(**{"$ref": "#/$defs/a/items", "$defs": {"a": {"items": {}}}}),
    "a reference to itself by its name": write_schema(
        **{"$id": "https://x.example/a", "$ref": "https://x.example/a", "$defs": {"https://x.example/a": {}}}
    ),
    "a reference that another definition hides": write_schema(
        **{"$ref": "#/$defs/a%62", "$defs": {"a%62": {}, "ab": {"$ref": "#/$defs/a%62"}}}
    ),
    "a reference that an escape hides": write_schema(
        **{"$ref": "#/$defs/a~01", "$defs": {"a~01": {}, "a~1": {"$ref": "#/$defs/a~01"}}}
    ),
    "definitions under another name": write_schema(
        properties={"a": {"$id": "https://x.example/a", **laughing(20)}}, **{"$defs": {f"a{n}": {} for n in range(21)}}
    ),
    "another dialect further down": write_schema(
        properties={"a": {"$schema": "http://json-schema.org/draft-07/schema#"}}
    ),
    "a reference that is no text": write_schema(**{"$ref": 1}),
    "a definition within itself": write_schema(**{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}),
    "recursion through a body": write_schema(
        properties={"a": {"$ref": "#/$defs/a"}}, **{"$defs": {"a": {"properties": {"a": {"$ref": "#/$defs/a"}}}}}
    ),
    "doubling": write_schema(**laughing(9)),
    "definitions that are no object": write_schema(**{"$defs": []}),
    "a subschema that is a number": write_schema(items=1),
    "a list of subschemas that is none": write_schema(allOf={}),
    "properties that are a list": write_schema(properties=[]),
    "a type that there is not": write_schema(properties={"a": {"type": "strng"}}),
    "a limit that is text": write_schema(properties={"a": {"maxLength": "64"}}),
    "a pattern that is none": write_schema(properties={"a": {"pattern": "("}}),
    "look-ahead": write_schema(properties={"a": {"pattern": "(?=a)b"}}),
    "a back-reference": write_schema(properties={"a": {"pattern": r"(a+)\1"}}),
    "a pattern too large": write_schema(properties={"a": {"pattern": "(a|b)*a(a|b){433}c"}}),
    "an enumeration of objects": write_schema(properties={"a": {"enum": [{"a": 1}, {"a": 2}]}}),
    "a mixed enumeration": write_schema(properties={"a": {"enum": ["a", 1]}}),
    "an enumeration of truths": write_schema(properties={"a": {"enum": [True, False]}}),
    "an enumeration of nothing": write_schema(properties={"a": {"enum": []}}),
    "an enumeration that is none": write_schema(properties={"a": {"enum": "a"}}),
    "a constant list": write_schema(properties={"a": {"const": [1]}}),
    "too many patterns": write_schema(
        properties={f"a{n}": {"$ref": "#/$defs/a"} for n in range(KIND_SCHEMA_PATTERNS_MAX + 1)},
        **{"$defs": {"a": {"pattern": "^a$"}}},
    ),
    "too long": write_schema(description="a" * KIND_SCHEMA_BYTES_MAX),
    "too deep": write_schema(**nested(KIND_SCHEMA_DEPTH_MAX // 2)),
    "too many parts": write_schema(properties={f"a{n}": True for n in range(KIND_SCHEMA_PARTS_MAX)}),
}


@pytest.mark.parametrize("name", REFUSED_SCHEMAS)
def test_a_schema_that_cannot_be_trusted_to_end_is_refused(name: str) -> None:
    """Whatever is not plain, sound, small and self-contained is refused before it is ever run."""
    with pytest.raises(KindInvalidError):
        KindSchema(REFUSED_SCHEMAS[name])


def test_the_limits_themselves_are_allowed() -> None:
    """A schema exactly as large, deep and wide as the limits is accepted."""
    padding = KIND_SCHEMA_BYTES_MAX - len(write_schema(description=""))

    KindSchema(write_schema(description="a" * padding))
    KindSchema(write_schema(**nested(KIND_SCHEMA_DEPTH_MAX // 2 - 1)))
    KindSchema(write_schema(properties={f"a{n}": True for n in range(KIND_SCHEMA_PARTS_MAX - 1)}))
    KindSchema(write_schema(properties={f"a{n}": {"pattern": "^a$"} for n in range(KIND_SCHEMA_PATTERNS_MAX)}))
    KindSchema(write_schema(properties={"sha512": {"pattern": "^[0-9a-f]{128}$"}, "word": {"pattern": r"^\w{1,64}$"}}))


def test_a_schema_is_known_by_its_bytes() -> None:
    """Records name the SHA-256 of the file, not of what it means."""
    assert KindSchema(OLD).sha256 == sha256_hex(OLD)
    assert KindSchema(OLD + b"\n").sha256 != KindSchema(OLD).sha256


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"account": "ann"}, ""),
        ({"account": "ann", "verdict": "keep", "note": "hunter2"}, ""),
        ({"account": "hunter2", "verdict": "keep"}, "/account"),
        ({"account": "ann", "verdict": "hunter2"}, "/verdict"),
        ({"account": "ann\n", "verdict": "keep"}, "/account"),
    ],
)
def test_a_body_that_breaks_its_schema_is_refused_without_being_repeated(body: dict[str, Any], pointer: str) -> None:
    """The error says where, and never what stood there."""
    with pytest.raises(BodyInvalidError) as refused:
        KindSchema(NEW).check(body)

    assert refused.value.pointer == pointer
    assert "hunter2" not in str(refused.value)


def test_a_pattern_takes_linear_time() -> None:
    """The pattern that ruins engines that go back and try again costs nothing here."""
    schema = KindSchema(write_schema(properties={"a": {"pattern": "^(a+)+$"}}))
    began = time.perf_counter()
    with pytest.raises(BodyInvalidError):
        schema.check({"a": "a" * 30_000 + "!"})

    assert time.perf_counter() - began < 1


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["#/$defs/a", "string", "(a+)+$", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$ref", "$defs", "a", "allOf", "items", "not", "pattern", "properties", "type", "enum"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["$ref", "$defs", "allOf", "properties", "required", "if"]), _VALUES))
@settings(max_examples=300, deadline=None)
def test_a_hostile_schema_is_refused_by_name_or_runs(keywords: dict[str, Any]) -> None:
    """Whatever is offered as a schema, the outcome is a refusal with its code, or a schema that can be run."""
    try:
        schema = KindSchema(write_schema(**keywords))
    except KindInvalidError:
        return
    with contextlib.suppress(BodyInvalidError):
        schema.check({"a": {"a": ["a", 1, None]}})


# --- the name -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "access",
        "Access.review",
        "access..review",
        ".review",
        "access.review.",
        "access.review\n",
        "access-list.made",
        "1access.review",
        "a" * 60 + ".made",
        *(f"{word}.review" for word in sorted(RESERVED_WORDS)),
    ],
)
def test_a_name_that_is_not_a_modules_to_take_is_refused(kind: str) -> None:
    """A module speaks neither in the log's name nor in the gate's, and in one spelling."""
    with pytest.raises(KindInvalidError):
        check_name(kind)


def test_every_shipped_kind_begins_with_a_reserved_word() -> None:
    """So a kind that ships later takes no module's name away."""
    assert {kind.partition(".")[0] for kind in (*OWN_KINDS, *GATE_KINDS, *IDENTITY_KINDS)} <= RESERVED_WORDS


def test_format_names_the_words_that_no_module_takes() -> None:
    """Whoever writes a verifier from the format's page reads the same words as the code holds to."""
    (said,) = re.findall(r"No registered kind begins with (.*)\.$", FORMAT.read_text(), flags=re.MULTILINE)

    assert set(re.findall(r"`([a-z]+)\.`", said)) == RESERVED_WORDS


# --- in the log ---------------------------------------------------------------------------------------------------


def test_a_registered_kind_can_be_written_and_its_schema_is_in_the_log(stand: LogStand) -> None:
    """The record names the schema's bytes, which the log keeps, and the whole still verifies."""
    with pytest.raises(KindUnknownError):
        stand.log.append(review(account="ann"))
    registered = record_of(stand.log.register_kind(REVIEW, OLD, ADMIN))
    written = record_of(stand.log.append(review(account="ann")))

    assert (registered["kind"], registered["subject"]) == (KIND, f"kind:{REVIEW}")
    assert registered["body"] == {"kind": REVIEW, "schema": written["schema"]}
    assert stand.log.attachment(written["schema"].removeprefix("sha256:")) == OLD
    assert verify_export(stand.export(), stand.signer).verdict == "valid"


def test_a_registered_kind_can_be_written_with_a_change_too(stand: LogStand) -> None:
    """Work in a transaction is held to the schema like a lone event."""
    stand.log.register_kind(REVIEW, OLD, ADMIN)
    with pytest.raises(BodyInvalidError):
        stand.log.transact(lambda _: Outcome(value=None, events=(review(account=1),)))
    done = stand.log.transact(lambda _: Outcome(value="done", events=(review(account="ann"),)))

    assert (done.value, record_of(done.receipts[0])["schema"]) == ("done", f"sha256:{sha256_hex(OLD)}")


def test_registering_the_same_again_writes_nothing(stand: LogStand) -> None:
    """Each start of a module may register its kinds; only a change is recorded, back to an older schema too."""
    receipts = [stand.log.register_kind(REVIEW, schema, ADMIN) for schema in (OLD, OLD, NEW, NEW, OLD)]

    assert [receipt is not None for receipt in receipts] == [True, False, True, False, True]


def test_the_newest_schema_counts_in_every_process(stand: LogStand) -> None:
    """What another process registers counts for this one's next write, for a new kind and for a newer schema."""
    other = stand.reopened()
    other.register_kind(REVIEW, OLD, ADMIN)
    first = record_of(stand.log.append(review(account="ANN")))
    other.register_kind(REVIEW, NEW, ADMIN)
    with pytest.raises(BodyInvalidError):
        stand.log.append(review(account="ANN"))
    second = record_of(stand.log.append(review(account="ann", verdict="keep")))
    other.register_kind(REVIEW, OLD, ADMIN)
    third = record_of(stand.log.append(review(account="ANN")))

    schemas = [record["schema"] for record in (first, second, third)]
    assert schemas == [f"sha256:{sha256_hex(data)}" for data in (OLD, NEW, OLD)]


def test_a_process_that_starts_knows_what_is_registered(stand: LogStand) -> None:
    """Nothing needs to be registered again after a restart."""
    stand.log.register_kind(REVIEW, OLD, ADMIN)

    assert record_of(stand.reopened().append(review(account="ann")))["kind"] == REVIEW


def test_an_event_that_waited_is_held_to_the_schema_of_when_it_is_written(stand: LogStand) -> None:
    """An event checked before it queued is checked again if the schema changed while it waited."""
    stand.log.register_kind(REVIEW, OLD, ADMIN)
    stand.fill(1)
    event = review(account="ANN")
    waited: _Job[None] = _Job(None, (event,), stand.log._kinds.check(event))
    stand.reopened().register_kind(REVIEW, NEW, ADMIN)
    stand.log._write(lambda: [waited])

    with pytest.raises(BodyInvalidError):
        waited.result()


def test_nobody_looks_for_kinds_while_one_process_writes(stand: LogStand) -> None:
    """The look costs a statement only when somebody else wrote, or a kind was registered."""
    stand.log.register_kind(REVIEW, OLD, ADMIN)
    stand.fill(2)

    assert stand.log._kinds._read_to == 4


def test_a_kind_whose_schema_is_gone_cannot_be_written_and_the_others_can(stand: LogStand) -> None:
    """An erased schema stops its own kind, by name; an older schema does not come back to life."""
    stand.log.register_kind(REVIEW, OLD, ADMIN)
    stand.log.register_kind(REVIEW, NEW, ADMIN)
    stand.edit("DELETE FROM audit_attachment WHERE sha256 = ?", sha256_hex(NEW))
    log = stand.reopened()
    log.append(make_event())
    with pytest.raises(KindUnknownError, match="can be read"):
        log.append(review(account="ann", verdict="keep"))

    log.register_kind(REVIEW, NEW, ADMIN)
    log.append(review(account="ann", verdict="keep"))


def test_a_schema_that_does_not_hash_to_its_name_is_not_used(stand: LogStand) -> None:
    """Who can edit the database cannot loosen a schema."""
    stand.log.register_kind(REVIEW, NEW, ADMIN)
    stand.change("audit_attachment", "body", "seq = 1", lambda _: OLD)

    with pytest.raises(KindUnknownError):
        stand.reopened().append(review(account="ANN"))


def registration_by_hand(kind: str, schema: str, *attachments: bytes) -> Event:
    """Make a `log.kind` event without the help of the log."""
    body = {"kind": kind, "schema": f"sha256:{schema}"}
    return Event(id=str(uuid.uuid4()), kind=KIND, actor=ADMIN, body=body, attachments=attachments)


LOOSE = write_schema()


@pytest.mark.parametrize(
    "event",
    [
        registration_by_hand(REVIEW, sha256_hex(OLD)),
        registration_by_hand(REVIEW, sha256_hex(OLD), NEW),
        registration_by_hand(REVIEW, sha256_hex(OLD), OLD, NEW),
        registration_by_hand(REVIEW, sha256_hex(b"{}"), b"{}"),
        registration_by_hand("log.genesis", sha256_hex(LOOSE), LOOSE),
        registration_by_hand("app.event", sha256_hex(LOOSE), LOOSE),
        registration_by_hand("gate.decision", sha256_hex(LOOSE), LOOSE),
    ],
)
def test_a_registration_by_hand_is_held_to_the_same(stand: LogStand, event: Event) -> None:
    """There is no way around the checks: not through `append`, and not through `transact`."""
    with pytest.raises(KindInvalidError):
        stand.log.append(event)
    with pytest.raises(KindInvalidError):
        stand.log.transact(lambda _: Outcome(value=None, events=(event,)))

    assert len(stand.log.records()) == 1


def test_a_shipped_kind_without_a_reserved_word_cannot_be_registered_over() -> None:
    """Whatever a catalogue ships, a registration never replaces it."""
    catalogue = KindCatalogue({"test.forecast": "v1/api/decision"})
    with pytest.raises(KindInvalidError, match="does not ship"):
        catalogue.check(registration_by_hand("test.forecast", sha256_hex(LOOSE), LOOSE))


def test_a_catalogue_cannot_replace_a_kind_of_the_logs_own() -> None:
    """Nor does a module of Lockgate's change what the log's own kinds mean."""
    with pytest.raises(KindUnknownError):
        KindCatalogue({"log.genesis": "v1/audit/app_event"})


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"n": 0.5}, "audit.body_invalid"),
        ({"N": 1}, "audit.body_invalid"),
        ({"n": 2**53}, "audit.body_invalid"),
        ({"n": "\0"}, "audit.body_invalid"),
        ({"account": "a" * 40_000}, "audit.record_invalid"),  # so large that no schema gets to see it
    ],
)
def test_a_body_without_canonical_form_is_refused(stand: LogStand, body: dict[str, Any], code: str) -> None:
    """A registered schema may ask for less than the record profile; the profile holds all the same."""
    stand.log.register_kind(REVIEW, OLD, ADMIN)
    with pytest.raises(RecordInvalidError) as refused:
        stand.log.append(review(**{"account": "ann", **body}))

    assert refused.value.code == code


def test_there_is_room_for_so_many_kinds(stand: LogStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """One kind too many is refused, also by a process that just started; a newer schema of a known one is not."""
    monkeypatch.setattr(log_kinds, "KINDS_MAX", 2)
    stand.log.register_kind(REVIEW, OLD, ADMIN)
    stand.log.register_kind("vault.opened", OLD, ADMIN)
    for log in (stand.log, stand.reopened()):
        with pytest.raises(KindInvalidError, match="at most 2"):
            log.register_kind("vault.closed", OLD, ADMIN)

    assert stand.log.register_kind(REVIEW, NEW, ADMIN) is not None


def test_writers_of_one_transaction_share_the_room(stand: LogStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of registrations that are written together, by one writer or several, those that are too many are refused."""
    monkeypatch.setattr(log_kinds, "KINDS_MAX", 3)
    stand.log.register_kind(REVIEW, OLD, ADMIN)
    kinds = ("vault.opened", REVIEW, "vault.opened", "vault.closed", "vault.moved")
    events = [registration_by_hand(kind, sha256_hex(OLD), OLD) for kind in kinds]
    both: _Job[None] = _Job(lambda _: Outcome(value=None, events=(events[3], events[4])))
    alone: list[_Job[None]] = [_Job(None, (event,)) for event in events[:3]]
    late: _Job[None] = _Job(None, (registration_by_hand("vault.lost", sha256_hex(OLD), OLD),))
    stand.log._write(lambda: [*alone, both, late])

    assert [len(job.result().receipts) for job in alone] == [1, 1, 1]
    for job in (both, late):
        with pytest.raises(KindInvalidError, match="at most 3"):
            job.result()
    assert stand.log.register_kind("vault.lost", OLD, ADMIN) is not None


def test_a_failed_write_registers_nothing(stand: LogStand) -> None:
    """A registration whose transaction was undone is not in force."""
    event = registration_by_hand(REVIEW, sha256_hex(OLD), OLD)
    stand.log.append(make_event(event_id=event.id))
    with pytest.raises(DuplicateIDError):
        stand.log.append(event)

    with pytest.raises(KindUnknownError):
        stand.log.append(review(account="ann"))
