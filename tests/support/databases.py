"""Databases for tests: SQLite files, and databases in a throw-away PostgreSQL server of this test process.

A pytest plugin. `database_url` runs a test on each of the two; `new_database` gives it as many databases as it likes.
"""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import event
from sqlalchemy.pool import Pool

from lockgate.storage import open_engine, upgrade_schema

OWNER: Final = "lockgate"  # owns the databases; no superuser
_ADMIN: Final = "postgres"
_SERVER_USER: Final = "postgres"  # whom the server runs as when the tests run as root: it refuses to be root
_READY_S_MAX: Final = 120.0  # a crash is recovered from in a second, or in a minute where much else goes on
_POLL_S: Final = 0.02
_MIGRATED: Final = "migrated"  # the template of databases with this version's tables
_EMPTY: Final = "template0"
_FINDER: Final = Path(__file__).parents[2] / "scripts" / "postgresql"
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # its path would have to be short, and open to the server's user
    "autovacuum": "off",  # nothing lives long enough to need it
    "shared_buffers": "16MB",
    "log_min_messages": "fatal",
}

NewDatabase = Callable[[], str]


@dataclass(kw_only=True)
class PostgreSQLServer:
    """A PostgreSQL server in a temporary folder, on a free port of 127.0.0.1, that asks for passwords.

    `fsync` is on. A test that needs many commits and no durability turns it off for its own time with `without_fsync`.
    """

    programs: Path
    folder: Path
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12), repr=False)
    port: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _databases: int = 0

    def create(self) -> None:
        """Make the server's files, start it, and make the role that owns the tests' databases."""
        password_file = self.folder / "password"
        password_file.write_text(self.password)
        if os.geteuid() == 0:
            for path in (self.folder, password_file):
                shutil.chown(path, _SERVER_USER, _SERVER_USER)
        command: list[str | Path] = [self.programs / "initdb", "-D", self.folder / "data"]
        command += ["-U", _ADMIN, "--pwfile", password_file]
        command += ["--no-sync", "--no-instructions", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"]
        made = subprocess.run(self._as_server_user(command), check=False, capture_output=True, cwd=self.folder)
        assert made.returncode == 0, made.stderr.decode()
        self.start()
        self.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(OWNER), sql.Literal(self.password))
        )

    def start(self) -> None:
        """Start the server and wait until it answers; after the first time, on the same port."""
        self.port = self.port or _free_port()
        settings = [f"--{name}={value}" for name, value in {**_SETTINGS, "port": self.port}.items()]
        command: list[str | Path] = [self.programs / "postgres", "-D", self.folder / "data", *settings]
        with (self.folder / "log").open("ab") as log:
            # A session of its own: Ctrl-C reaches the tests alone, and they stop the server.
            self._process = subprocess.Popen(
                self._as_server_user(command), stdout=log, stderr=log, cwd=self.folder, start_new_session=True
            )
        deadline = time.monotonic() + _READY_S_MAX
        while True:
            try:
                self.execute(sql.SQL("SELECT 1"))
            except psycopg.OperationalError:
                said = (self.folder / "log").read_text(errors="replace")[-2000:]
                assert self._process.poll() is None, said
                assert time.monotonic() < deadline, said
                time.sleep(_POLL_S)
            else:
                return

    def stop(self, *, crash: bool = False) -> None:
        """Stop the server at once, its clients cut off; a crash leaves it to recover at the next start."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT if crash else signal.SIGINT)
            self._process.wait(_READY_S_MAX)
            self._process = None

    @contextlib.contextmanager
    def standby(self) -> Iterator["PostgreSQLServer"]:
        """Make a second server that follows this one and takes no writes, until the block ends."""
        with tempfile.TemporaryDirectory(prefix="lockgate-standby-", ignore_cleanup_errors=True) as folder:
            other = PostgreSQLServer(programs=self.programs, folder=Path(folder), password=self.password)
            if os.geteuid() == 0:
                shutil.chown(folder, _SERVER_USER, _SERVER_USER)
            command: list[str | Path] = [self.programs / "pg_basebackup", "-D", other.folder / "data", "-R"]
            command += ["--checkpoint=fast", "--no-sync", "--dbname", self.url("postgres", _ADMIN)]
            made = subprocess.run(self._as_server_user(command), check=False, capture_output=True, cwd=folder)
            assert made.returncode == 0, made.stderr.decode()
            other.start()
            try:
                yield other
            finally:
                other.stop(crash=True)

    @contextlib.contextmanager
    def without_fsync(self) -> Iterator[None]:
        """Let commits return before they are on the disk: much faster, and lost only with the whole machine."""
        self.configure("fsync", "off")
        try:
            yield
        finally:
            self.configure("fsync", "on")

    def url(self, database: str, user: str = OWNER, password: str | None = None) -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}:{self.password if password is None else password}@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = _EMPTY, name: str | None = None) -> str:
        """Make a database that the owner role owns, with the tables of another or with none, and return its URL."""
        self._databases += 1
        name = name or f"test_{self._databases}"
        statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
        self.execute(statement.format(sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template)))
        return self.url(name)

    def execute(self, statement: sql.SQL | sql.Composed, database: str = "postgres") -> None:
        """Run one statement as the server's administrator, outside a transaction."""
        with psycopg.connect(self.url(database, _ADMIN), autocommit=True, connect_timeout=3) as connection:
            connection.execute(statement)

    def configure(self, name: str, value: str) -> None:
        """Set a setting of the server that needs no restart; it takes effect soon."""
        self.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        self.execute(sql.SQL("SELECT pg_reload_conf()"))

    def _as_server_user(self, command: Sequence[str | Path]) -> list[str | Path]:
        user = [f"--reuid={_SERVER_USER}", f"--regid={_SERVER_USER}", "--init-groups"] if os.geteuid() == 0 else []
        # The signal ends the server also when the tests are killed.
        return ["setpriv", *user, "--pdeathsig=INT", "--", *command]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQLServer]:
    """A running PostgreSQL; without its programs the test is skipped, or fails where CI must have them."""
    found = subprocess.run([_FINDER, "find"], check=False, capture_output=True, text=True)
    if found.returncode != 0:
        if os.environ.get("CI") == "true":  # noqa: TID251 - a test run's own surroundings, not a setting of the service
            pytest.fail(found.stderr.strip())
        pytest.skip(found.stderr.strip())
    with tempfile.TemporaryDirectory(prefix="lockgate-postgresql-", ignore_cleanup_errors=True) as folder:
        server = PostgreSQLServer(programs=Path(found.stdout.strip()), folder=Path(folder))
        try:
            server.create()
            yield server
        finally:
            server.stop(crash=True)  # nothing is kept, so nothing need be written


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql_server: PostgreSQLServer) -> PostgreSQLServer:
    """The same server, with a template database that has this version's tables."""
    engine = open_engine(postgresql_server.new_database(name=_MIGRATED))
    upgrade_schema(engine)
    engine.dispose()  # a database that somebody is connected to cannot be copied
    return postgresql_server


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file that has this version's tables, to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "lockgate.db"
    engine = open_engine(f"sqlite:///{path}")
    upgrade_schema(engine)
    engine.dispose()  # the last connection moves everything into the one file
    return path


