"""Whatever an outsider sends: a clear problem, the right status, nothing written."""

import base64
import io
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lockgate.promotion import REQUEST_BYTES_MAX
from lockgate.schemas import check_schema
from support.gates import GateUnderTest


def post(gate: GateUnderTest, body: bytes, content_type: str = "application/json", **headers: str) -> Any:  # JSON
    """Send bytes as a promotion request."""
    sent = {"Authorization": f"Bearer {gate.tokens['rita']}", "Content-Type": content_type, **headers}
    return gate.client.post("/v1/promotions", data=body, headers=sent)


def valid(gate: GateUnderTest) -> bytes:
    """Write a good request."""
    return orjson.dumps(gate.request_document())


Spoil = Callable[[dict[str, Any]], object]
MALFORMED: dict[str, bytes] = {
    "blank": b" ",
    "no JSON": b"model=fraud",
    "cut off": b'{"schema_version":1',
    "trailing": b"{} {}",
    "duplicate key": b'{"schema_version":1,"schema_version":1}',
    "escaped duplicate key": b'{"model":"a","mod\\u0065l":"b"}',
    "NUL": b'{"model":"a\\u0000b"}',
    "raw NUL": b'{"model":"a\x00b"}',
    "not UTF-8": b'{"model":"\xff"}',
    "UTF-16": '{"model":"a"}'.encode("utf-16"),
    "byte-order mark": b"\xef\xbb\xbf{}",
    "lone surrogate": b'{"model":"\\ud800"}',
    "NaN": b'{"schema_version":NaN}',
    "Infinity": b'{"schema_version":-Infinity}',
    "comment": b'{/* */"schema_version":1}',
    "huge number": b'{"schema_version":' + b"1" * 5000 + b"}",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_not_one_unambiguous_json_value_is_400(gate: GateUnderTest, name: str) -> None:
    """Two readers could understand it differently, or not at all: nobody gets to try."""
    response = post(gate, MALFORMED[name])

    assert response.json["code"] in {"json.malformed", "schema.invalid"}
    assert response.status_code in {400, 422}
    assert len(gate.records()) == 1


@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
@pytest.mark.parametrize("depth", [9, 1_000, 100_000])
def test_deep_nesting_is_413_or_400(gate: GateUnderTest, bracket: bytes, depth: int) -> None:
    """Nesting ends at the named depth, long before any stack does."""
    closing = b"]" if bracket == b"[" else b"}"
    response = post(gate, bracket * depth + b"1" + closing * depth)

    assert response.status_code in {400, 413}
    assert response.json["code"] in {"json.too_large", "json.malformed"}


def test_a_body_over_the_limit_is_413(gate: GateUnderTest) -> None:
    """The limit is the named one."""
    response = post(gate, b" " * (REQUEST_BYTES_MAX + 1))

    assert response.status_code == 413
    assert response.json["code"] in {"http.too_large", "json.too_large"}


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_another_content_type_is_415(gate: GateUnderTest, content_type: str) -> None:
    """The body must be declared as what it is."""
    response = post(gate, valid(gate), content_type)

    assert (response.status_code, response.json["code"]) == (415, "http.media_type")


def test_a_compressed_body_is_415(gate: GateUnderTest) -> None:
    """A compressed body would have a second, larger size."""
    response = post(gate, valid(gate), **{"Content-Encoding": "gzip"})

    assert (response.status_code, response.json["code"]) == (415, "http.media_type")


def test_a_body_of_unknown_length_is_411(gate: GateUnderTest) -> None:
    """A chunked body could only be refused after it was read; it is not read."""
    headers = {"Authorization": f"Bearer {gate.tokens['rita']}", "Transfer-Encoding": "chunked"}
    response = gate.client.post(
        "/v1/promotions",
        input_stream=io.BytesIO(valid(gate)),
        content_type="application/json",
        headers=headers,
        environ_overrides={"CONTENT_LENGTH": "", "wsgi.input_terminated": True},
    )

    assert (response.status_code, response.json["code"]) == (411, "http.length_required")


SPOILED: dict[str, tuple[Spoil, str]] = {
    "unknown field": (lambda body: body.update(now="2020-01-01"), ""),
    "missing digest": (lambda body: body.pop("digest"), ""),
    "wrong version": (lambda body: body.update(schema_version=2), "/schema_version"),
    "true is not one": (lambda body: body.update(schema_version=True), "/schema_version"),
    "model is a number": (lambda body: body.update(model=5), "/model"),
    "model with a line break": (lambda body: body.update(model="a\n"), "/model"),
    "empty model": (lambda body: body.update(model=""), "/model"),
    "long model": (lambda body: body.update(model="m" * 129), "/model"),
    "path as model": (lambda body: body.update(model="../../etc"), "/model"),
    "upper-case digest": (lambda body: body.update(digest="sha256:" + "A" * 64), "/digest"),
    "short digest": (lambda body: body.update(digest="sha256:" + "a" * 63), "/digest"),
    "unknown kind": (lambda body: body.update(kind="yolo"), "/kind"),
    "contributors is null": (lambda body: body.update(contributors=None), "/contributors"),
    "unknown contributor role": (
        lambda body: body.update(contributors=[{"subject": "a", "role": "cat"}]),
        "/contributors/0/role",
    ),
    "too much evidence": (lambda body: body.update(evidence=body["evidence"] * 17), "/evidence"),
    "bundle is not base64": (lambda body: body["evidence"][0].update(bundle="a"), "/evidence/0/bundle"),
    "bundle in another alphabet": (lambda body: body["evidence"][0].update(bundle="_-8="), "/evidence/0/bundle"),
    "long reason": (lambda body: body.update(reason="x" * 1001), "/reason"),
}


@pytest.mark.parametrize("name", SPOILED)
def test_what_breaks_the_schema_is_422_and_says_where(gate: GateUnderTest, name: str) -> None:
    """The problem points at the field; nothing is recorded."""
    spoil, pointer = SPOILED[name]
    document = gate.request_document()
    spoil(document)
    response = gate.call("POST", "/v1/promotions", "rita", document)

    assert (response.status_code, response.json["code"]) == (422, "schema.invalid")
    assert response.json["pointer"] == pointer
    assert len(gate.records()) == 1


def test_a_problem_never_repeats_what_was_sent(gate: GateUnderTest) -> None:
    """Hostile text does not come back in a message."""
    response = gate.call("POST", "/v1/promotions", "rita", gate.request_document(model="<script>alert(1)</script>"))

    assert "script" not in response.text
    check_schema("v1/api/problem", response.json)
    assert response.mimetype == "application/problem+json"


@pytest.mark.parametrize("key", ["", "k" * 256, "k\u00e9y", "k\ty"])
def test_an_unusable_idempotency_key_is_400(gate: GateUnderTest, key: str) -> None:
    """A key that cannot be kept is refused before anything is decided."""
    response = post(gate, valid(gate), **{"Idempotency-Key": key})

    assert (response.status_code, response.json["code"]) == (400, "idempotency.key_invalid")
    assert len(gate.records()) == 1


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=101",
        "limit=-1",
        "limit=1e1",
        "limit=01",
        "limit=",
        "limit=1&limit=2",
        "state=done",
        "cursor=x",
        "cursor=0",
        "statee=pending",
        "model=a%00",
        "limit=99999999999999999999",
    ],
)
def test_an_unusable_parameter_is_400(gate: GateUnderTest, query: str) -> None:
    """A misspelt filter must not silently match everything."""
    response = gate.call("GET", f"/v1/promotions?{query}", "rita")

    assert (response.status_code, response.json["code"]) == (400, "http.parameter")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/audit/records/999", 404),
        ("/v1/audit/records/99999999999999999999999", 404),
        ("/v1/audit/proofs/inclusion?seq=1&size=1", 404),
        ("/v1/audit/proofs/inclusion?seq=0&size=99", 404),
        ("/v1/audit/proofs/consistency?old=0&new=1", 404),
        ("/v1/audit/proofs/consistency?old=2&new=1", 404),
        ("/v1/audit/proofs/inclusion?seq=0", 400),
        ("/v1/audit/records?after=x", 400),
        ("/v1/audit/records?kind=DROP", 400),
    ],
)
def test_asking_the_log_for_what_is_not_there(gate: GateUnderTest, path: str, status: int) -> None:
    """Out of range is 404, nonsense is 400, and neither is a fault of the server."""
    assert gate.call("GET", path, "aude").status_code == status


