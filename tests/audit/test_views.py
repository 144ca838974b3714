"""Views for other tools: OCSF events and comma-separated values. Lossy, harmless, and tied to their records."""

import csv
import io
import stat
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.audit import APP_EVENT, Actor, Event, RecordInvalidError
from lockgate.audit.formats.csv_rows import CSV_HEADER, csv_line, csv_record
from lockgate.audit.formats.merkle import leaf_hash
from lockgate.audit.formats.ocsf import ocsf_event
from lockgate.audit.formats.records import GENESIS_PREV, Place, encode_record, parse_record
from lockgate.audit.kinds import OWN_KINDS
from lockgate.audit.reading.view_export import export_view
from lockgate.audit.types import RecordFilter
from lockgate.canonical_json import parse_json
from lockgate.clock import EpochNs, parse_timestamp
from lockgate.schemas import check_schema
from support.audit_logs import ORIGIN, LogStand, make_event

NAME = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=255)
FORMULA_BEGINNINGS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


@st.composite
def _records(draw: st.DrawFn) -> bytes:
    event = Event(
        id=str(draw(st.uuids())),
        kind=draw(st.sampled_from([*sorted(OWN_KINDS.keys() - {"log.genesis"}), "gate.decision", "identity.token"])),
        actor=Actor(
            type=draw(st.sampled_from(["user", "machine", "system"])),
            id=draw(NAME),
            roles=tuple(draw(st.lists(NAME.map(lambda name: name[:64]), max_size=3))),
        ),
        body={"text": draw(NAME), "list": [1, True, None]},
        subject=draw(st.none() | NAME | NAME.map(lambda name: f"model:{name}"[:255])),
        trace=draw(st.none() | NAME),
        attachments=tuple(draw(st.lists(st.binary(max_size=3), max_size=2))),
    )
    place = Place(
        log=ORIGIN,
        seq=draw(st.integers(1, 2**53 - 1)),
        prev=GENESIS_PREV,
        ts=EpochNs(draw(st.integers(0, 4 * 10**18))),
        instance=draw(NAME),
        boot=str(uuid.UUID(int=1)),
        schema_sha256="0" * 64,
    )
    return encode_record(event, place)


@given(data=_records())
@settings(deadline=None, max_examples=200)
def test_every_record_has_an_ocsf_event(data: bytes) -> None:
    """Whatever a record holds, its event keeps our schema and names the record."""
    record = parse_record(data)
    event = ocsf_event(record, data)
    check_schema("v1/export/ocsf_event", event)

    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert event["category_uid"] == event["class_uid"] // 1000
    assert event["metadata"]["uid"] == record["id"]
    assert event["metadata"].get("correlation_uid") == record.get("trace")
    assert event["unmapped"]["lockgate"]["leaf"] == f"sha256:{leaf_hash(data).hex()}"
    assert event["unmapped"]["lockgate"]["body"] == record["body"]


@given(data=_records())
@settings(deadline=None, max_examples=200)
def test_every_row_is_one_row_without_formulas(data: bytes) -> None:
    """Whatever a record holds, a reader of CSV finds nine cells, and a spreadsheet nothing to calculate."""
    record = parse_record(data)
    (row,) = csv.reader(io.StringIO(csv_line(csv_record(record, data)).decode(), newline=""))

    assert len(row) == len(CSV_HEADER)
    assert (row[0], row[1]) == (str(record["seq"]), leaf_hash(data).hex())
    assert row[4].removeprefix("'") == record["actor"]["id"].removeprefix("'")
    assert not any(cell.lstrip().startswith(FORMULA_BEGINNINGS) for cell in row)
    assert not any(cell.startswith(FORMULA_BEGINNINGS) for cell in row)


@pytest.mark.parametrize(
    "name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\uff1d1", "\u3000=1", '=HYPERLINK("http://x")']
)
def test_formulas_are_marked_as_text(stand: LogStand, name: str) -> None:
    """An apostrophe goes before what a spreadsheet would calculate, also behind blanks."""
    event = Event(id=str(uuid.uuid4()), kind=APP_EVENT, actor=Actor(type="user", id=name), body=make_event().body)
    receipt = stand.log.append(event)

    assert csv_record(parse_record(receipt.record), receipt.record)[4] == f"'{name}"


