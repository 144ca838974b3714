"""TLS to PostgreSQL, as the URL asks for it."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from lockgate.storage import StorageError, open_engine, read_transaction
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
