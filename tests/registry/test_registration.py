"""Registering at the same moment, on both databases: one of two wins, and the log tells of exactly what is there."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockgate.canonical_json import MalformedJSONError
from lockgate.clock import EpochNs
from lockgate.digests import parse_digest
from lockgate.policy.wasm import WasmEngine
from lockgate.registration import MODEL, VERSION
from lockgate.registry.documents import BOM_BYTES_MAX, CARD_BYTES_MAX, check_document
from lockgate.registry.metadata import (
    Model,
    ModelVersion,
    metadata_from,
    read_metadata,
    read_version_document,
    write_model,
    write_version,
)
from lockgate.registry.parsing import parse_model_request, parse_model_update, parse_retirement, parse_version_request
from lockgate.schemas import SchemaError
from support.gates import GateUnderTest, make_gate
from support.models import BOM, CARD, FRAUD, MODELS, RETIRE, VERSIONS, model_request, model_update, version_request
from support.promotions import in_parallel

RACERS = 4
Sent = tuple[str, str, dict[str, Any], dict[str, str]]  # method, path, document, headers


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine, database_url: str) -> GateUnderTest:
    """A gate on either database."""
    return make_gate(tmp_path, engine, database_url=database_url)


def at_once(gate: GateUnderTest, *calls: Sent) -> list[tuple[int, str]]:
    """Make calls at the same moment, each through a client of its own; return status and code of each."""
    app = gate.client.application

    def call(method: str, path: str, document: dict[str, Any], headers: dict[str, str]) -> tuple[int, str]:
        sent = {"Authorization": f"Bearer {gate.tokens['otto']}", "Content-Type": "application/json", **headers}
        response = app.test_client().open(path, method=method, headers=sent, data=orjson.dumps(document))
        return response.status_code, response.json.get("code", "")

    return in_parallel(*(lambda one=one: call(*one) for one in calls))


def test_one_of_many_registers_a_name(gate: GateUnderTest) -> None:
    """The others are told that it is taken; there is one record."""
    calls: list[Sent] = [("POST", MODELS, model_request(owner=f"team-{number}"), {}) for number in range(RACERS)]
    answers = at_once(gate, *calls)

    assert sorted(answers) == [(201, ""), *[(409, "registry.model_taken")] * (RACERS - 1)]
    (record,) = gate.records(MODEL)
    assert gate.call("GET", FRAUD, "otto").json["owner"] == record["body"]["owner"]


def test_one_of_many_registers_a_model_of_a_registry(gate: GateUnderTest) -> None:
    """No model of a registry is registered twice under different names."""
    calls: list[Sent] = [
        ("POST", MODELS, model_request(f"m{number}", registry_model="same"), {}) for number in range(RACERS)
    ]

    assert sorted(at_once(gate, *calls)) == [(201, ""), *[(409, "registry.model_taken")] * (RACERS - 1)]


def test_one_of_many_changes_what_all_saw(gate: GateUnderTest) -> None:
    """Nobody undoes a change that they did not see."""
    gate.call("POST", MODELS, "otto", model_request())
    calls = [("PUT", FRAUD, model_update(owner=f"team-{number}"), {"If-Match": '"1"'}) for number in range(RACERS)]
    answers = at_once(gate, *calls)

    assert sorted(answers) == [(200, ""), *[(412, "registry.model_moved")] * (RACERS - 1)]
    assert gate.call("GET", FRAUD, "otto").json["owner"] == gate.records(MODEL)[-1]["body"]["owner"]


def test_a_call_sent_twice_at_once_is_done_once(gate: GateUnderTest) -> None:
    """Under one idempotency key, whoever is second is told what the first was told."""
    gate.call("POST", MODELS, "otto", model_request())
    answers = at_once(gate, *[("POST", VERSIONS, version_request(), {"Idempotency-Key": "k"})] * RACERS)

    assert answers == [(201, "")] * RACERS
    assert len(gate.records(VERSION)) == 1


def test_a_version_is_registered_before_its_model_retires_or_not_at_all(gate: GateUnderTest) -> None:
    """Whatever comes first, the log's order says so."""
    gate.call("POST", MODELS, "otto", model_request())
    made, retired = at_once(gate, ("POST", VERSIONS, version_request(), {}), ("POST", f"{FRAUD}:retire", RETIRE, {}))
    kinds = [record["kind"] for record in gate.records() if record["kind"].startswith("registry.")][1:]

    assert retired == (200, "")
    assert (made, kinds) in (((201, ""), [VERSION, MODEL]), ((409, "registry.model_retired"), [MODEL]))