def test_an_event_is_spelt_out(stand: LogStand) -> None:
    """One event as a whole: an approval of a person about a model."""
    event = make_event()
    receipt = stand.log.append(
        Event(
            id="6f1f1c0a-0000-4000-8000-000000000002",
            kind=event.kind,
            actor=event.actor,
            body=event.body,
            subject="model:fraud-detector",
            trace="t-1",
        )
    )
    record = {**parse_record(receipt.record), "kind": "gate.approval"}

    assert ocsf_event(record, receipt.record) == {
        "class_uid": 6003,
        "class_name": "API Activity",
        "category_uid": 6,
        "activity_id": 1,
        "activity_name": "Create",
        "type_uid": 600301,
        "time": parse_timestamp(record["ts"]) // 1_000_000,
        "severity_id": 1,
        "metadata": {
            "version": "1.6.0",
            "product": {"name": "Lockgate", "vendor_name": "Lockgate"},
            "uid": "6f1f1c0a-0000-4000-8000-000000000002",
            "correlation_uid": "t-1",
            "event_code": "gate.approval",
            "log_name": ORIGIN,
            "sequence": 1,
            "original_time": record["ts"],
        },
        "actor": {"user": {"uid": "ann@example.com", "type_id": 1, "type": "User", "groups": [{"name": "owner"}]}},
        "api": {"operation": "gate.approval", "service": {"name": "lockgate"}},
        "src_endpoint": {"name": "unknown"},
        "dst_endpoint": {"name": "test"},
        "resources": [{"type": "model", "name": "fraud-detector"}],
        "unmapped": {
            "lockgate": {
                "seq": 1,
                "leaf": f"sha256:{leaf_hash(receipt.record).hex()}",
                "body": record["body"],
                "attachments": [],
            }
        },
    }


@pytest.mark.parametrize(
    ("kind", "type_uid"),
    [
        ("gate.decision", 600301),
        ("gate.withdrawal", 600303),
        ("log.prune", 600304),
        ("log.read", 600302),
        ("app.event", 600399),
        ("identity.principal", 300403),
        ("log.key.rotate", 300403),
        ("log.genesis", 300401),
    ],
)
def test_kinds_have_their_class_and_activity(stand: LogStand, kind: str, type_uid: int) -> None:
    """Who may do what is Entity Management; all else is API Activity."""
    stand.fill(1)
    data = stand.log.receipt(1).record

    assert ocsf_event({**parse_record(data), "kind": kind}, data)["type_uid"] == type_uid


def _lines(stand: LogStand, form: Any, wanted: RecordFilter) -> list[bytes]:
    out = stand.folder / f"view.{form}"
    count = export_view(stand.engine, ORIGIN, out, form=form, wanted=wanted)
    lines = out.read_bytes().splitlines()
    assert len(lines) == count + (form == "csv")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    return lines


def test_ocsf_file_holds_the_chosen_records(stand: LogStand) -> None:
    """One JSON object a line, of the records that were asked for."""
    stand.fill(3)
    events = [
        parse_json(line, bytes_max=100_000) for line in _lines(stand, "ocsf", RecordFilter(actor="ann@example.com"))
    ]
    for event in events:
        check_schema("v1/export/ocsf_event", event)

    assert [event["metadata"]["sequence"] for event in events] == [1, 2, 3]


def test_csv_file_has_a_header(stand: LogStand) -> None:
    """The columns are named in the first line; the body is canonical JSON."""
    stand.fill(1)
    rows = list(csv.reader(line.decode() for line in _lines(stand, "csv", RecordFilter())))

    assert tuple(rows[0]) == CSV_HEADER
    assert [row[0] for row in rows[1:]] == ["0", "1"]
    assert parse_json(rows[2][-1].encode(), bytes_max=1000) == make_event().body


def test_no_view_is_made_of_what_is_no_record(stand: LogStand) -> None:
    """A row that is no record ends the export, and nothing of it is left."""
    stand.fill(2)
    stand.edit("UPDATE audit_entry SET body = ? WHERE seq = 1", b"{}")
    with pytest.raises(RecordInvalidError):
        _lines(stand, "csv", RecordFilter())

    assert not (stand.folder / "view.csv").exists()
