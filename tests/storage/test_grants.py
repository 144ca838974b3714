"""The rights of the role that serves on PostgreSQL."""

import re
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine, event

from lockgate.policy.wasm import WasmEngine
from lockgate.storage import StorageError, check_schema, grant_service_role, open_engine, write_transaction
from lockgate.storage.grants import SERVICE_PRIVILEGES
from lockgate.storage.tables import metadata
from support.databases import OWNER, PostgreSQLServer
from support.gates import GateUnderTest, make_gate

SERVICE = 'lockgate "service" 100%'  # whatever a role may be called
AUDIT_TABLES = sorted(name for name in metadata.tables if name.startswith("audit_"))


@pytest.fixture(scope="module")
def service_role(postgresql_server: PostgreSQLServer) -> str:
    """A role without any right, which the owner may step into."""
    for statement in ("CREATE ROLE {role} LOGIN", "GRANT {role} TO {owner}"):
        named = {"role": sql.Identifier(SERVICE), "owner": sql.Identifier(OWNER)}
        postgresql_server.execute(sql.SQL(statement).format(**named))
    return SERVICE


@pytest.fixture
def owner(postgresql_url: str) -> Engine:
    """The migrated database, as its owner."""
    return open_engine(postgresql_url)


def become(engine: Engine, role: str) -> None:
    """Make every later connection of an engine have the rights of a role, and no others."""

    def step_into(connection: psycopg.Connection, _record: object) -> None:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))

    event.listen(engine, "connect", step_into)
    engine.dispose()


@pytest.fixture
def gate(tmp_path: Path, engine: WasmEngine, postgresql_url: str, service_role: str) -> GateUnderTest:
    """A gate that the owner set up and the service role runs."""
    gate = make_gate(tmp_path, engine, database_url=postgresql_url)
    grant_service_role(gate.database, service_role)
    become(gate.database, service_role)
    return gate


def test_the_service_role_runs_a_whole_promotion(gate: GateUnderTest) -> None:
    """Ask, approve twice, repeat by idempotency key, withdraw, and read the log."""
    asked = gate.request()
    gate.approve("leo", "ml-lead", asked)
    allowed = gate.approve("maya", "risk", asked).json
    document = gate.request_document(version="1.4.1")
    first, again = (gate.call("POST", "/v1/promotions", "rita", document, Idempotency_Key="k") for _ in range(2))
    withdrawn = gate.call(
        "POST", f"/v1/promotions/{first.json['promotion']['id']}/withdraw", "rita", {"schema_version": 1}
    )

    check_schema(gate.database)
    assert allowed["promotion"]["state"] == "allowed"
    assert first.json["promotion"]["id"] == again.json["promotion"]["id"]
    assert withdrawn.json["promotion"]["state"] == "withdrawn"
    assert len(gate.records("gate.decision")) == 4


def test_the_service_role_cannot_change_or_delete_what_was_recorded(gate: GateUnderTest) -> None:
    """The server refuses it for want of the right, before any trigger is asked; for a single column, too."""
    columns = [column.name for column in metadata.tables["audit_entry"].columns]
    statements = [
        *(f"UPDATE audit_entry SET {name} = {name}" for name in columns),  # noqa: S608 - names of our own
        *(f"{verb} {table}" for table in AUDIT_TABLES for verb in ("DELETE FROM", "TRUNCATE")),
        *(f"UPDATE {table} SET log = log" for table in AUDIT_TABLES),  # noqa: S608 - same
    ]
    for statement in statements:
        with pytest.raises(StorageError, match="permission denied") as caught, write_transaction(gate.database) as made:
            made.exec_driver_sql(statement)

        assert caught.value.code == "storage.unavailable"


def test_the_service_role_cannot_move_the_start_of_the_log(gate: GateUnderTest) -> None:
    """Pruning is the owner's: the service may move the log's end alone."""
    with pytest.raises(StorageError, match="permission denied"), write_transaction(gate.database) as made:
        made.exec_driver_sql("UPDATE audit_head SET first_seq = size")


def test_the_service_role_cannot_change_the_tables(gate: GateUnderTest) -> None:
    """Neither a trigger can be dropped nor a table made."""
    for statement in ("DROP TRIGGER audit_entry_delete ON audit_entry", "CREATE TABLE mine (a INTEGER)"):
        with (
            pytest.raises(StorageError, match=r"must be owner|permission denied"),
            write_transaction(gate.database) as made,
        ):
            made.exec_driver_sql(statement)


def test_every_table_has_its_line() -> None:
    """A table without one could not be read by the service; none may be emptied, and one alone deleted from."""
    granted = {right for rights in SERVICE_PRIVILEGES.values() for right in rights}
    deleted_from = {table for table, rights in SERVICE_PRIVILEGES.items() if "DELETE" in rights}

    assert set(SERVICE_PRIVILEGES) == {*metadata.tables, "alembic_version"}
    assert {right.partition(" ")[0] for right in granted} == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    assert deleted_from == {"seen_message"}


def test_what_the_role_had_beside_is_taken_from_it(owner: Engine, service_role: str) -> None:
    """A right that was granted by hand does not survive, and granting twice changes nothing."""
    named = sql.Identifier(service_role).as_string()
    with write_transaction(owner) as connection:
        connection.exec_driver_sql(f"GRANT ALL ON audit_entry TO {named}".replace("%", "%%"))
    first = grant_service_role(owner, service_role)
    second = grant_service_role(owner, service_role)
    become(owner, service_role)

    assert first == second
    with pytest.raises(StorageError, match="permission denied"), write_transaction(owner) as connection:
        connection.exec_driver_sql("DELETE FROM audit_entry")


@pytest.mark.parametrize(
    ("role", "want"),
    [
        ("public", "which is everybody"),
        (OWNER, "the owner itself"),
        ("nobody-at-all", 'role "nobody-at-all" does not exist'),
        ('x"; DROP TABLE audit_head; --', "does not exist"),
    ],
)
def test_a_role_that_cannot_be_meant_is_refused(owner: Engine, role: str, want: str) -> None:
    """Everybody, the owner and unknown roles are told by name, and nothing is granted."""
    with pytest.raises(StorageError, match=re.escape(want)) as caught:
        grant_service_role(owner, role)

    assert caught.value.code == "storage.unavailable"
    check_schema(owner)


def test_only_the_owner_grants(gate: GateUnderTest, postgresql_server: PostgreSQLServer) -> None:
    """The service role cannot give its rights to others."""
    postgresql_server.execute(sql.SQL("CREATE ROLE third"))
    with pytest.raises(StorageError, match="want the owner of the tables") as caught:
        grant_service_role(gate.database, "third")

    assert caught.value.code == "storage.unavailable"
