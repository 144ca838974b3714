"""The quick way of reading and writing canonical JSON decides as the slow way does, whatever comes.

The slow way is written out here once more, in its plainest form: it is the definition.
"""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate import canonical_json
from lockgate.canonical_json import (
    INT64_MAX,
    SAFE_INTEGER_MAX,
    CanonicalJSONError,
    MalformedJSONError,
    canonicalize,
    parse_canonical,
    parse_json,
)

DEPTH_MAX = 4
KEYS = st.from_regex(r"[a-z][a-z0-9_]{0,4}", fullmatch=True) | st.sampled_from(["", "A", "1", "_a", "a-b", "é", "a\0"])
TEXTS = st.text(max_size=8) | st.sampled_from(
    ["\0", "\\u0000", '"', '\\":1.5,', "[[[[[[[[", ":1e5", ',{"A":', "\ud800", "\u2028"]
)
NUMBERS = st.integers() | st.floats() | st.sampled_from([2**53, -(2**53), 2**64 - 1, 2**64, -0.0, 1e16, 10**30])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def _in_profile(value: Any, depth: int = 0, integer_max: int = SAFE_INTEGER_MAX) -> bool:
    match value:
        case None | bool():
            return True
        case str():
            return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
        case int():
            return abs(value) <= integer_max
        case list():
            return depth < DEPTH_MAX and all(_in_profile(item, depth + 1, integer_max) for item in value)
        case dict():
            keys_fit = all(canonical_json._KEY.fullmatch(key) for key in value)
            return depth < DEPTH_MAX and keys_fit and _in_profile([*value.values()], depth, integer_max)
        case _:
            return False


def _outcome(data: bytes) -> Any:
    try:
        return parse_canonical(data, depth_max=DEPTH_MAX)
    except (CanonicalJSONError, MalformedJSONError) as exc:
        return type(exc)


def _defined_outcome(data: bytes) -> Any:
    try:
        value = parse_json(data, bytes_max=canonical_json.RECORD_BYTES_MAX, depth_max=DEPTH_MAX)
    except MalformedJSONError as exc:
        return type(exc)
    return value if _in_profile(value) and rfc8785.dumps(value) == data else CanonicalJSONError


@settings(deadline=None, max_examples=600)
@given(VALUES)
def test_writing_accepts_the_profile_and_nothing_else(value: Any) -> None:
    """Any JSON value: what the definition has in the profile is written as RFC 8785 says, the rest is refused."""
    try:
        written = canonicalize(value, depth_max=DEPTH_MAX)
    except CanonicalJSONError:
        written = None

    assert written == (rfc8785.dumps(value) if _in_profile(value) else None)


@settings(deadline=None, max_examples=600)
@given(VALUES, st.booleans(), st.booleans())
def test_reading_any_value_in_any_spelling(value: Any, ascii_only: bool, ordered: bool) -> None:  # noqa: FBT001 - Hypothesis draws them
    """Any JSON value as Python spells it: read, or refused by the same error, as the definition has it."""
    text = json.dumps(value, ensure_ascii=ascii_only, sort_keys=ordered, separators=(",", ":"))
    data = text.encode(errors="surrogatepass")

    assert _outcome(data) == _defined_outcome(data)


@settings(deadline=None, max_examples=1200)
@given(VALUES.filter(_in_profile), st.data())
def test_reading_mutated_canonical_bytes(value: Any, data: st.DataObject) -> None:
    """A canonical text with a piece cut out, doubled or replaced is read exactly when it is canonical again."""
    text = rfc8785.dumps(value)
    begin = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(begin, min(len(text), begin + 6)))
    piece = data.draw(
        st.sampled_from([b"", b"1.5", b"1e9", b"9007199254740992", b'"A":1,', b'"\\u0000"', b"[[[[[]]]]]", b" ", b"\\"])
        | st.binary(max_size=3)
        | st.just(text[begin:end] * 2)
    )
    mutated = text[:begin] + piece + text[end:]

    assert _outcome(mutated) == _defined_outcome(mutated)


def test_no_more_keys_are_remembered_than_a_number() -> None:
    """A thousand foreign keys a text cannot fill the memory, and are still read once it is full."""
    for batch in range(6):
        value = {f"k{batch}_{number}": number for number in range(1000)}
        assert parse_canonical(canonicalize(value)) == value

    assert len(canonical_json._known_keys) <= canonical_json._KNOWN_KEYS_MAX


class _Text(str):
    __slots__ = ()


@pytest.mark.parametrize("value", [{_Text("event"): 1}, [_Text("x")], {"event": _Text("x")}, {"event": 1.0}])
def test_look_alikes_are_refused(value: object) -> None:
    """A key or a string of a foreign type is refused, also where an equal one was seen before."""
    assert canonicalize({"event": "x"})
    with pytest.raises(CanonicalJSONError) as caught:
        canonicalize(value)

    assert caught.value.code == "json.not_canonical"


@pytest.mark.parametrize("levels", [8, 9, 100, 255, 2000])
def test_depth_is_counted_alike(levels: int) -> None:
    """Eight levels are read and written; one more, or so many that a library gives up, are refused."""
    data = b"[" * levels + b"]" * levels
    if levels == 8:
        assert canonicalize(parse_canonical(data)) == data
    else:
        with pytest.raises(MalformedJSONError):
            parse_canonical(data)


def test_range_of_integers_is_the_callers() -> None:
    """A caller of 64-bit integers gets them and not one more; all others get the safe ones."""
    for limit, data in ((SAFE_INTEGER_MAX, b"9007199254740991"), (INT64_MAX, b"9223372036854775807")):
        assert parse_canonical(data, integer_max=limit) == limit
        with pytest.raises(CanonicalJSONError):
            parse_canonical(b"%d" % (limit + 1), integer_max=limit)
