"""The record: the hand-written check and the schema say the same."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.audit.errors import RecordInvalidError
from lockgate.audit.formats import records
from lockgate.audit.formats.records import ZERO_PREV, parse_record
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


STRANGE = st.sampled_from(
    [*WRONG, 1, True, "log.genesis", "2026-11-23T24:00:00.000000Z", "2026-11-23T07:15:60.000000Z", ["a"], {"owner": 1}]
)


@settings(deadline=None, max_examples=400)
@given(
    st.dictionaries(
        st.sampled_from([*VALID, "subject", "trace", "unknown"]), STRANGE | st.text(max_size=3), max_size=2
    ),
    st.dictionaries(st.sampled_from([*VALID["actor"], "unknown"]), STRANGE, max_size=1),
    st.booleans(),
)
def test_remembered_neighbours_change_no_answer(
    changes: dict[str, Any],
    actor_changes: dict[str, Any],
    cold: bool,  # noqa: FBT001 - Hypothesis draws it
) -> None:
    """Whatever was read before, a record is accepted exactly when the check field by field accepts it."""
    if cold:
        records._known_sources.clear()
        records._known_actors.clear()
        records._known_dates.clear()
    parse_record(canonicalize(VALID))
    record = {**VALID, "actor": {**VALID["actor"], **actor_changes}, **changes}
    try:
        records._check_each_field(record)
        wanted: str | None = None
    except RecordInvalidError as exc:
        wanted = str(exc)
    try:
        records._check_envelope(record)
        got: str | None = None
    except RecordInvalidError as exc:
        got = str(exc)

    assert got == wanted


def test_genesis_is_not_remembered_as_a_neighbour() -> None:
    """After a genesis record was read, one of its kind at another place is refused all the same."""
    genesis = {**VALID, "seq": 0, "kind": "log.genesis", "prev": "sha256:" + "0" * 64}
    parse_record(canonicalize(genesis))
    with pytest.raises(RecordInvalidError) as caught:
        parse_record(canonicalize({**genesis, "seq": 1}))

    assert caught.value.code == "audit.record_invalid"


def test_no_more_neighbours_are_remembered_than_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of a million people cannot fill the memory."""
    monkeypatch.setattr(records, "_REMEMBERED_MAX", 10)
    for number in range(50):
        actor = {**VALID["actor"], "id": f"person {number}"}
        parse_record(canonicalize({**VALID, "actor": actor, "inst": f"gate-{number % 7}"}))

    assert len(records._known_sources) + len(records._known_actors) + len(records._known_dates) <= 12


@pytest.mark.parametrize("wrong", [*(value for value in WRONG if value != 2**53), ZERO_PREV.upper(), f" {ZERO_PREV}"])
@pytest.mark.parametrize("expected", [ZERO_PREV, VALID["prev"], f"sha256:{'ef' * 32}"])
def test_who_expects_a_prev_accepts_no_other_form(wrong: object, expected: str) -> None:
    """A `prev` that is not of the form is refused, whatever the caller expects."""
    parse_record(canonicalize(VALID))
    assert parse_record(canonicalize(VALID), expected) == VALID
    with pytest.raises(RecordInvalidError, match="prev"):
        parse_record(canonicalize({**VALID, "prev": wrong}), expected)
