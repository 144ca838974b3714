"""`lockgate db status` and `downgrade`, and what the doctor says of a database."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from psycopg import sql

from lockgate.storage import check_schema, grant_service_role, open_engine, read_revisions, write_transaction
from support.commands import Ended, Run
from support.databases import PostgreSQLServer

ORIGIN = "gate.example/audit"
Local = Callable[..., Ended]


@pytest.fixture
def local(run: Run, tmp_path: Path) -> Local:
    """Run a command with the database at `url`."""

    def local(*arguments: str, url: str) -> Ended:
        environment: dict[str, str | None] = {
            "LOCKGATE_DATA_DIR": str(tmp_path / "gate"),
            "LOCKGATE_DATABASE_URL": url,
        }
        return run(*arguments, environment=environment)

    return local


def status_of(ended: Ended) -> dict[str, Any]:
    """Return the status document."""
    document: dict[str, Any] = orjson.loads(ended.out)
    return document


def test_status_says_what_the_database_is(local: Local, database_url: str) -> None:
    """Server, role, connection, durability, tables and size; the password is not among it."""
    shown, said = (local("db", "status", *output, url=database_url) for output in (("--output", "json"), ()))
    have, want = read_revisions(open_engine(database_url))
    document = status_of(shown)
    postgresql = database_url.startswith("postgresql")

    assert (shown.code, said.code) == (0, 0), shown.err
    assert document.pop("size_bytes") > 10_000
    assert document.pop("server").startswith("PostgreSQL " if postgresql else "SQLite ")
    assert document == {
        "schema_version": 1,
        "revision": have,
        "revision_wanted": want,
        "role": "lockgate" if postgresql else None,
        "rights": "owner",
        "tls": "off",
        "local": True,
        "standby": False,
        "durable": True,
    }
    assert f"revision {have}, want {want}" in said.out
    assert open_engine(database_url).url.password is None or str(open_engine(database_url).url.password) not in said.out


def test_status_of_tables_that_are_not_ours(local: Local, empty_database_url: str) -> None:
    """Without tables, or without a file: 3, and no file is made."""
    engine = open_engine(empty_database_url)
    if engine.dialect.name == "sqlite":
        missing = local("db", "status", url=empty_database_url)

        assert (missing.code, "there is no database" in missing.err) == (3, True)
        assert not Path(str(engine.url.database)).exists()
        with write_transaction(engine) as connection:
            connection.exec_driver_sql("CREATE TABLE other (a INTEGER)")
    ended = local("db", "status", "--output", "json", url=empty_database_url)

    assert ended.code == 3
    assert status_of(ended)["revision"] is None
    assert status_of(ended)["rights"] == ("owner" if engine.dialect.name == "sqlite" else "none")


def test_status_of_a_server_that_is_away(local: Local) -> None:
    """3, with the code and without the password."""
    ended = local("db", "status", url="postgresql://ann:s3cret@127.0.0.1:1/x")

    assert (ended.code, "[storage.unavailable]" in ended.err, "s3cret" in ended.err) == (3, True, False)


def test_the_service_s_role_is_told_apart(
    local: Local, postgresql_url: str, postgresql_server: PostgreSQLServer
) -> None:
    """The owner, the service's role, and one without rights; the doctor warns of serving as the owner alone."""
    for role in ("status_service", "status_nobody"):
        password = sql.Literal(postgresql_server.password)
        postgresql_server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), password))
    local("init", "--origin", ORIGIN, url=postgresql_url)
    grant_service_role(open_engine(postgresql_url), "status_service")
    name = postgresql_url.rpartition("/")[2]
    rights = {
        role: status_of(local("db", "status", "--output", "json", url=postgresql_server.url(name, role)))["rights"]
        for role in ("lockgate", "status_service")
    }
    nobody = local("db", "status", url=postgresql_server.url(name, "status_nobody"))
    owned, served = (local("doctor", url=postgresql_server.url(name, role)).out for role in rights)
    postgresql_server.execute(sql.SQL("DROP OWNED BY status_service"), name)
    for role in ("status_service", "status_nobody"):
        postgresql_server.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))

    assert rights == {"lockgate": "owner", "status_service": "service"}
    assert (nobody.code, "permission denied" in nobody.err) == (3, True)
    assert "warning: this role owns the tables" in owned
    assert "warning" not in served


def test_a_server_that_may_lose_commits_is_told(
    local: Local, postgresql_url: str, postgresql_server: PostgreSQLServer
) -> None:
    """Without fsync, status and doctor say so."""
    local("init", "--origin", ORIGIN, url=postgresql_url)
    with postgresql_server.without_fsync():
        status, doctor = local("db", "status", url=postgresql_url), local("doctor", url=postgresql_url)

    assert "durable     NO" in status.out
    assert "warning: fsync or full_page_writes is off" in doctor.out


def test_downgrade_asks_and_tells_what_is_lost(local: Local, database_url: str) -> None:
    """Without somebody to ask it wants --yes; what is lost is listed, and afterwards the service wants an upgrade."""
    engine = open_engine(database_url)
    with write_transaction(engine) as connection:
        connection.exec_driver_sql("INSERT INTO audit_erased (log, sha256) VALUES ('l', '0')")
    asked = local("db", "downgrade", "0001", url=database_url)
    check_schema(engine)
    done = local("db", "downgrade", "0001", "--yes", url=database_url)
    refused = local("doctor", url=database_url)
    back = local("db", "upgrade", url=database_url)

    assert asked.code == 2
    assert "will be lost: 1 marks of erased attachments" in asked.err
    assert "want a terminal to ask on, or --yes" in asked.err
    assert (done.code, back.code) == (0, 0), done.err
    assert "revision 0001" in done.err
    assert refused.code == 3
    check_schema(engine)


def test_downgrade_refuses_what_must_not_be_lost(local: Local, database_url: str) -> None:
    """The records of a log, though asked for with --yes."""
    local("init", "--origin", ORIGIN, url=database_url)
    ended = local("db", "downgrade", "base", "--yes", url=database_url)

    assert (ended.code, "[storage.downgrade_refused]" in ended.err) == (3, True)
    assert "1 records of an audit log" in ended.err
    check_schema(open_engine(database_url))


def test_downgrade_makes_no_database(local: Local, tmp_path: Path) -> None:
    """Where there is none, it says so."""
    ended = local("db", "downgrade", "0002", "--yes", url=f"sqlite:///{tmp_path / 'none.db'}")

    assert (ended.code, "[storage.schema]" in ended.err) == (3, True)
    assert not (tmp_path / "none.db").exists()
