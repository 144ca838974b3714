"""The stage of the demonstration: a throw-away gate in a folder, and people who type commands at it."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

from lockgate.errors import LockgateError

START_S_MAX: Final = 60.0  # a cold machine compiles the policy's module in a few seconds
COMMAND_S_MAX: Final = 60.0
_POLL_S: Final = 0.1
_PROGRAM: Final = (sys.executable, "-m", "lockgate")


class StageError(LockgateError):
    """The throw-away gate could not be set up; the message says what its process said."""

    code = "demo.stage"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A command that ended."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A folder and the environment in which commands run there."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, arguments: Sequence[str], variables: Mapping[str, str] | None = None) -> Finished:
        """Run one `lockgate` command to its end.

        Args:
            arguments: What stands behind `lockgate`.
            variables: More environment variables, for example a token.

        Raises:
            StageError: It did not end within `COMMAND_S_MAX` seconds.
        """
        try:
            done = subprocess.run(  # noqa: S603 - our own program with our own arguments
                (*_PROGRAM, *arguments),
                cwd=self.folder,
                env={**self.environment, **(variables or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                text=True,
                timeout=COMMAND_S_MAX,
            )
        except subprocess.TimeoutExpired as exc:
            raise StageError(f"'lockgate {arguments[0]}' did not end within {COMMAND_S_MAX:g} s") from exc
        return Finished(exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def run_or_stop(self, arguments: Sequence[str]) -> str:
        """Run a command that belongs to the set-up and return what it printed.

        Raises:
            StageError: It failed.
        """
        done = self.run(arguments)
        if done.exit_code != 0:
            raise StageError(f"'lockgate {' '.join(arguments[:2])}' failed: {done.stderr.strip()[-500:]}")
        return done.stdout

    @contextlib.contextmanager
    def serving(self, port: int, workers: int = 1) -> Iterator[int]:
        """Serve the gate on a loopback port, until the block ends.

        Args:
            port: Which one.
            workers: How many processes serve.

        Returns:
            The process identifier of the server's main process.

        Raises:
            StageError: It was not ready within `START_S_MAX` seconds.
        """
        log = self.folder / "gate.log"
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - our own program with our own arguments
                (*_PROGRAM, "serve", "--bind", f"127.0.0.1:{port}", "--workers", str(workers)),
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            self._wait_until_ready(process, port, log)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _wait_until_ready(self, process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
        deadline = time.monotonic() + START_S_MAX
        session = requests.Session()
        session.trust_env = False  # no proxy stands between us and loopback
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            with contextlib.suppress(requests.RequestException):
                if session.get(f"http://127.0.0.1:{port}/readyz", timeout=2).ok:
                    return
            time.sleep(_POLL_S)
        raise StageError(f"the gate did not get ready: {log.read_text(errors='replace').strip()[-1000:]}")


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
