"""Sending: each webhook is a job of its own, which takes over what is new and posts what is due.

An attempt is claimed in one transaction, made outside any, and its result stored in another. Whoever dies in between
has claimed it for `CLAIM_S`; then it is made again, under the same id. So a receiver gets each event at least once.
What is signed is made from the log's record in each attempt: a row of ours says where that is, and nothing of what it
says.
"""

from dataclasses import dataclass, replace
from typing import Final

import structlog
from sqlalchemy import Connection, Engine

from lockgate.audit import SYSTEM, Outcome
from lockgate.clock import NS_PER_S, Clock, EpochNs
from lockgate.delivery import store
from lockgate.delivery.deliveries import delivery_event
from lockgate.delivery.events import MEDIA_TYPE
from lockgate.delivery.reading import read_stretch, view_of
from lockgate.delivery.standard_webhooks import sign
from lockgate.delivery.subscribers import FanOut, find_event
from lockgate.delivery.types import Delivery, DeliveryState
from lockgate.delivery.webhooks import Webhook
from lockgate.gate_logs import Logs
from lockgate.outbound import OutboundError, OutboundRequest, exchange
from lockgate.storage import MovedError, read_transaction, write_transaction

# Between one attempt and the next, in seconds: two days in all, so that a receiver may be down over a weekend day.
# Without jitter: one receiver is asked for one delivery at a time, so that no two attempts of ours meet there.
RETRY_WAITS_S: Final = (5, 30, 120, 600, 3600, 3 * 3600, 6 * 3600, 12 * 3600, 24 * 3600)
ATTEMPTS_MAX: Final = len(RETRY_WAITS_S) + 1
SEND_S_MAX: Final = 15.0  # for one whole exchange; Standard Webhooks recommends 15 to 30 s
CLAIM_S: Final = 60  # four times that: nobody takes over what is still being sent
ANSWER_BYTES_MAX: Final = 64 * 1024  # of an answer that nobody reads; a receiver that sends more is not one
ROUND_DELIVERIES: Final = 100  # before new records get their turn
POLL_S: Final = 1.0  # for new records; a subscriber is told about a second after a decision
FAILED_S: Final = 5.0  # after an attempt that failed, before another event is tried with the same receiver
GONE_S: Final = 30.0  # between looks whether somebody sent again what the receiver wanted no more of
UNSUBSCRIBED_S: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    """How an attempt ended."""

    status: int | None  # of the answer, if one came
    code: str  # why it failed; "" if it did not


_NO_EVENT: Final = _Result(status=None, code="delivery.no_event")


