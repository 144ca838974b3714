"""Schemas are read as their standard means them, and messages do not repeat what was sent."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.schemas import (
    SchemaError,
    _fast_validator,
    _validator,
    check_schema,
    load_schema,
    schema_names,
    schema_sha256,
)

WITHDRAWAL = "v1/api/withdrawal_request"
APPROVALS = "v1/api/approval_request"
FREEZES = "v1/policy/freezes"
FREEZE = {
    "id": "year-end",
    "kinds": ["promote"],
    "environments": ["production"],
    "models": ["*"],
    "from_ns": 10**18,
    "until_ns": 10**18 + 1,
    "reason": "Year-end freeze.",
}
APPROVAL = {
    "schema_version": 1,
    "verdict": "approve",
    "role": "risk",
    "digest": "sha256:" + "a" * 64,
    "kind": "promote",
    "from": "staging",
    "to": "production",
    "evidence_digest": "sha256:" + "b" * 64,
    "policy_revision": "sha256:" + "c" * 64,
}


@pytest.mark.parametrize("field", ["role", "digest", "from", "evidence_digest"])
def test_a_pattern_ends_at_the_very_end(field: str) -> None:
    """A line break behind a good value makes it a bad one, as ECMA 262 has it and Python's `$` has not."""
    check_schema("v1/api/approval_request", APPROVAL)
    with pytest.raises(SchemaError) as caught:
        check_schema("v1/api/approval_request", {**APPROVAL, field: APPROVAL[field] + "\n"})  # type: ignore[operator]

    assert caught.value.pointer == f"/{field}"


def test_a_missing_field_is_named() -> None:
    """The message names what is wanted."""
    with pytest.raises(SchemaError, match="want the field 'schema_version'") as caught:
        check_schema(WITHDRAWAL, {})

    assert caught.value.pointer == ""
    assert caught.value.code == "schema.invalid"


def test_an_unknown_field_is_named_but_not_at_length() -> None:
    """A stranger's field name is cut short."""
    with pytest.raises(SchemaError, match="want only known fields") as caught:
        check_schema(WITHDRAWAL, {"schema_version": 1, "x" * 1000: 1})

    assert len(str(caught.value)) < 100


def test_a_value_is_never_repeated() -> None:
    """What was sent is not part of the message."""
    with pytest.raises(SchemaError) as caught:
        check_schema(WITHDRAWAL, {"schema_version": 1, "reason": "s3cret" * 1000})

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "document", "message"),
    [
        (WITHDRAWAL, [], "want an object, got an array"),
        (WITHDRAWAL, {"schema_version": 2}, "want 1"),
        (WITHDRAWAL, {"schema_version": 1, "reason": None}, "want a string, got null"),
        (WITHDRAWAL, {"schema_version": 1, "reason": True}, "want a string, got true or false"),
        (WITHDRAWAL, {"schema_version": 1, "reason": "x" * 1001}, "want at most 1000 characters, got 1001"),
        (APPROVALS, {**APPROVAL, "verdict": "maybe"}, 'want one of "approve", "reject"'),
        (APPROVALS, {**APPROVAL, "role": "Risk"}, "want text of the form ^[a-z][a-z0-9-]{0,63}$"),
        (FREEZES, {"schema_version": 1, "freezes": [{**FREEZE, "reason": ""}]}, "want at least 1 characters, got 0"),
        (FREEZES, {"schema_version": 1, "freezes": [{**FREEZE, "models": []}]}, "want at least 1 items, got 0"),
        (FREEZES, {"schema_version": 1, "freezes": [{**FREEZE, "kinds": ["promote"] * 2}]}, "want each item once"),
        (
            FREEZES,
            {"schema_version": 1, "freezes": [{**FREEZE, "environments": [f"e{number}" for number in range(33)]}]},
            "want at most 32 items, got 33",
        ),
        (FREEZES, {"schema_version": 1, "freezes": [{**FREEZE, "from_ns": 1}]}, "want at least 1000000000000000000"),
        (FREEZES, {"schema_version": 1, "freezes": [{**FREEZE, "from_ns": 2**63}]}, "want at most 9000000000000000000"),
    ],
)
def test_a_breach_is_told_in_plain_words(name: str, document: object, message: str) -> None:
    """A message says what is wanted in words that need no knowledge of JSON Schema."""
    with pytest.raises(SchemaError) as caught:
        check_schema(name, document)

    assert str(caught.value) == message


def test_every_schema_has_its_place_as_its_name() -> None:
    """The `$id` is where the file lies; nobody can load one for another."""
    for name in schema_names():
        assert load_schema(name)["$id"] == f"https://lockgate.dev/schemas/{name}.json"
        assert len(schema_sha256(name)) == 64


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.sampled_from([0.0, 1.0, -0.5, 1e300]),
    st.text(max_size=5),
    st.sampled_from(["a\n", "sha256:" + "a" * 64 + "\n", "2026-01-01T00:00:00.000000Z\n", "é", "\U0001f600" * 3, "١"]),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _places(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _places(child, (*path, index))


def _changed(document: Any, path: tuple[Any, ...], scalar: Any, how: str) -> Any:
    if not path:
        return scalar
    copy = json.loads(json.dumps(document))  # noqa: TID251 - a deep copy
    holder = copy
    for step in path[:-1]:
        holder = holder[step]
    if how == "delete":
        del holder[path[-1]]
    elif how == "append" and isinstance(holder[path[-1]], str):
        holder[path[-1]] += "\n"
    elif how == "add" and isinstance(holder, dict):
        holder["added"] = scalar
    elif how == "add":
        holder.append(holder[path[-1]])
    else:
        holder[path[-1]] = scalar
    return copy


@pytest.mark.parametrize("name", sorted(schema_names()))
@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_two_validators_agree(name: str, data: st.DataObject) -> None:
    """The quick validator and the one that explains call the same documents valid, whatever is done to an example."""
    examples = sorted((Path(__file__).parents[1] / "schemas" / "examples" / name / "valid").glob("*.json"))
    document: Any = json.loads(data.draw(st.sampled_from(examples)).read_bytes())  # noqa: TID251 - our own files
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(_places(document), key=str)))
        how = data.draw(st.sampled_from(["delete", "append", "add", "replace"]))
        document = _changed(document, path, data.draw(_SCALARS), how)

    assert _fast_validator(name).is_valid(document) == _validator(name).is_valid(document)
