"""A receiver of webhooks on loopback, which answers as a test says, and a small gate's logs that it is told of."""

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, TypeAlias

from sqlalchemy import Engine

from lockgate.audit import APP_EVENT, Actor, AuditLog, Event, KindCatalogue, create_key_file
from lockgate.canonical_json import parse_json
from lockgate.clock import NS_PER_S, format_timestamp
from lockgate.delivery import store
from lockgate.delivery.deliveries import DELIVERY, DELIVERY_KINDS, Deliveries
from lockgate.delivery.sender import WebhookJob
from lockgate.delivery.standard_webhooks import verify
from lockgate.delivery.types import Delivery, DeliveryFilter
from lockgate.delivery.webhooks import Webhook
from lockgate.gate_logs import Logs
from lockgate.ids import new_id
from lockgate.promotion import GATE_KINDS
from lockgate.storage import open_engine, read_transaction
from support.clocks import FixedClock

SECRET: Final = b"s" * 32
SECRET_TEXT: Final = "whsec_" + base64.b64encode(SECRET).decode()
ORIGIN: Final = "events.example/audit"
_BODY_BYTES_MAX: Final = 1024 * 1024
_MS: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What came in one request."""

    headers: Mapping[str, str]  # by lower-case names
    body: bytes

    @property
    def id(self) -> str:
        """The webhook-id."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        """The envelope."""
        return parse_json(self.body, bytes_max=_BODY_BYTES_MAX)

    def verify(self, clock: FixedClock, *secrets: bytes) -> None:
        """Verify the signature as a receiver does."""
        verify(
            secrets or (SECRET,),
            message_id=self.id,
            timestamp=self.headers["webhook-timestamp"],
            signature=self.headers["webhook-signature"],
            body=self.body,
            now=clock.now_ns(),
        )


Answer: TypeAlias = Callable[[Message], int]
"""Returns the status to answer with; may do more first."""


@dataclass(slots=True)
class Receiver:
    """The running server."""

    url: str
    answer: Answer = field(default=lambda _message: 204)
    messages: list[Message] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)  # of each answer
    answer_body: bytes = b""

    @property
    def seqs(self) -> list[int]:
        """The places of the records that it was told of, in the order in which they came."""
        return [message.event["data"]["seq"] for message in self.messages]


@contextmanager
def serve_receiver() -> Iterator[Receiver]:
    """Serve a receiver until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            message = Message(headers={name.lower(): value for name, value in self.headers.items()}, body=body)
            receiver.messages.append(message)
            with suppress(OSError):  # the sender hangs up on what is too slow or too long
                self.send_response(receiver.answer(message))
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(receiver.answer_body)))
                self.end_headers()
                self.wfile.write(receiver.answer_body)

        def log_message(self, *_args: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(url=f"http://127.0.0.1:{server.server_port}/hook")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStand:
    """Logs of a gate with one subscriber, and everything that a test may want to move."""

    folder: Path
    clock: FixedClock
    database: Engine
    logs: Logs
    deliveries: Deliveries

    def webhook(self, url: str, **changes: Any) -> Webhook:
        """Describe a subscriber on this machine."""
        values: dict[str, Any] = {
            "name": "bot",
            "url": url,
            "secret_file": self.folder / "secret",
            "former_secret_file": None,
            "ca_file": None,
            "events": frozenset(),
            "format": "cloudevents",
            "public_only": False,
            "disabled": False,
        }
        return Webhook(**{**values, **changes})

    def job(self, url: str, **changes: Any) -> WebhookJob:
        """Return the job that tells the subscriber; run once, so that it begins at the end of the logs."""
        job = WebhookJob(
            webhook=self.webhook(url, **changes),
            database=self.database,
            logs=self.logs,
            clock=self.clock,
            public_url="https://gate.example",
        )
        job.run()
        return job

    def withdraw(self, log: str = "", count: int = 1) -> list[int]:
        """Append records that are events; return their places."""
        return [self._append(log, "gate.withdrawal", withdrawal(self.clock)) for _ in range(count)]

    def note(self, log: str = "", count: int = 1) -> None:
        """Append records that are no events."""
        for _ in range(count):
            self._append(log, APP_EVENT, {"event": "noted", "level": "info", "facts": []})

    def listed(self, **wanted: Any) -> tuple[Delivery, ...]:
        """List deliveries, oldest first."""
        return tuple(reversed(self.deliveries.list(DeliveryFilter(**{"limit": 100, **wanted}))))

    def recorded(self) -> list[tuple[str, str]]:
        """Return what the main log says of deliveries: what changed, and who did it."""
        records = [parse_json(one.body, bytes_max=_BODY_BYTES_MAX) for one in self.logs.main.records(kind=DELIVERY)]
        return [(record["body"]["change"], record["actor"]["id"]) for record in records]

    def next_seq(self, log: str = "") -> int | None:
        """Return where the subscriber stands in a log."""
        with read_transaction(self.database) as connection:
            return store.read_next_seq(connection, "bot", log)

    def _append(self, log: str, kind: str, body: dict[str, Any]) -> int:
        self.clock.advance(_MS)
        event = Event(
            id=new_id(self.clock.now_ns()),
            kind=kind,
            actor=Actor(type="user", id="rita"),
            body=body,
            subject="model:fraud-detector",
        )
        return self.logs.named(log).append(event).seq


def withdrawal(clock: FixedClock) -> dict[str, Any]:
    """Return the body of a `gate.withdrawal` record."""
    now = clock.now_ns()
    return {
        "schema_version": 1,
        "promotion_id": new_id(now),
        "withdrawn_at": format_timestamp(now),
        "reason": "",
    }


def make_delivery_stand(folder: Path, url: str, *environments: str) -> DeliveryStand:
    """Make the main log, and one for each environment, in the database at `url`, which has its tables."""
    clock = FixedClock()
    clock.advance(NS_PER_S)
    database = open_engine(url)
    kinds = KindCatalogue({**GATE_KINDS, **DELIVERY_KINDS})

    def make_log(name: str) -> AuditLog:
        origin = f"{ORIGIN}/{name}" if name else ORIGIN
        signer = create_key_file(folder / f"log-{name}.key", origin)
        log = AuditLog(engine=database, signer=signer, clock=clock, catalogue=kinds, instance="test")
        log.create()
        return log

    logs = Logs(main=make_log(""), by_environment={name: make_log(name) for name in environments})
    (folder / "secret").write_text(SECRET_TEXT)
    return DeliveryStand(
        folder=folder,
        clock=clock,
        database=database,
        logs=logs,
        deliveries=Deliveries(database=database, logs=logs, clock=clock, subscribers=("bot",)),
    )
