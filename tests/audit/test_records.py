"""The record: the hand-written check and the schema say the same."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.audit.errors import RecordInvalidError
from lockgate.audit.formats.records import parse_record
from lockgate.canonical_json import RECORD_BYTES_MAX, canonicalize, parse_json
from lockgate.schemas import SchemaError, check_schema

EXAMPLES = Path(__file__).parents[2] / "schemas/examples/v1/audit/record"
VALID: dict[str, Any] = parse_json((EXAMPLES / "valid/with_attachments.json").read_bytes(), bytes_max=RECORD_BYTES_MAX)
WRONG: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**53,
    "",
    "x" * 300,
    "A",
    [],
    {},
    ["x" * 65],
    "2026-02-30T00:00:00.000000Z",
)
LOOSER_IN_SCHEMA = {("ts", "2026-02-30T00:00:00.000000Z"), ("seq", 0)}  # a real date; genesis at 0: beyond patterns


def _agree(record: dict[str, Any]) -> bool:
    try:
        check_schema("v1/audit/record", record)
        by_schema = True
    except SchemaError:
        by_schema = False
    try:
        parse_record(canonicalize(record))
        by_hand = True
    except RecordInvalidError:
        by_hand = False
    return by_schema == by_hand


@pytest.mark.parametrize("field", [*VALID, "unknown"])
def test_hand_check_agrees_with_schema(field: str) -> None:
    """A field missing, unknown or of a wrong value is refused by the reader exactly when the schema refuses it."""
    assert _agree(VALID)
    assert _agree({name: value for name, value in VALID.items() if name != field})
    for value in WRONG:
        if value != 2**53 and (field, value) not in [*LOOSER_IN_SCHEMA]:
            assert _agree({**VALID, field: value}), value


@pytest.mark.parametrize("field", ["type", "id", "roles", "unknown"])
def test_hand_check_of_actor_agrees_with_schema(field: str) -> None:
    """The same, for the actor."""
    actor = VALID["actor"]
    assert _agree({**VALID, "actor": {name: value for name, value in actor.items() if name != field}})
    for value in (*WRONG, ["a"] * 33, [""], [1]):
        if value != 2**53:
            assert _agree({**VALID, "actor": {**actor, field: value}}), value


@pytest.mark.parametrize("name", sorted(path.stem for path in (EXAMPLES / "invalid").glob("*.json")))
def test_invalid_example_is_refused(name: str) -> None:
    """What the schema's examples call invalid, the reader refuses."""
    document = parse_json((EXAMPLES / f"invalid/{name}.json").read_bytes(), bytes_max=RECORD_BYTES_MAX)
    with pytest.raises(RecordInvalidError):
        parse_record(canonicalize(document))


@pytest.mark.parametrize(
    "change",
    [{"seq": 0}, {"kind": "log.genesis"}, {"ts": "2026-02-30T00:00:00.000000Z"}, {"v": True}],
)
def test_what_a_schema_cannot_say_is_refused(change: dict[str, Any]) -> None:
    """Genesis stands at 0 and nowhere else, dates exist, and `true` is not 1."""
    with pytest.raises(RecordInvalidError):
        parse_record(canonicalize({**VALID, **change}))


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=200))
def test_hostile_bytes_raise_only_our_error(data: bytes) -> None:
    """Whatever the bytes, they are no record, and say so by the one error."""
    with pytest.raises(RecordInvalidError):
        parse_record(data)


@pytest.mark.parametrize(
    "names", [["sha256:" + "b" * 64, "sha256:" + "a" * 64], ["sha256:" + "a" * 64] * 2, ["sha256:" + "a" * 64] * 65]
)
def test_attachments_have_one_spelling(names: list[str]) -> None:
    """Digests that are out of order, twice or too many are refused."""
    with pytest.raises(RecordInvalidError) as caught:
        parse_record(canonicalize({**VALID, "attachments": names}))

    assert caught.value.code == "audit.record_invalid"
