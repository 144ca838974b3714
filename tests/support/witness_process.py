"""`lockgate witness serve` in a process of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lockgate.audit.formats.cosignatures import WitnessKey, parse_witness_key
from lockgate.audit.formats.log_policy import LogKey, LogPolicy, format_log_policy
from lockgate.audit.formats.notes import VerifierKey

NAME: Final = "witness.example/w1"
_READY_S_MAX: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningWitness:
    """Where it listens, and under which key."""

    url: str
    key: WitnessKey


@contextlib.contextmanager
def serve_witness_process(folder: Path, *logs: VerifierKey) -> Iterator[RunningWitness]:
    """Make a witness of these logs in a new folder and serve it until the block ends."""
    command = [sys.executable, "-m", "lockgate", "witness"]
    made = subprocess.run(
        [*command, "init", "--name", NAME, "--data-dir", folder], check=True, capture_output=True, text=True
    )
    (folder / "logs.policy").write_text(format_log_policy(LogPolicy(logs=tuple(LogKey(key=key) for key in logs))))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    serving: list[str | Path] = [*command, "serve", "--data-dir", folder, "--bind", f"127.0.0.1:{port}"]
    with subprocess.Popen(serving, stderr=subprocess.DEVNULL, start_new_session=True) as server:
        try:
            _wait_for(port, server)
            yield RunningWitness(url=f"http://127.0.0.1:{port}", key=parse_witness_key(made.stdout.strip()))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_S_MAX
    while True:
        assert server.poll() is None
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)
