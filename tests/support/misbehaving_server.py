"""A loopback server that answers every connection as a test says, well or badly."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from lockgate.policy.opa import OPAServer

Behaviour = Callable[[socket.socket], None]


@dataclass(slots=True)
class Misbehaving:
    """The running server."""

    address: OPAServer
    requests: list[bytes] = field(default_factory=list)  # the head of each request that came


@contextmanager
def misbehaving_server(behaviour: Behaviour) -> Iterator[Misbehaving]:
    """Listen, read each request's head, and leave the connection to `behaviour`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        server = Misbehaving(address=OPAServer(host="127.0.0.1", port=listener.getsockname()[1]))
        stop = threading.Event()
        thread = threading.Thread(target=_serve, args=(listener, server, behaviour, stop), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            stop.set()
            thread.join()


def answer(status: int, body: bytes, *headers: str) -> Behaviour:
    """Answer with a status, a body and more headers, and close."""
    head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]

    def behave(connection: socket.socket) -> None:
        connection.sendall("\r\n".join(head).encode() + body)

    return behave


def _serve(listener: socket.socket, server: Misbehaving, behaviour: Behaviour, stop: threading.Event) -> None:
    workers = []
    while not stop.is_set():
        with suppress(TimeoutError):
            connection, _ = listener.accept()
            worker = threading.Thread(target=_handle, args=(connection, server, behaviour), daemon=True)
            worker.start()
            workers.append(worker)
    for worker in workers:
        worker.join()


def _handle(connection: socket.socket, server: Misbehaving, behaviour: Behaviour) -> None:
    # The client hangs up on most of what is done here; that is what is tested.
    with connection, suppress(OSError):
        connection.settimeout(5.0)
        head = b""
        while b"\r\n\r\n" not in head:
            chunk = connection.recv(65536)
            if not chunk:
                return
            head += chunk
        # The rest of the request too: closing before it is read would reset the connection and lose the answer.
        head_text, _, body = head.partition(b"\r\n\r\n")
        lengths = [line for line in head_text.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        missing = int(lengths[0].split(b":")[1]) - len(body) if lengths else 0
        while missing > 0 and (chunk := connection.recv(65536)):
            missing -= len(chunk)
        server.requests.append(head)
        behaviour(connection)
