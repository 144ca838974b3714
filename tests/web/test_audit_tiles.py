"""The log in tiles over HTTP (C2SP tlog-tiles): every record proved by a client of the specification; wrong paths."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.audit import load_key_file, open_checkpoint
from lockgate.policy.wasm import WasmEngine
from support.gates import GateUnderTest, make_gate
from support.large_logs import cut_front, lengthen
from support.tile_reader import Fetch, TileReader


def over_http(gate: GateUnderTest) -> Fetch:
    """Fetch below the prefix `/audit`, as an auditor."""

    def fetch(path: str) -> bytes:
        response = gate.call("GET", f"/audit/{path}", "aude")
        assert response.status_code == 200, response.text
        data: bytes = response.data
        return data

    return fetch


def _lengthen(gate: GateUnderTest, size: int) -> None:
    lengthen(gate.database, load_key_file(gate.folder / "log.key"), size)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory, engine: WasmEngine) -> GateUnderTest:
    """A gate whose log holds five records, for tests that leave it as it is."""
    gate = make_gate(tmp_path_factory.mktemp("short"), engine)
    _lengthen(gate, 5)
    return gate


@pytest.mark.parametrize("size", [1, 255, 256, 257, 511])
def test_every_record_is_proved_over_http(gate: GateUnderTest, size: int) -> None:
    """Checkpoint, tiles and entries together prove every record, at sizes around a tile's width."""
    if size > 1:
        _lengthen(gate, size)
    reader = TileReader(over_http(gate))
    open_checkpoint(over_http(gate)("checkpoint"), [gate.key])
    reader.check_upper_tiles()

    assert reader.check_all() == size


def test_a_long_log_is_proved_over_http(gate: GateUnderTest) -> None:
    """A log of 5,000 records: full tiles and partial ones of two levels."""
    _lengthen(gate, 5000)
    reader = TileReader(over_http(gate))
    reader.check_upper_tiles()

    assert reader.check_all(every=100) == 5000


def test_content_types_and_caching_are_those_of_the_specification(gate: GateUnderTest) -> None:
    """The checkpoint is text and not kept; tiles are bytes and kept for ever, but by the caller alone."""
    checkpoint = gate.call("GET", "/audit/checkpoint", "aude").headers
    tiles = [gate.call("GET", f"/audit/tile/{path}", "aude").headers for path in ("0/000.p/1", "entries/000.p/1")]

    assert (checkpoint["Content-Type"], checkpoint["Cache-Control"]) == ("text/plain; charset=utf-8", "no-store")
    for headers in tiles:
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Cache-Control"] == "private, max-age=31536000, immutable"


def test_a_refusal_is_not_kept(gate: GateUnderTest) -> None:
    """A tile that is not there yet is asked for again."""
    for path in ("0/000.p/2", "nonsense"):
        response = gate.call("GET", f"/audit/tile/{path}", "aude")

        assert (response.status_code, response.headers["Cache-Control"]) == (404, "no-store")


def test_tiles_leave_no_record(gate: GateUnderTest) -> None:
    """Machines that verify do not make the log grow."""
    TileReader(over_http(gate)).check_all()

    assert [record["kind"] for record in gate.records()] == ["log.genesis"]


def test_what_was_pruned_is_gone(gate: GateUnderTest) -> None:
    """Below the minimum index 410; above it everything is still proved."""
    _lengthen(gate, 600)
    with gate.database.begin() as connection:
        for (name,) in connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'trigger'").all():
            connection.exec_driver_sql(f"DROP TRIGGER {name}")
    cut_front(gate.database, 512)

    assert TileReader(over_http(gate)).check_all(begin=512) == 88
    for path in ("0/000", "0/001", "entries/001", "entries/000.p/7"):
        response = gate.call("GET", f"/audit/tile/{path}", "aude")

        assert (response.status_code, response.json["code"]) == (410, "audit.record_pruned")


@pytest.mark.parametrize(
    "path",
    [
        "0/001",
        "0/000",
        "0/000.p/6",
        "0/001.p/1",
        "1/000.p/1",
        "63/000.p/1",
        "64/000.p/1",
        "00/000.p/5",
        "0/0.p/5",
        "0/x000/000.p/5",
        "0/x001",
        "0/000.p/05",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/-5",
        "0/-00.p/5",
        "-1/000.p/5",
        "0/000.p/5/",
        "0//000.p/5",
        "/0/000.p/5",
        "//0/000.p/5",
        "0/000.p//5",
        "0/%2e%2e/0/000.p/5",
        "0/000.p/5%00",
        "0/000.p/5%0a",
        "0/000.p/%35%20",
        "0/%D9%A0%D9%A0%D9%A0.p/5",
        "0%2F%2F000.p/5",
        "entries/000.p/6",
        "entries/x000/000.p/5",
        "entries",
        "entries/",
        "data/000.p/5",
        "0/x999/x999/x999/x999/x999/999.p/5",
        "0/" + "x999/" * 500 + "999",
        "0/" + "9" * 5000,
        "..%2fcheckpoint",
        "%2e%2e/%2e%2e/v1/audit/key",
        "%ff%fe/000",
    ],
)
def test_a_wrong_path_is_not_found(short: GateUnderTest, path: str) -> None:
    """Beyond the tree, wrong numbers, other spellings, detours: 404 with a problem, never a redirect or a failure."""
    response = short.call("GET", f"/audit/tile/{path}", "aude")

    assert response.status_code == 404, response.text
    assert response.json["code"] in {"audit.record_unknown", "http.not_found"}


def test_an_escaped_character_is_the_character(gate: GateUnderTest) -> None:
    """`%2e` is a dot (RFC 3986, section 2.3), so both spellings of the URL are one resource."""
    plain, escaped = (gate.call("GET", f"/audit/tile/0/000{dot}p/1", "aude") for dot in (".", "%2e"))

    assert (plain.status_code, plain.data) == (200, escaped.data)


def test_no_parameter_and_no_other_method_is_taken(gate: GateUnderTest) -> None:
    """A parameter would make two URLs of one tile; nothing is ever put there."""
    for path in ("/audit/checkpoint", "/audit/tile/0/000.p/1"):
        assert gate.call("GET", f"{path}?size=1", "aude").json["code"] == "http.parameter"
        assert gate.call("PUT", path, "aude").json["code"] == "http.method_not_allowed"


@given(path=st.text(max_size=40))
@settings(deadline=None, max_examples=150)
def test_no_path_breaks_the_route(short: GateUnderTest, path: str) -> None:
    """Whatever is asked for is found or not found."""
    response = short.call("GET", "/audit/tile/" + path.replace("?", ""), "aude")

    assert response.status_code in {200, 404}