def test_bundles_of_any_kind_are_refusals_not_failures(gate: GateUnderTest) -> None:
    """A bundle is opaque to the API: junk inside it is an ordinary deny with a refusal."""
    for bundle in (b"", b"{}", b"[]", b"null", b"\xff", b'{"a":1,"a":2}', b"[" * 10_000, b"x" * 1_000_000):
        document = gate.request_document(bundle)
        document["evidence"] = [{"bundle": base64.b64encode(bundle).decode()}]
        response = gate.call("POST", "/v1/promotions", "rita", document)

        assert response.status_code == 201
        assert response.json["decision"]["verdict"] == "deny"
        assert len(response.json["decision"]["evidence"]["refusals"]) == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_request_document_whatever_fails_or_opens_the_gate(gate: GateUnderTest, data: st.DataObject) -> None:
    """Random values in random fields: a problem of 4xx or a recorded decision, never a 5xx, never an allow."""
    document = gate.request_document()
    for name in data.draw(st.lists(st.sampled_from(sorted(document)), max_size=3)):
        document[name] = data.draw(json_values)
    try:
        body = orjson.dumps(document)
    except TypeError:  # an integer beyond 64 bits
        return
    response = post(gate, body)

    assert response.status_code in {201, 202, 400, 413, 422}
    assert response.headers.get("Lockgate-Verdict") != "allow"
    if response.status_code >= 400:
        check_schema("v1/api/problem", response.json)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_bytes_whatever_make_the_server_fail(gate: GateUnderTest, body: bytes) -> None:
    """Random bytes are a 4xx with a problem."""
    response = post(gate, body)

    assert 400 <= response.status_code < 500
    check_schema("v1/api/problem", response.json)
