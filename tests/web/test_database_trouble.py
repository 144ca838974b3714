"""When the database is locked, full or read-only: 503 with a code, nothing half-written, never an allow."""

import sqlite3

import pytest
from sqlalchemy import event

from lockgate.storage import database
from support.gates import DAY_NS, GateUnderTest


def limit_pages(gate: GateUnderTest) -> None:
    """Let the database file grow no further, as on a full disk."""
    pages = sqlite3.connect(gate.folder / "lockgate.db").execute("PRAGMA page_count").fetchone()[0]

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    gate.database.dispose()
    event.listen(gate.database, "connect", limit)


def test_a_full_disk_promotes_nothing(gate: GateUnderTest) -> None:
    """The last approval cannot be recorded, so there is no allow; with space again it can be given."""
    answer = gate.request()
    gate.approve("leo", "ml-lead", answer)
    before = gate.records()
    limit_pages(gate)
    response = gate.approve("maya", "risk", answer)
    path = f"/v1/promotions/{answer['promotion']['id']}"

    assert (response.status_code, response.json["code"]) == (503, "storage.unavailable")
    assert response.headers["Retry-After"] == "2"
    assert gate.call("GET", path, "rita").json["promotion"]["state"] == "pending"
    assert gate.records() == before


def test_a_locked_database_is_busy(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else holds the database: 503 `storage.busy`, and the same request works afterwards."""
    monkeypatch.setattr(database, "WRITE_WAIT_S_MAX", 0.1)
    document = gate.request_document()

    def wait_briefly(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA busy_timeout=100")

    gate.database.dispose()
    event.listen(gate.database, "connect", wait_briefly)
    foreign = sqlite3.connect(gate.folder / "lockgate.db", isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    busy = gate.call("POST", "/v1/promotions", "rita", document)
    foreign.execute("ROLLBACK")
    foreign.close()

    assert (busy.status_code, busy.json["code"]) == (503, "storage.busy")
    assert len(gate.records()) == 1
    assert gate.call("POST", "/v1/promotions", "rita", document).status_code == 202


def test_a_read_only_database_promotes_nothing(gate: GateUnderTest) -> None:
    """What cannot be written is not decided; reading goes on."""
    answer = gate.request()

    def only_read(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA query_only=ON")

    gate.database.dispose()
    event.listen(gate.database, "connect", only_read)
    response = gate.approve("leo", "ml-lead", answer)
    path = f"/v1/promotions/{answer['promotion']['id']}"
    shown = gate.call("GET", path, "rita")
    gate.clock.advance(7 * DAY_NS)
    later = gate.call("GET", path, "rita")

    assert (response.status_code, response.json["code"]) == (503, "storage.unavailable")
    assert shown.json["promotion"]["state"] == "pending"
    assert later.json["promotion"]["state"] == "expired"
    assert gate.call("GET", "/v1/promotions", "rita").json["items"][0]["state"] == "expired"


def test_a_database_that_is_gone_is_not_taken_for_nobody(gate: GateUnderTest) -> None:
    """A token that cannot be looked up is 503, not 401: the caller is not a stranger because our disk failed."""
    gate.database.dispose()
    for file in gate.folder.glob("lockgate.db*"):
        file.unlink()
    (gate.folder / "lockgate.db").mkdir()
    response = gate.call("GET", "/v1/policy", "rita")

    assert (response.status_code, response.json["code"]) == (503, "storage.unavailable")
    assert gate.client.get("/livez").status_code == 200
    assert gate.client.get("/readyz").status_code == 503
