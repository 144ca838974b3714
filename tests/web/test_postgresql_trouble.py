"""When PostgreSQL is away, busy, full or replaced: 503 with a code, soon; nothing lost or doubled, and no restart."""

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from lockgate.policy.wasm import WasmEngine
from lockgate.storage import database, postgresql
from support.databases import OWNER, PostgreSQLServer
from support.gates import GateUnderTest, make_gate

Answer = tuple[int, str | None, str | None]
RAISE = (
    "CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
)
SLEEP = (
    "CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$"
)


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine, postgresql_url: str) -> GateUnderTest:
    """A gate on PostgreSQL."""
    return make_gate(tmp_path, engine, database_url=postgresql_url)


def ask(gate: GateUnderTest, document: object, key: str = "k") -> Answer:
    """Ask under an idempotency key; return status, code and Retry-After."""
    response = gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key=key)
    return response.status_code, response.json.get("code"), response.headers.get("Retry-After")


def decisions(gate: GateUnderTest) -> int:
    """Count what was decided."""
    return len(gate.records("gate.decision"))


def close_connections(gate: GateUnderTest) -> None:
    """Let the next transaction connect anew."""
    gate.database.dispose()


@contextlib.contextmanager
def session(gate: GateUnderTest) -> Iterator[psycopg.Connection[Any]]:
    """Give another program's connection to the gate's database, as the owner."""
    url = gate.database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def test_a_server_that_is_away(gate: GateUnderTest, postgresql_server: PostgreSQLServer) -> None:
    """Refused connections are 503 `storage.unavailable` at once; when it is back, the same key gives one decision."""
    document = gate.request_document()
    assert ask(gate, document)[0] == 202
    with postgresql_server.without_fsync():
        postgresql_server.stop(crash=True)
        began = time.monotonic()
        away = ask(gate, document, "another")
        took_s = time.monotonic() - began
        ready = gate.client.get("/readyz").status_code
        postgresql_server.start()
    back, again = ask(gate, document, "another"), ask(gate, document, "another")

    assert away == (503, "storage.unavailable", "2")
    assert took_s < 2 * postgresql.CONNECT_S_MAX
    assert ready == 503
    assert back[0] == 202
    assert again[0] in {200, 201, 202}
    assert decisions(gate) == 2


def test_a_server_that_takes_no_more_connections(gate: GateUnderTest, postgresql_server: PostgreSQLServer) -> None:
    """The role's limit is reached: 503 with the server's words, and it works when there is room."""
    document = gate.request_document()
    limit = sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}")
    close_connections(gate)
    postgresql_server.execute(limit.format(sql.Identifier(OWNER), sql.Literal(0)))
    try:
        full = gate.call("POST", "/v1/promotions", "rita", document)
    finally:
        postgresql_server.execute(limit.format(sql.Identifier(OWNER), sql.Literal(-1)))

    assert (full.status_code, full.json["code"]) == (503, "storage.unavailable")
    assert "too many connections for role" in full.json["detail"]
    assert ask(gate, document)[0] == 202


