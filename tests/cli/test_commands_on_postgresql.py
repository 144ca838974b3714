"""What an operator runs beside the service, on PostgreSQL."""

from pathlib import Path

import pytest
from psycopg import sql

from lockgate.storage import check_schema, open_engine
from support.commands import Ended, Run
from support.databases import PostgreSQLServer

ORIGIN = "gate.example/audit"
ROLE = "operated_service"


@pytest.fixture(scope="module")
def role(postgresql_server: PostgreSQLServer) -> str:
    """A role for the service."""
    password = sql.Literal(postgresql_server.password)
    postgresql_server.execute(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ROLE), password),
    )
    return ROLE


@pytest.fixture
def url(postgresql_server: PostgreSQLServer, _closed_connections: None) -> str:
    """An empty database, as its owner."""
    return postgresql_server.new_database()


@pytest.fixture
def local(run: Run, url: str, tmp_path: Path) -> Run:
    """Run a command as the owner; `environment` may name another role's URL."""

    def local(*arguments: str, environment: dict[str, str | None] | None = None) -> Ended:
        settings: dict[str, str | None] = {
            "LOCKGATE_DATA_DIR": str(tmp_path / "gate"),
            "LOCKGATE_DATABASE_URL": url,
        }
        return run(*arguments, environment=settings | (environment or {}))

    return local


def test_init_and_doctor(local: Run, url: str) -> None:
    """An empty database gets the tables and the log, again changes nothing, and the doctor is content with it."""
    first = local("init", "--origin", ORIGIN)
    second = local("init", "--origin", ORIGIN)
    doctor = local("doctor")

    assert (first.code, second.code) == (0, 0), first.err + second.err
    assert first.out == second.out
    check_schema(open_engine(url))
    assert "the tables are those of this version" in doctor.out + doctor.err
    assert "ends where its newest checkpoint says" in doctor.out + doctor.err


def test_doctor_before_init(local: Run) -> None:
    """A database without tables is told with the command that makes them."""
    local("init", "--origin", ORIGIN, environment={"LOCKGATE_DATABASE_URL": None})  # the folder, and a log elsewhere
    doctor = local("doctor")

    assert "lockgate db upgrade" in doctor.out + doctor.err


def test_the_doctor_does_not_show_the_password(local: Run, url: str, postgresql_server: PostgreSQLServer) -> None:
    """A server that does not let us in is told without what we said to it."""
    local("init", "--origin", ORIGIN)
    wrong = url.replace(postgresql_server.password, "hunter2hunter2")
    doctor = local("doctor", environment={"LOCKGATE_DATABASE_URL": wrong})

    assert "password authentication failed" in doctor.out + doctor.err
    assert "hunter2" not in doctor.out + doctor.err


def test_the_service_role_needs_its_grants(
    local: Run, role: str, url: str, postgresql_server: PostgreSQLServer
) -> None:
    """Before `db grants` the role may do nothing; after it, it writes and reads the log."""
    theirs: dict[str, str | None] = {"LOCKGATE_DATABASE_URL": postgresql_server.url(url.rpartition("/")[2], role)}
    make_token = ("token", "create", "--subject", "rita", "--type", "user", "--role", "requester", "--expires-in", "1h")
    local("init", "--origin", ORIGIN)
    before = local(*make_token, environment=theirs)
    granted = local("db", "grants", "--role", role)
    after = local(*make_token, environment=theirs)
    shown = local("audit", "show", "--last", "5", environment=theirs)

    assert (before.code, granted.code, after.code, shown.code) == (3, 0, 0, 0)
    assert "permission denied" in before.err
    assert 'GRANT SELECT, INSERT ON TABLE "audit_entry" TO "operated_service";' in granted.out.splitlines()
    assert [line.split('"')[1] for line in granted.out.splitlines() if "DELETE" in line] == ["seen_message"]
    assert "identity.token" in shown.out


def test_nobody_grants_rights_on_a_file(local: Run) -> None:
    """On SQLite the command says what it wants, and ends with 3."""
    local("init", "--origin", ORIGIN, environment={"LOCKGATE_DATABASE_URL": None})
    ended = local("db", "grants", "--role", "x", environment={"LOCKGATE_DATABASE_URL": None})

    assert ended.code == 3
    assert "want a PostgreSQL database" in ended.err
