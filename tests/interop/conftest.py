"""The other implementations: a Go program built once for all tests, and `openssl`; and a fresh log for each test."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from support.audit_logs import LogStand, make_stand

GO_SOURCES = Path(__file__).parent / "go"
OPENSSL_VERSION_MIN = 3
BUILD_S_MAX = 240  # a first build also compiles Go's own packages


def _missing(reason: str) -> NoReturn:
    """Skip the test, or fail it where the other implementation must be at hand."""
    if os.environ.get("CI") == "true":  # noqa: TID251 - a test run's own surroundings, not a setting of the service
        pytest.fail(reason)
    pytest.skip(reason)


def _run_go(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=GO_SOURCES, check=False, capture_output=True, text=True, timeout=BUILD_S_MAX)


@pytest.fixture(scope="session")
def go_interop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program of `go/main.go`; its one module is fetched from Go's proxy and held to go.sum."""
    go = shutil.which("go")
    if go is None:
        _missing("!!! Go is not on PATH: nobody else's code reads the log in this run !!!")
    fetched = _run_go(go, "mod", "download")
    if fetched.returncode != 0:  # no network and nothing cached, or a Go older than go.mod asks for
        _, _, why = fetched.stderr.strip().rpartition("\n")
        _missing(f"!!! nobody else's code reads the log in this run: {why} !!!")
    program = tmp_path_factory.mktemp("go") / "interop"
    built = _run_go(go, "build", "-buildvcs=false", "-o", str(program), ".")
    assert built.returncode == 0, built.stderr
    return program


@pytest.fixture(scope="session")
def openssl() -> str:
    """The `openssl` command, 3.0 or later: older ones cannot verify Ed25519 over bytes as they are."""
    found = shutil.which("openssl")
    if found is None:
        _missing("!!! openssl is not on PATH: it checks no signatures in this run !!!")
    said = subprocess.run([found, "version"], check=True, capture_output=True, text=True).stdout.strip()
    version = re.match(r"OpenSSL ([0-9]+)\.", said)
    if version is None or int(version[1]) < OPENSSL_VERSION_MIN:
        _missing(f"!!! want OpenSSL {OPENSSL_VERSION_MIN}, got {said}: it checks no signatures in this run !!!")
    return found


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[LogStand]:
    """A log with nothing but its genesis record."""
    made = make_stand(tmp_path)
    yield made
    made.engine.dispose()
