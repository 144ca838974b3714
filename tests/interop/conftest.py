"""The other implementations: a Go program built once for all tests, and `openssl`; and a fresh log for each test."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.audit_logs import LogStand, make_stand

GO_SOURCES = Path(__file__).parent / "go"
BUILD_S_MAX = 240  # a first build also compiles Go's own packages


def _missing(reason: str) -> None:
    """Skip the test, or fail it where the other implementation must be at hand."""
    if os.environ.get("CI") == "true":  # noqa: TID251 - a test run's own surroundings, not a setting of the service
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def go_interop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program of `go/main.go`; its one module is fetched from Go's proxy and held to go.sum."""
    go = shutil.which("go")
    if go is None:
        _missing("!!! Go is not on PATH: nobody else's code reads the log in this run !!!")
    program = tmp_path_factory.mktemp("go") / "interop"
    command = [str(go), "build", "-buildvcs=false", "-o", str(program), "."]
    built = subprocess.run(command, cwd=GO_SOURCES, check=False, capture_output=True, text=True, timeout=BUILD_S_MAX)
    if built.returncode != 0 and "golang.org/x/mod" in built.stderr:
        _missing(f"!!! Go cannot fetch golang.org/x/mod: nobody else's code reads the log in this run: {built.stderr}")
    assert built.returncode == 0, built.stderr
    return program


@pytest.fixture(scope="session")
def openssl() -> str:
    """The `openssl` command, 3.0 or later: older ones cannot verify Ed25519 over bytes as they are."""
    found = shutil.which("openssl")
    said = subprocess.run([found, "version"], check=True, capture_output=True, text=True).stdout if found else ""
    if not said.startswith("OpenSSL 3."):
        _missing(f"!!! want OpenSSL 3 on PATH, got {said.strip() or 'none'}: it checks no signatures in this run !!!")
    return str(found)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[LogStand]:
    """A log with nothing but its genesis record."""
    made = make_stand(tmp_path)
    yield made
    made.engine.dispose()
