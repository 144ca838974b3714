"""Canonical JSON against RFC 8785's reference vectors and another implementation."""

# ruff: noqa: TID251 - the vectors are other people's JSON, outside the record profile
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.canonical_json import (
    INT64_MAX,
    SAFE_INTEGER_MAX,
    CanonicalJSONError,
    JSONTooLargeError,
    MalformedJSONError,
    canonicalize,
    parse_canonical,
    parse_json,
)
from support.data_of_others import DATA, cases_or_skip

VECTORS = DATA / "jcs"
KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-SAFE_INTEGER_MAX, SAFE_INTEGER_MAX) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


@settings(deadline=None, max_examples=500)
@given(VALUES)
def test_same_bytes_as_rfc8785(value: Any) -> None:
    """On the record profile the fast writer and the reference writer give the same bytes, and they read back."""
    data = canonicalize(value, depth_max=64)

    assert data == rfc8785.dumps(value)
    assert parse_canonical(data, depth_max=64) == value


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode(errors="surrogatepass")))
def test_hostile_bytes_are_refused_or_canonical(data: bytes) -> None:
    """Whatever the bytes, reading ends in one of two errors or in a value whose one spelling they are."""
    try:
        value = parse_canonical(data)
    except (MalformedJSONError, CanonicalJSONError):
        return
    assert canonicalize(value) == data


@pytest.mark.parametrize(
    "value",
    [1.5, float("nan"), 2**53, -(2**53), "\0", "\ud800", {"A": 1}, {"": 1}, {"é": 1}, {1: 1}, (1,), b"x", {"a": {1}}],
)
def test_outside_the_profile_is_refused(value: object) -> None:
    """Floats, large integers, lone surrogates, U+0000, foreign keys and foreign types have no canonical form."""
    with pytest.raises(CanonicalJSONError):
        canonicalize(value)


def test_limits_are_inclusive() -> None:
    """The largest integer, the deepest nesting and the longest text are still accepted, the next are not."""
    assert canonicalize(INT64_MAX, integer_max=INT64_MAX) == b"9223372036854775807"
    assert canonicalize([[1]], depth_max=2) == b"[[1]]"
    assert canonicalize("abc", bytes_max=5) == b'"abc"'
    for value, limits in (([[1]], {"depth_max": 1}), ("abc", {"bytes_max": 4}), (2, {"integer_max": 1})):
        with pytest.raises(CanonicalJSONError):
            canonicalize(value, **limits)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b"NaN",
        b"Infinity",
        b"\xff",
        b"\xef\xbb\xbf1",
        b'"\\ud800"',
        b'"\\u0000"',
        b'{"\\u0000":1}',
        b"1 2",
        b"01",
        b"'a'",
    ],
)
def test_ambiguous_json_is_malformed(data: bytes) -> None:
    """What two readers could understand differently is not JSON here."""
    with pytest.raises(MalformedJSONError):
        parse_json(data, bytes_max=100)


@pytest.mark.parametrize("data", [b" " * 101, b"[" * 70 + b"]" * 70])
def test_too_large_json_is_told_apart(data: bytes) -> None:
    """Too long and too deep have an error of their own."""
    with pytest.raises(JSONTooLargeError):
        parse_json(data, bytes_max=len(data) - 1 if data[:1] == b" " else 1000)


def test_values_and_keys_are_counted() -> None:
    """The most values are still read, one more is not."""
    assert parse_json(b'{"a":[1,2]}', bytes_max=100, nodes_max=5) == {"a": [1, 2]}
    with pytest.raises(JSONTooLargeError) as caught:
        parse_json(b'{"a":[1,2]}', bytes_max=100, nodes_max=4)

    assert caught.value.code == "json.too_large"


@pytest.mark.parametrize("data", [b'{"b":1,"a":2}', b'{"a": 1}', b'"\\u0041"', b'"\\/"', b"1\n", b"-0", b"[1 ]"])
def test_other_spelling_is_not_canonical(data: bytes) -> None:
    """One value has one spelling."""
    with pytest.raises(CanonicalJSONError):
        parse_canonical(data)


@pytest.mark.parametrize("name", cases_or_skip("jcs", sorted(path.stem for path in (VECTORS / "input").glob("*.json"))))
def test_reference_vector(name: str) -> None:
    """The oracle reproduces the vector; ours does too, or refuses what lies outside its profile."""
    value = json.loads((VECTORS / f"input/{name}.json").read_bytes())
    want = (VECTORS / f"output/{name}.json").read_bytes()

    assert rfc8785.dumps(value) == want == bytes.fromhex((VECTORS / f"outhex/{name}.txt").read_text())
    try:
        assert canonicalize(value) == want
    except CanonicalJSONError:
        assert name in {"arrays", "french", "structures", "unicode", "values", "weird"}