@pytest.fixture
def _closed_connections() -> Iterator[None]:
    # A finished test leaves its engines to the garbage collector; the server has room for a hundred connections.
    opened: list[psycopg.Connection] = []

    def remember(connection: object, _record: object) -> None:
        if isinstance(connection, psycopg.Connection):
            opened.append(connection)

    event.listen(Pool, "connect", remember)
    yield
    event.remove(Pool, "connect", remember)
    for connection in opened:
        connection.close()


@pytest.fixture
def postgresql_url(migrated_postgresql: PostgreSQLServer, _closed_connections: None) -> str:
    """A new PostgreSQL database with this version's tables."""
    return migrated_postgresql.new_database(_MIGRATED)


@pytest.fixture(params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest, tmp_path: Path, _closed_connections: None) -> NewDatabase:
    """Make a new database with this version's tables and return its URL; the test runs on both kinds."""
    if request.param == "postgresql":
        server: PostgreSQLServer = request.getfixturevalue("migrated_postgresql")
        return lambda: server.new_database(_MIGRATED)
    template: Path = request.getfixturevalue("migrated_sqlite")

    def copy() -> str:
        return f"sqlite:///{shutil.copy(template, Path(tempfile.mkdtemp(dir=tmp_path)) / 'lockgate.db')}"

    return copy


@pytest.fixture
def database_url(new_database: NewDatabase) -> str:
    """A new database with this version's tables; the test runs on both kinds."""
    return new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path, _closed_connections: None) -> str:
    """A new database without any table; the test runs on both kinds."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'lockgate.db'}"
    server: PostgreSQLServer = request.getfixturevalue("postgresql_server")
    return server.new_database()
