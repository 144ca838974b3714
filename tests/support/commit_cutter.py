"""A way to a PostgreSQL server that is cut the moment a COMMIT goes through it."""

import select
import socket
import threading
from typing import Final, Self

_COMMIT: Final = b"COMMIT\0"  # the text of the message that psycopg sends
_CHUNK_BYTES: Final = 65536


class CommitCutter:
    """Listens on a free port of 127.0.0.1 for one connection and passes it on to the server's port.

    Args:
        server_port: Where the server listens, on 127.0.0.1.
        reaches_the_server: Whether the COMMIT is passed on, and done, before the connection is cut; its answer is not.
    """

    def __init__(self, server_port: int, *, reaches_the_server: bool) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._server_port = server_port
        self._reaches_the_server = reaches_the_server
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _serve(self) -> None:
        with (
            self._listener,
            self._listener.accept()[0] as client,
            socket.create_connection(("127.0.0.1", self._server_port)) as server,
        ):
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    sent = ready.recv(_CHUNK_BYTES)
                    if _COMMIT in sent:
                        if self._reaches_the_server:
                            server.sendall(sent)
                            server.recv(_CHUNK_BYTES)
                        return
                    (server if ready is client else client).sendall(sent)