def test_lists_are_alike_on_both_databases(gate: GateUnderTest) -> None:
    """By name, each once over all pages; filters narrow the list."""
    names = ["B", "a-b", "a.b", "a_b", "ab", "b", "Z9"]
    for name in names:
        gate.call("POST", MODELS, "otto", model_request(name, owner="x" if name == "ab" else "y"))
    gate.call("POST", f"{MODELS}/b:retire", "otto", RETIRE)
    seen, cursor = [], ""
    while True:
        page = gate.call("GET", f"{MODELS}?limit=3" + (f"&cursor={cursor}" if cursor else ""), "otto").json
        seen += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break

    assert seen == sorted(names)
    assert [item["name"] for item in gate.call("GET", f"{MODELS}?owner=x", "otto").json["items"]] == ["ab"]
    assert [item["name"] for item in gate.call("GET", f"{MODELS}?retired=true", "otto").json["items"]] == ["b"]


def test_what_cannot_be_recorded_is_not_there(gate: GateUnderTest) -> None:
    """Where the log cannot write, no model is registered."""
    with gate.database.begin() as connection:
        connection.exec_driver_sql("UPDATE audit_head SET size = size + 1")
    answer = gate.call("POST", MODELS, "otto", model_request())

    assert answer.status_code == 503
    assert gate.call("GET", FRAUD, "otto").status_code == 404


TEXT = st.text(max_size=20)
NAMED = st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=4, unique_by=lambda one: one[0]).map(
    lambda rows: [{"name": name, "value": value} for name, value in rows]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["schema_version", "name", "registry", "registry_model", "owner", "tier", "purpose", "tags", "card", "bom", "run"]
)


@given(changes=st.dictionaries(FIELDS | st.sampled_from(["version", "digest", "source", "reason"]), JSON, max_size=3))
@settings(deadline=None, max_examples=150)
def test_whatever_is_sent_is_read_or_refused_by_name(changes: dict[str, Any]) -> None:
    """Hostile values in every field: a request is well-formed, or breaks its schema, or is no JSON of ours."""
    readers = (
        (parse_model_request, model_request()),
        (parse_model_update, model_update()),
        (parse_version_request, version_request(run={})),
        (parse_retirement, RETIRE),
    )
    for parse, request in readers:
        try:
            parse(orjson.dumps({**request, **changes}, option=orjson.OPT_PASSTHROUGH_DATETIME))
        except (SchemaError, MalformedJSONError):
            continue


@given(tags=NAMED, purpose=TEXT, values=NAMED)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
def test_documents_are_read_as_they_were_written(
    tags: list[dict[str, str]], purpose: str, values: list[dict[str, str]]
) -> None:
    """What is said of a model and a version comes back unchanged, whatever the words; one value has one spelling."""
    clean = [pair for pair in tags if "\x00" not in pair["name"] + pair["value"]]
    said = {"owner": "a", "tier": "", "purpose": purpose.replace("\x00", ""), "tags": clean, "card": "", "bom": ""}
    metadata = metadata_from(said)
    now = EpochNs(1)
    model = Model(
        name="m",
        registry="builtin",
        registry_model="m",
        metadata=metadata,
        row_version=1,
        created=now,
        changed=now,
        retired=None,
    )
    params = [pair for pair in values if "\x00" not in pair["name"] + pair["value"]]
    request = orjson.dumps(version_request(run={"params": params})) if all(map(_is_clean, params)) else None
    version = None if request is None else parse_version_request(request)

    assert read_metadata(write_model(model)) == metadata
    if version is not None:
        digest = parse_digest("sha256:" + "a" * 64)
        kept = ModelVersion(
            model="m",
            version="1",
            digest=digest,
            source="",
            run=version.run,
            tags=(),
            row_version=1,
            created=now,
            retired=None,
        )
        assert read_version_document(write_version(kept)) == ("", version.run, ())


def _is_clean(pair: dict[str, str]) -> bool:
    return not any(character < " " or character == "\x7f" for character in pair["name"])


@pytest.mark.parametrize(
    ("kind", "document", "code"),
    [
        ("card", b" " * (CARD_BYTES_MAX + 1), "json.too_large"),
        ("bom", b" " * (BOM_BYTES_MAX + 1), "json.too_large"),
        ("bom", b'{"a":' * 40 + b"1" + b"}" * 40, "json.too_large"),
        ("bom", b"[" + b"1," * 600_000 + b"1]", "json.too_large"),
        ("card", b"\xff", "json.malformed"),
        ("card", BOM, "schema.invalid"),
        ("bom", CARD, "schema.invalid"),
    ],
    ids=["long card", "long bom", "deep bom", "wide bom", "no UTF-8", "a bom for a card", "a card for a bom"],
)
def test_a_document_has_limits(kind: Any, document: bytes, code: str) -> None:
    """Length, depth and number of values, each refused by name before anything is made of it."""
    with pytest.raises((SchemaError, MalformedJSONError)) as caught:
        check_document(kind, document)

    assert caught.value.code == code