class WebhookJob:
    """Tells one subscriber of events, in the order of the logs as far as its receiver takes each."""

    def __init__(self, *, webhook: Webhook, database: Engine, logs: Logs, clock: Clock, public_url: str) -> None:
        """Take the parts.

        Args:
            webhook: Who is told.
            database: Where deliveries are.
            logs: The gate's logs.
            clock: For times of attempts.
            public_url: Where the gate is reached, without a slash at the end; "" if nobody said.
        """
        self._webhook = webhook
        self._database = database
        self._logs = logs
        self._clock = clock
        self._view = view_of(webhook.format, public_url)
        self._fan_out = FanOut(webhook=webhook, view=self._view, database=database, logs=logs, clock=clock)

    @property
    def name(self) -> str:
        """What log lines call it."""
        return f"webhook-{self._webhook.name}"

    def run(self) -> float:
        """Take over what is new and send what is due; return how many seconds to wait.

        Raises:
            SecretInvalidError: The secret's file cannot be used.
            AuditError: What was given up could not be recorded.
            StorageError: The database failed.
        """
        with read_transaction(self._database) as connection:
            if store.is_gone(connection, self._webhook.name):
                return GONE_S
        at_end = self._fan_out.run()
        secrets = self._webhook.read_secrets()
        with read_transaction(self._database) as connection:
            due = store.due_deliveries(connection, self._webhook.name, self._clock.now_ns(), ROUND_DELIVERIES)
        for delivery in due:
            if not self._attempt(delivery, secrets):
                return FAILED_S
        return POLL_S if at_end and len(due) < ROUND_DELIVERIES else 0

    def _attempt(self, seen: Delivery, secrets: tuple[bytes, ...]) -> bool:
        """Send a delivery; tell whether the next one may be tried: its receiver was not asked, or took it."""
        now = self._clock.now_ns()
        claimed = replace(seen, attempts=seen.attempts + 1, due=EpochNs(now + CLAIM_S * NS_PER_S), tried=now)
        with write_transaction(self._database) as connection:
            if not store.change_delivery(
                connection, seen, attempts=claimed.attempts, due_ns=claimed.due, tried_ns=claimed.tried
            ):
                return True
        body = self._make_body(claimed)
        if body is None:
            self._give_up(claimed, DeliveryState.DEAD, _NO_EVENT)
            return True
        result = self._post(claimed, body, secrets)
        self._settle(claimed, result)
        return not result.code

    def _make_body(self, delivery: Delivery) -> bytes | None:
        """Write the event anew; None where the log has none at this place, or none that the subscriber wants."""
        if delivery.log not in self._logs.names():
            return None
        place = range(delivery.seq, delivery.seq + 1)
        with read_transaction(self._database) as connection:
            records = read_stretch(connection, self._logs.named(delivery.log).origin, place)
        event = find_event(self._webhook, self._view, records[0]) if records else None
        return None if event is None else event.encode()

    def _post(self, delivery: Delivery, body: bytes, secrets: tuple[bytes, ...]) -> _Result:
        webhook = self._webhook
        timestamp_s = self._clock.now_ns() // NS_PER_S
        request = OutboundRequest(
            url=webhook.url,
            timeout_s=SEND_S_MAX,
            answer_bytes_max=ANSWER_BYTES_MAX,
            body=body,
            headers=sign(secrets, message_id=delivery.id, timestamp_s=timestamp_s, body=body),
            content_type=MEDIA_TYPE,
            ca_file=webhook.ca_file,
            public_only=webhook.public_only,
        )
        try:
            status = exchange(request).status
        except OutboundError as exc:
            return _Result(status=None, code=exc.code)
        return _Result(status=status, code=_code_of(status))

    def _settle(self, claimed: Delivery, result: _Result) -> None:
        now = self._clock.now_ns()
        changes = {"status": result.status, "code": result.code}
        if not result.code:
            self._store(claimed, state=DeliveryState.DELIVERED.value, **changes)
            return
        structlog.get_logger().warning(
            "delivery_failed",
            subscriber=claimed.subscriber,
            delivery=claimed.id,
            attempt=claimed.attempts,
            status=result.status,
            code=result.code,
        )
        if result.code == "delivery.gone":
            self._give_up(claimed, DeliveryState.GONE, result)
        elif claimed.attempts >= ATTEMPTS_MAX:
            self._give_up(claimed, DeliveryState.DEAD, result)
        else:
            self._store(claimed, due_ns=now + RETRY_WAITS_S[claimed.attempts - 1] * NS_PER_S, **changes)

    def _store(self, claimed: Delivery, **changes: object) -> None:
        # Where it changed meanwhile, somebody sent it again or took it over: what they find out counts.
        with write_transaction(self._database) as connection:
            store.change_delivery(connection, claimed, **changes)

    def _give_up(self, claimed: Delivery, state: DeliveryState, result: _Result) -> None:
        now = self._clock.now_ns()

        def work(connection: Connection) -> Outcome[None]:
            if not store.change_delivery(
                connection, claimed, state=state.value, status=result.status, code=result.code
            ):
                raise MovedError
            event = delivery_event(claimed, state.value, result.code, actor=SYSTEM, now=now)
            return Outcome(value=None, events=(event,))

        try:
            self._logs.main.transact(work)
        except MovedError:
            return


class UnsubscribedJob:
    """Ends what waits for subscribers that the settings no longer name, or name as disabled."""

    name: Final = "unsubscribed"

    def __init__(self, *, active: frozenset[str], database: Engine) -> None:
        self._active = active
        self._database = database

    def run(self) -> float:
        """End it; return how many seconds to wait.

        Raises:
            StorageError: The database failed.
        """
        with read_transaction(self._database) as connection:
            waited_for = store.subscribers_with_waiting(connection)
        for name in waited_for:
            if name not in self._active:
                with write_transaction(self._database) as connection:
                    ended = store.end_state(connection, name, DeliveryState.WAITING, "delivery.unsubscribed")
                structlog.get_logger().warning("unsubscribed", subscriber=name, deliveries=ended)
        return UNSUBSCRIBED_S


def _code_of(status: int) -> str:
    if 200 <= status < 300:  # noqa: PLR2004 - the range itself
        return ""
    if 300 <= status < 400:  # noqa: PLR2004 - as above; a redirect is followed by nobody
        return "delivery.redirected"
    return "delivery.gone" if status == 410 else "delivery.refused"  # noqa: PLR2004 - the status itself