def test_a_pool_without_a_free_connection(
    tmp_path: Path, engine: WasmEngine, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every connection of this process is in use: 503 `storage.busy`, and it works when one is given back."""
    monkeypatch.setattr(postgresql, "CONNECTIONS_MAX", 1)
    monkeypatch.setattr(postgresql, "POOL_WAIT_S_MAX", 0.1)
    gate = make_gate(tmp_path, engine, database_url=postgresql_url)
    document = gate.request_document()
    with gate.database.connect():
        busy = ask(gate, document)

    assert busy == (503, "storage.busy", "2")
    assert ask(gate, document)[0] == 202


@pytest.mark.parametrize("table", ["audit_head", "promotion"])
def test_a_table_that_somebody_locked(gate: GateUnderTest, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits longer than the limit is told `storage.busy`; reading goes on meanwhile."""
    monkeypatch.setattr(database, "WRITE_WAIT_S_MAX", 0.2)
    answer = gate.request()
    document = gate.request_document(version="1.4.1")
    with session(gate) as other, other.transaction():
        other.execute(sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(sql.Identifier(table)))
        busy = ask(gate, document)
        shown = gate.call("GET", f"/v1/promotions/{answer['promotion']['id']}", "rita")

    assert busy == (503, "storage.busy", "2")
    assert shown.status_code == 200
    assert ask(gate, document)[0] == 202
    assert decisions(gate) == 2


@pytest.mark.parametrize("table", ["audit_entry", "audit_checkpoint", "promotion"])
def test_a_full_disk(gate: GateUnderTest, table: str) -> None:
    """Wherever in the transaction it shows, nothing is written; with space again the same key gives one decision."""
    document = gate.request_document()
    before = gate.records()
    with session(gate) as other:
        other.execute(RAISE)
        other.execute(
            sql.SQL("CREATE TRIGGER trouble BEFORE INSERT ON {} FOR EACH ROW EXECUTE FUNCTION trouble()").format(
                sql.Identifier(table)
            )
        )
        full = ask(gate, document)
        other.execute("DROP FUNCTION trouble CASCADE")

    assert full == (503, "storage.unavailable", "2")
    assert gate.records() == before
    assert ask(gate, document)[0] == 202
    assert decisions(gate) == 1


def test_a_statement_that_takes_too_long(gate: GateUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk so slow that a statement reaches its limit: 503, and the others who wait are told too, and then go on."""
    slow = postgresql._BEGIN_WRITE.replace(f"'{postgresql.STATEMENT_S_MAX}s'", "'300ms'")
    monkeypatch.setattr(postgresql, "_BEGIN_WRITE", slow)
    document = gate.request_document()
    answers: list[Answer] = []
    with session(gate) as other:
        other.execute(SLEEP)
        other.execute("CREATE TRIGGER trouble BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION trouble()")
        threads = [
            threading.Thread(target=lambda n=number: answers.append(ask(gate, document, f"k{n}")))
            for number in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        other.execute("DROP FUNCTION trouble CASCADE")

    assert answers == [(503, "storage.unavailable", "2")] * 3
    assert ask(gate, document)[0] == 202
    assert decisions(gate) == 1


# --- fail-over -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def own_server(postgresql_server: PostgreSQLServer) -> Iterator[PostgreSQLServer]:
    """A server of these tests alone: a standby is a copy of all that a server holds."""
    with tempfile.TemporaryDirectory(prefix="lockgate-primary-", ignore_cleanup_errors=True) as folder:
        server = PostgreSQLServer(programs=postgresql_server.programs, folder=Path(folder))
        server.create()
        server.configure("fsync", "off")
        yield server
        server.stop(crash=True)


@pytest.fixture
def primary(own_server: PostgreSQLServer, _closed_connections: None) -> Iterator[PostgreSQLServer]:
    """The server, which a test crashes."""
    yield own_server
    own_server.stop(crash=True)
    own_server.start()


def both(url: str, standby: PostgreSQLServer, wanted: str = "read-write") -> str:
    """Return the URL of whichever of two servers answers as is wanted; by itself, takes writes."""
    user, _, place = url.partition("@")
    host, _, name = place.partition("/")
    return f"{user}@/{name}?host={host}&host=127.0.0.1:{standby.port}&target_session_attrs={wanted}"


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def caught_up(primary: PostgreSQLServer) -> bool:
    """Tell whether the standby has everything."""
    with psycopg.connect(primary.url("postgres", "postgres"), autocommit=True) as connection:
        query = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()"
        row = connection.execute(query).fetchone()
    return row == (1,)


def test_a_standby_takes_over(tmp_path: Path, engine: WasmEngine, primary: PostgreSQLServer) -> None:
    """The primary dies, the standby is promoted: what was acknowledged is there, and the chain goes on.

    In between there is 503; a gate that only reaches the standby shows what is there and decides nothing.
    """
    with primary.standby() as standby:
        gate = make_gate(tmp_path, engine, database_url=both(primary.new_database(), standby))
        answer = gate.request()
        document = gate.request_document(version="1.4.1")
        wait_for(lambda: caught_up(primary))
        primary.stop(crash=True)
        close_connections(gate)
        between = ask(gate, document)
        standby.execute(sql.SQL("SELECT pg_promote()"))
        after = ask(gate, document)
        gate.approve("leo", "ml-lead", answer)
        allowed = gate.approve("maya", "risk", answer).json
        seqs = [record["seq"] for record in gate.records()]
        gate.services.log.check_head()
        close_connections(gate)

    assert between[:2] == (503, "storage.unavailable")
    assert after[0] == 202
    assert allowed["promotion"]["state"] == "allowed"
    assert seqs == list(range(len(seqs)))


def test_a_standby_that_lagged_is_refused(tmp_path: Path, engine: WasmEngine, primary: PostgreSQLServer) -> None:
    """One that lacks what was acknowledged would fork the log: `audit.log_behind`, and nothing is decided on it."""
    with primary.standby() as standby:
        gate = make_gate(tmp_path, engine, database_url=both(primary.new_database(), standby))
        gate.request()
        wait_for(lambda: caught_up(primary))
        standby.configure("primary_conninfo", "")
        with psycopg.connect(standby.url("postgres", "postgres"), autocommit=True) as looking:
            wait_for(lambda: looking.execute("SELECT count(*) FROM pg_stat_wal_receiver").fetchone() == (0,))
        document = gate.request_document(version="1.4.1")
        lost = ask(gate, document)
        primary.stop(crash=True)
        standby.execute(sql.SQL("SELECT pg_promote()"))
        close_connections(gate)
        refused = ask(gate, document, "after")
        kept = decisions(gate)
        close_connections(gate)

    assert lost[0] == 202
    assert refused[:2] == (503, "audit.log_behind")
    assert kept == 1


def test_a_gate_that_reaches_a_standby_only(tmp_path: Path, engine: WasmEngine, primary: PostgreSQLServer) -> None:
    """A server that takes no writes is named; what is there can be shown, and nothing is decided."""
    with primary.standby() as standby:
        gate = make_gate(tmp_path, engine, database_url=both(primary.new_database(), standby, wanted="any"))
        answer = gate.request()
        wait_for(lambda: caught_up(primary))
        primary.stop(crash=True)
        close_connections(gate)
        response = gate.call("POST", "/v1/promotions", "rita", gate.request_document(version="1.4.1"))
        shown = gate.call("GET", f"/v1/promotions/{answer['promotion']['id']}", "rita")
        close_connections(gate)

    assert (response.status_code, response.json["code"]) == (503, "storage.unavailable")
    assert "during recovery" in response.json["detail"]
    assert shown.status_code == 200
