"""The commands of docs/howto/back-up-and-restore.md, as somebody would type them."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import orjson
import pytest
from psycopg import sql

from support.databases import PostgreSQLServer

_GUIDE: Final = Path(__file__).parents[2] / "docs" / "howto" / "back-up-and-restore.md"
_TOKEN: Final = "lockgate token create --subject rita --expires-in 1h"
ROLE: Final = "restored_service"


def commands(section: str) -> list[list[str]]:
    """Return the lines of each block of commands in a section of the guide."""
    text = _GUIDE.read_text().partition(f"## {section}\n")[2].partition("\n## ")[0]
    return [block.splitlines() for block in re.findall(r"```sh\n(.*?)\n```", text, re.DOTALL)]


class Shell:
    """A person at the gate's machine."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        path = os.environ["PATH"]  # noqa: TID251 - of the test run
        for name in ("data", "backup"):
            (folder / name).mkdir(mode=0o700)
        self._folder = folder
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{path}",
            "LOCKGATE_DATA_DIR": str(folder / "data"),
            "BACKUP": str(folder / "backup"),
            "NEWEST_EXPORT": str(folder / "newest"),
            "SERVICE_ROLE": ROLE,
            **environment,
        }

    def try_to(self, line: str) -> "subprocess.CompletedProcess[str]":
        """Run a line."""
        return subprocess.run(
            ["bash", "-euc", line],
            env=self.environment,
            cwd=self._folder,
            check=False,
            capture_output=True,
            text=True,
        )

    def run(self, line: str) -> str:
        """Run a line that must work; return what it printed."""
        done = self.try_to(line)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        return done.stdout

    def live(self) -> str:
        """Make a log with a few records; return its key."""
        key = self.run("lockgate init --origin restored.example/audit").strip()
        self.run("lockgate token create --subject rita --type user --role requester --expires-in 1h")
        return key

    def go_on(self) -> None:
        """Write what no backup of before has, and export it."""
        for _ in range(3):
            self.run(_TOKEN)
        self.run('lockgate audit export --out "$NEWEST_EXPORT"')

    def restore(self, lines: list[str]) -> None:
        """Restore line by line; before the recovery, the log must refuse to grow."""
        for line in lines:
            if line.startswith("lockgate audit recover"):
                refused = self.try_to(_TOKEN)

                assert (refused.returncode, "[audit.log_behind]" in refused.stderr) == (3, True), refused.stderr
            self.run(line)

    def verify(self, key: str) -> int:
        """Verify the log against the checkpoints beside it; return how long it is."""
        verdict = orjson.loads(
            self.run(f"lockgate audit verify --data-dir '{self._folder}/data' --key '{key}' --output json")
        )

        assert verdict["verdict"] == "valid"
        size: int = verdict["size"]
        return size


def test_a_sqlite_backup_comes_back(tmp_path: Path) -> None:
    """Back up, go on, restore: refused, then recovered, whole, and growing again."""
    shell = Shell(tmp_path, {})
    back_up, restore = commands("SQLite")
    key = shell.live()
    for line in back_up:
        shell.run(line)
    shell.go_on()
    before = shell.verify(key)
    shell.restore(restore)

    assert shell.verify(key) == before + 1  # and the record that says so
    shell.run(_TOKEN)
    assert shell.verify(key) == before + 2


def test_a_postgresql_dump_comes_back(tmp_path: Path, postgresql_server: PostgreSQLServer) -> None:
    """The same with pg_dump and pg_restore, into an empty database."""
    for program in ("pg_dump", "pg_restore"):
        if not (postgresql_server.programs / program).exists():
            pytest.skip(f"{program} is not there")
    url = postgresql_server.new_database()
    shell = Shell(tmp_path, {"LOCKGATE_DATABASE_URL": url})
    shell.environment["PATH"] = f"{postgresql_server.programs}:{shell.environment['PATH']}"
    password = sql.Literal(postgresql_server.password)
    postgresql_server.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ROLE), password))
    back_up, restore = commands("PostgreSQL")
    key = shell.live()
    for line in back_up:
        shell.run(line)
    shell.go_on()
    before = shell.verify(key)
    shell.environment["LOCKGATE_DATABASE_URL"] = postgresql_server.new_database()
    shell.restore(restore)

    assert shell.verify(key) == before + 1
    restored = shell.environment["LOCKGATE_DATABASE_URL"].rpartition("/")[2]
    shell.environment["LOCKGATE_DATABASE_URL"] = postgresql_server.url(restored, ROLE)
    shell.run(_TOKEN)
    assert shell.verify(key) == before + 2
