"""TLS to PostgreSQL, as the URL asks for it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from lockgate.storage import StorageError, describe_database, open_engine, postgresql, read_transaction
from support.certificates import make_certificate
from support.databases import PostgreSQLServer

_SECURED = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
_RELOAD_S_MAX = 10.0


def is_secured(url: str) -> bool:
    """Connect, and ask the server whether it is by TLS."""
    with read_transaction(open_engine(url)) as connection:
        return bool(connection.execute(_SECURED).scalar_one())


@pytest.fixture
def url(postgresql_server: PostgreSQLServer, _closed_connections: None) -> str:
    """An empty database."""
    return postgresql_server.new_database()


@pytest.fixture
def certificate(postgresql_server: PostgreSQLServer, url: str) -> Iterator[Path]:
    """The server's certificate, while it speaks TLS."""
    path = make_certificate(postgresql_server.folder / "server.pem", "127.0.0.1")
    owner = (postgresql_server.folder / "data").stat()
    path.with_suffix(".key").chmod(0o600)
    os.chown(path.with_suffix(".key"), owner.st_uid, owner.st_gid)
    postgresql_server.configure("ssl_cert_file", str(path))
    postgresql_server.configure("ssl_key_file", str(path.with_suffix(".key")))
    postgresql_server.configure("ssl", "on")
    deadline = time.monotonic() + _RELOAD_S_MAX
    while not is_secured(f"{url}?sslmode=prefer"):  # the server reads its settings when it comes to it
        assert time.monotonic() < deadline
    yield path
    postgresql_server.configure("ssl", "off")


def test_a_certificate_that_the_url_vouches_for_is_accepted(url: str, certificate: Path) -> None:
    """`sslmode=verify-full` with the right `sslrootcert` connects by TLS."""
    assert is_secured(f"{url}?sslmode=verify-full&sslrootcert={certificate}")


@pytest.mark.parametrize(
    ("parameters", "tls"),
    [
        ("sslmode=disable", "off"),
        ("sslmode=require", "unverified"),
        ("sslmode=verify-ca&sslrootcert={certificate}", "unverified"),
        ("sslmode=verify-full&sslrootcert={certificate}", "verified"),
    ],
)
def test_what_the_connection_is_worth_is_told(url: str, certificate: Path, parameters: str, tls: str) -> None:
    """Not encrypted, encrypted to whoever answers, or to the host that the URL names."""
    engine = open_engine(f"{url}?{parameters.format(certificate=certificate)}")

    assert describe_database(engine).tls == tls


@pytest.mark.parametrize("variable", ["verify-full", "require"])
def test_what_the_environment_asks_for_counts(
    url: str, certificate: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What libpq reads there is looked at as well as the URL."""
    monkeypatch.setenv("PGSSLMODE", variable)
    monkeypatch.setenv("PGSSLROOTCERT", str(certificate))

    assert describe_database(open_engine(url)).tls == ("verified" if variable == "verify-full" else "unverified")


@pytest.mark.parametrize(
    ("host", "address", "local"),
    [
        ("/run/postgresql", "", True),
        ("localhost", "127.0.0.1", True),
        ("db.example", "127.8.8.8", True),
        ("localhost", "::1", True),
        ("db.example", "192.0.2.7", False),
        ("db.example", "2001:db8::7", False),
        ("fe80::1%eth0", "fe80::1%eth0", False),
        ("localhost", "192.0.2.7", False),
        ("db.example", "", False),
    ],
)
def test_what_stays_on_the_machine_is_told_by_its_address(host: str, address: str, *, local: bool) -> None:
    """A socket or a loopback address, whatever the name: nobody in between."""
    assert postgresql.is_local(host, address) is local


def test_an_unknown_certificate_is_refused(url: str, certificate: Path, tmp_path: Path) -> None:
    """A server that another authority vouches for is not talked to."""
    other = make_certificate(tmp_path / "other.pem", "127.0.0.1")
    with pytest.raises(StorageError, match="certificate verify failed") as caught:
        is_secured(f"{url}?sslmode=verify-full&sslrootcert={other}")

    assert certificate.exists()
    assert caught.value.code == "storage.unavailable"


def test_a_certificate_of_another_host_is_refused(url: str, certificate: Path) -> None:
    """The name in the URL must be in the certificate."""
    with pytest.raises(StorageError, match="does not match host name") as caught:
        is_secured(f"{url.replace('127.0.0.1', 'localhost')}?sslmode=verify-full&sslrootcert={certificate}")

    assert caught.value.code == "storage.unavailable"
