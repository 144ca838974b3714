"""Schemas are read as their standard means them, and messages do not repeat what was sent."""

import pytest

from lockgate.schemas import SchemaError, check_schema, load_schema, schema_names, schema_sha256

WITHDRAWAL = "v1/api/withdrawal_request"
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


def test_every_schema_has_its_place_as_its_name() -> None:
    """The `$id` is where the file lies; nobody can load one for another."""
    for name in schema_names():
        assert load_schema(name)["$id"] == f"https://lockgate.dev/schemas/{name}.json"
        assert len(schema_sha256(name)) == 64
