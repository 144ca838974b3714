"""A deployer of somebody else on a loopback port, as docs/howto/roll-out-with-http.md describes one."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from jwt import PyJWK, PyJWS

from lockgate.canonical_json import parse_json
from lockgate.permits import PERMIT_TYP, PermitKey
from lockgate.schemas import check_schema

TOKEN: Final = "what-may-ask-what-runs"
_BODY_BYTES_MAX: Final = 65_536


@dataclass(slots=True)
class FakeDeployer:
    """What it was told, and what runs.

    Attributes:
        done: The keys of orders that were carried out.
        fails: Answer with this status and nothing in it; 0 = do as asked.
        nonsense: Answer questions with this; b"" = with what runs.
    """

    url: str
    key: PermitKey
    running: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    fails: int = 0
    nonsense: bytes = b""

    def take(self, permit: str, key: str, order: dict[str, Any]) -> int:
        """Take an order: verify its permit, compare, carry it out once."""
        check_schema("v1/api/rollout_order", order)
        try:
            (public,) = self.key.jwks()["keys"]
            token = PyJWS().decode_complete(permit, PyJWK(public).key, algorithms=["EdDSA"])
        except Exception:  # noqa: BLE001 - whatever is wrong with it
            return 403
        claims = parse_json(token["payload"], bytes_max=_BODY_BYTES_MAX)
        bound = ("version", "digest", "environment", "alias", "registry")
        if token["header"]["typ"] != PERMIT_TYP or any(claims[name] != order[name] for name in bound):
            return 403
        self.taken.append(order)
        if key in self.done:
            return 200
        if self.running and self.running["version"] != order["former_version"]:
            return 409
        self.done.append(key)
        self.running = {"version": order["version"], "digest": order["digest"]}
        return 202


@contextlib.contextmanager
def running_deployer(key: PermitKey) -> Iterator[FakeDeployer]:
    """Serve it."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            order = parse_json(self.rfile.read(int(self.headers["Content-Length"])), bytes_max=_BODY_BYTES_MAX)
            permit = self.headers["Authorization"].removeprefix("Bearer ")
            self._answer(fake.fails or fake.take(permit, self.headers["Idempotency-Key"], order), b"")

        def do_GET(self) -> None:
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                self._answer(401, b"")
                return
            status = fake.fails or (200 if fake.running else 404)
            self._answer(status, fake.nonsense or json.dumps({"schema_version": 1, **fake.running}).encode())

        def log_message(self, *_: object) -> None:
            pass

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake = FakeDeployer(url=f"http://127.0.0.1:{server.server_port}", key=key)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
