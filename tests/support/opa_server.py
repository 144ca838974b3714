"""A real OPA server on a free loopback port, for as long as a test needs it."""

import http.client
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lockgate.policy.opa import OPAServer

START_TIMEOUT_S = 20.0  # a tenth of a second on a quiet machine
_POLL_S = 0.05


@contextmanager
def running_opa(opa: Path, *arguments: str) -> Iterator[OPAServer]:
    """Start OPA, wait until it is healthy, and stop it in the end.

    Args:
        opa: The binary.
        arguments: What it runs with, for example `--bundle`, `bundle.tar.gz`.
    """
    port = _free_port()
    command = [
        str(opa),
        "run",
        "--server",
        "--addr",
        f"127.0.0.1:{port}",
        "--disable-telemetry",
        "--log-level",
        "error",
    ]
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={}
    ) as process:
        try:
            _wait_until_healthy(process, port)
            yield OPAServer(host="127.0.0.1", port=port)
        finally:
            process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
        try:
            connection.request("GET", "/health?bundles=true")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(_POLL_S)
    raise AssertionError("opa did not become healthy")
