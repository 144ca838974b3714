"""From a record to a receiver: at least once, in order where it can be, given up by name; on both databases."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lockgate.audit import Actor
from lockgate.clock import NS_PER_S
from lockgate.delivery import sender, store
from lockgate.delivery.errors import DeliveryUnknownError, SecretInvalidError, SignatureInvalidError
from lockgate.delivery.sender import ATTEMPTS_MAX, CLAIM_S, FAILED_S, GONE_S, RETRY_WAITS_S, UnsubscribedJob
from lockgate.delivery.types import DeliveryState
from lockgate.schemas import check_schema
from lockgate.storage import write_transaction
from lockgate.storage.tables import delivery as delivery_table
from support.receivers import SECRET, DeliveryStand, Message, Receiver, make_delivery_stand, serve_receiver

OTTO = Actor(type="user", id="otto")
NOBODY = "http://127.0.0.1:9"  # the discard port: nobody listens


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[DeliveryStand]:
    """Logs with a subscriber."""
    made = make_delivery_stand(tmp_path, database_url, "production")
    yield made
    made.database.dispose()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that takes everything."""
    with serve_receiver() as made:
        yield made


def test_a_record_arrives_signed(stand: DeliveryStand, receiver: Receiver) -> None:
    """Each event comes once, as a CloudEvent that its schema describes, under a signature that verifies."""
    job = stand.job(receiver.url)
    stand.note()
    (seq,) = stand.withdraw()
    job.run()
    job.run()

    (message,) = receiver.messages
    check_schema("v1/api/event", message.event)
    check_schema("v1/api/event_data", message.event["data"])
    message.verify(stand.clock)
    assert message.headers["content-type"] == "application/cloudevents+json"
    assert message.event["data"]["seq"] == seq
    assert message.event["type"] == "dev.lockgate.promotion.withdrawn.v1"
    (delivery,) = stand.listed()
    assert (delivery.state, delivery.attempts, delivery.status, delivery.code) == ("delivered", 1, 204, "")
    assert delivery.id == message.id


def test_a_new_subscriber_begins_now(stand: DeliveryStand, receiver: Receiver) -> None:
    """What was in the logs before somebody subscribed is not sent; what comes in any log afterwards is, in order."""
    stand.withdraw(count=2)
    job = stand.job(receiver.url)
    main = stand.withdraw(count=3)
    production = stand.withdraw("production", count=2)
    job.run()

    assert receiver.seqs == main + production
    assert {message.event["source"] for message in receiver.messages[:3]} == {"events.example/audit"}
    assert {message.event["source"] for message in receiver.messages[3:]} == {"events.example/audit/production"}


def test_only_what_is_wanted(stand: DeliveryStand, receiver: Receiver) -> None:
    """A subscriber that names types is told of no other, and moves on all the same."""
    job = stand.job(receiver.url, events=frozenset({"dev.lockgate.promotion.expired.v1"}))
    (seq,) = stand.withdraw()
    job.run()

    assert receiver.messages == []
    assert stand.listed() == ()
    assert stand.next_seq() == seq + 1


def test_cdevents(stand: DeliveryStand, receiver: Receiver) -> None:
    """A subscriber that wants CDEvents gets the translation, chosen by our own types."""
    job = stand.job(receiver.url, format="cdevents", events=frozenset({"dev.lockgate.promotion.withdrawn.v1"}))
    stand.withdraw()
    job.run()

    assert receiver.messages[0].event["type"] == "dev.cdevents.approval.closed.0.1.0"
    assert receiver.messages[0].event["datacontenttype"] == "application/cdevents+json"


def test_a_row_says_nothing_of_what_is_sent(stand: DeliveryStand, receiver: Receiver) -> None:
    """Whatever a row claims to be, the log's record at its place is what is signed."""
    receiver.answer = lambda _message: 500
    job = stand.job(receiver.url)
    (seq,) = stand.withdraw()
    job.run()
    with write_transaction(stand.database) as connection:
        connection.execute(delivery_table.update().values(event_type="dev.lockgate.promotion.confirmed.v1"))
    stand.clock.advance(RETRY_WAITS_S[0] * NS_PER_S)
    job.run()

    first, second = receiver.messages
    assert second.body == first.body
    assert (second.event["type"], second.event["data"]["seq"]) == ("dev.lockgate.promotion.withdrawn.v1", seq)


@pytest.mark.parametrize(
    "changes",
    [{"seq": 999}, {"log": "nowhere"}, {"seq": "note"}],
    ids=["no record", "no log", "no event"],
)
def test_a_row_that_leads_elsewhere_is_given_up(
    stand: DeliveryStand, receiver: Receiver, changes: dict[str, object]
) -> None:
    """Where the log has no event for the subscriber nothing is sent, the log says so, and the next one is tried."""
    receiver.answer = lambda _message: 500
    job = stand.job(receiver.url)
    stand.note()
    event, _ = stand.withdraw(count=2)
    job.run()
    of_first = delivery_table.c.id == stand.listed()[0].id
    with write_transaction(stand.database) as connection:
        values = {name: event - 1 if value == "note" else value for name, value in changes.items()}
        connection.execute(delivery_table.update().where(of_first).values(**values))
    receiver.answer = lambda _message: 204
    stand.clock.advance(RETRY_WAITS_S[0] * NS_PER_S)
    job.run()

    given_up, sent = stand.listed()
    assert (given_up.state, given_up.code, sent.state) == ("dead", "delivery.no_event", "delivered")
    assert [message.id for message in receiver.messages] == [given_up.id, sent.id]
    assert stand.recorded() == [("dead", "lockgate")]


def test_retries_follow_the_schedule_and_end(stand: DeliveryStand, receiver: Receiver) -> None:
    """A receiver that refuses is asked again after each wait and not before, under one id; then the log says so."""
    receiver.answer = lambda _message: 500
    job = stand.job(receiver.url)
    stand.withdraw()

    assert job.run() == FAILED_S
    for attempt, wait_s in enumerate(RETRY_WAITS_S, start=1):
        stand.clock.advance(wait_s * NS_PER_S - 1)
        job.run()
        assert len(receiver.messages) == attempt
        stand.clock.advance(1)
        job.run()
        assert len(receiver.messages) == attempt + 1
    stand.clock.advance(10 * 86_400 * NS_PER_S)
    job.run()
    (delivery,) = stand.listed()
    assert len(receiver.messages) == delivery.attempts == ATTEMPTS_MAX
    assert (delivery.state, delivery.status, delivery.code) == ("dead", 500, "delivery.refused")
    assert len({message.id for message in receiver.messages}) == 1
    assert len({message.headers["webhook-timestamp"] for message in receiver.messages}) == ATTEMPTS_MAX
    assert stand.recorded() == [("dead", "lockgate")]


def test_one_refused_event_stops_no_other(stand: DeliveryStand, receiver: Receiver) -> None:
    """What a receiver refuses waits for its turn; the events behind it go on in the next round."""
    job = stand.job(receiver.url)
    refused, *taken = stand.withdraw(count=3)
    receiver.answer = lambda message: 422 if message.event["data"]["seq"] == refused else 204
    job.run()
    job.run()

    assert receiver.seqs == [refused, *taken]
    assert [delivery.state for delivery in stand.listed()] == ["waiting", "delivered", "delivered"]


def test_a_receiver_that_is_down_costs_one_attempt_a_round(stand: DeliveryStand) -> None:
    """However much waits, one failure ends the round."""
    job = stand.job(NOBODY)
    stand.withdraw(count=5)

    assert job.run() == FAILED_S
    assert [delivery.attempts for delivery in stand.listed()] == [1, 0, 0, 0, 0]
    assert stand.listed()[0].code == "outbound.failed"


@pytest.mark.parametrize(("status", "code"), [(301, "delivery.redirected"), (404, "delivery.refused")])
def test_answers_that_are_no_success(stand: DeliveryStand, receiver: Receiver, status: int, code: str) -> None:
    """A redirect is not followed, and its place is not asked."""
    receiver.answer = lambda _message: status
    receiver.headers["Location"] = receiver.url
    job = stand.job(receiver.url)
    stand.withdraw()
    with capture_logs() as lines:
        job.run()

    assert len(receiver.messages) == 1
    assert [(delivery.state, delivery.code) for delivery in stand.listed()] == [("waiting", code)]
    assert [(line["event"], line["code"], line["status"]) for line in lines] == [("delivery_failed", code, status)]


def test_a_huge_answer_is_not_read(stand: DeliveryStand, receiver: Receiver) -> None:
    """A receiver that answers with more than anybody reads has not taken the event."""
    receiver.answer = lambda _message: 200
    receiver.answer_body = bytes(sender.ANSWER_BYTES_MAX + 1)
    job = stand.job(receiver.url)
    stand.withdraw()
    job.run()

    assert [(delivery.status, delivery.code) for delivery in stand.listed()] == [(None, "outbound.failed")]


def test_a_slow_receiver_is_cut_off(stand: DeliveryStand, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does not answer in time has not taken the event."""
    monkeypatch.setattr(sender, "SEND_S_MAX", 0.2)
    release = threading.Event()

    def wait(_message: Message) -> int:
        release.wait(10)
        return 204

    receiver.answer = wait
    job = stand.job(receiver.url)
    stand.withdraw()
    began = time.monotonic()
    job.run()
    took = time.monotonic() - began
    release.set()

    assert took < 5
    assert stand.listed()[0].code == "outbound.failed"


def test_killed_between_sending_and_storing(stand: DeliveryStand, receiver: Receiver) -> None:
    """What was sent, and nobody knows, is sent again after the claim's time, under the same id."""

    class KilledError(BaseException):
        """The process is gone."""

    job = stand.job(receiver.url)
    stand.withdraw()
    with pytest.MonkeyPatch.context() as patched:

        def die(*_args: object) -> None:
            raise KilledError

        patched.setattr(sender.WebhookJob, "_settle", die)
        with pytest.raises(KilledError):
            job.run()
    stand.clock.advance(CLAIM_S * NS_PER_S - 1)
    stand.job(receiver.url)
    before = len(receiver.messages)
    stand.clock.advance(1)
    stand.job(receiver.url)

    assert before == 1
    assert [message.id for message in receiver.messages] == [stand.listed()[0].id] * 2
    assert [(delivery.state, delivery.attempts) for delivery in stand.listed()] == [("delivered", 2)]


def test_several_processes_send_each_event_once(stand: DeliveryStand, receiver: Receiver) -> None:
    """Four at once make one delivery of each event, and none is sent twice."""
    jobs = [stand.job(receiver.url) for _ in range(4)]
    seqs = stand.withdraw(count=12)
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            list(pool.map(lambda job: job.run(), jobs))

    assert sorted(receiver.seqs) == seqs
    assert [delivery.attempts for delivery in stand.listed()] == [1] * len(seqs)


def test_gone_stops_until_somebody_sends_again(stand: DeliveryStand, receiver: Receiver) -> None:
    """A receiver that answers 410 hears nothing more, and loses nothing: a person who redelivers lets it go on."""
    receiver.answer = lambda _message: 410
    job = stand.job(receiver.url)
    first, second = stand.withdraw(count=2)
    job.run()
    stand.clock.advance(86_400 * NS_PER_S)
    (third,) = stand.withdraw()

    assert job.run() == GONE_S
    assert receiver.seqs == [first]
    assert [delivery.state for delivery in stand.listed()] == ["gone", "waiting"]
    receiver.answer = lambda _message: 204
    stand.deliveries.redeliver(OTTO, receiver.messages[0].id, trace="t")
    job.run()
    assert receiver.seqs == [first, first, second, third]
    assert stand.recorded() == [("gone", "lockgate"), ("redelivered", "otto")]


def test_gone_again(stand: DeliveryStand, receiver: Receiver) -> None:
    """A receiver that still wants no more after a redelivery is left alone again."""
    receiver.answer = lambda _message: 410
    job = stand.job(receiver.url)
    stand.withdraw(count=2)
    job.run()
    stand.deliveries.redeliver(OTTO, receiver.messages[0].id, trace="t")
    job.run()

    assert job.run() == GONE_S
    assert len(receiver.messages) == 2


def test_gone_ends_with_a_redelivery_of_any(stand: DeliveryStand, receiver: Receiver) -> None:
    """Whichever delivery a person sends again, the receiver is asked again; what it did not want stays given up."""
    job = stand.job(receiver.url)
    (taken,) = stand.withdraw()
    job.run()
    receiver.answer = lambda _message: 410
    (unwanted,) = stand.withdraw()
    job.run()
    (later,) = stand.withdraw()
    receiver.answer = lambda _message: 204
    stand.deliveries.redeliver(OTTO, receiver.messages[0].id, trace="t")
    job.run()

    assert receiver.seqs == [taken, unwanted, taken, later]
    assert [delivery.state for delivery in stand.listed()] == ["delivered", "dead", "delivered"]


@pytest.mark.parametrize("status", [204, 500])
def test_redelivery(stand: DeliveryStand, receiver: Receiver, status: int) -> None:
    """A dead delivery that a person sends again is tried once, and is delivered or dead again."""
    job = stand.job(receiver.url)
    stand.withdraw()
    receiver.answer = lambda _message: 500
    job.run()
    for wait_s in RETRY_WAITS_S:
        stand.clock.advance(wait_s * NS_PER_S)
        job.run()
    receiver.answer = lambda _message: status
    (dead,) = stand.listed(state="dead")
    again = stand.deliveries.redeliver(OTTO, dead.id, trace="t")
    job.run()
    (after,) = stand.listed()

    assert (again.state, again.attempts) == (DeliveryState.WAITING, ATTEMPTS_MAX)
    assert (after.state, after.attempts) == ("delivered" if status == 204 else "dead", ATTEMPTS_MAX + 1)
    changes = [change for change, _ in stand.recorded()]
    assert changes == ["dead", "redelivered", *(["dead"] if status != 204 else [])]


def test_a_delivered_event_again(stand: DeliveryStand, receiver: Receiver) -> None:
    """What arrived can be sent again too, for a receiver that lost it: the same id and the same bytes."""
    job = stand.job(receiver.url)
    stand.withdraw()
    job.run()
    stand.deliveries.redeliver(OTTO, receiver.messages[0].id, trace="t")
    job.run()

    first, second = receiver.messages
    assert (first.id, first.body) == (second.id, second.body)


def test_redelivery_of_nothing(stand: DeliveryStand) -> None:
    """An id that no delivery has changes nothing, and is not recorded."""
    with pytest.raises(DeliveryUnknownError) as caught:
        stand.deliveries.redeliver(OTTO, "01a1ee56-5e00-7cf9-af7f-e207b52d6636", trace="t")

    assert caught.value.code == "delivery.unknown"
    assert stand.recorded() == []


def test_secrets_change_without_a_gap(stand: DeliveryStand, receiver: Receiver) -> None:
    """While both secrets are named, whoever knows either can verify; afterwards the old one is worth nothing."""
    new = b"n" * 24
    (stand.folder / "new").write_text("whsec_bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5u")
    both = {"secret_file": stand.folder / "new", "former_secret_file": stand.folder / "secret"}
    changing = stand.job(receiver.url, **both)
    stand.withdraw()
    changing.run()
    changed = stand.job(receiver.url, secret_file=stand.folder / "new")
    stand.withdraw()
    changed.run()

    receiver.messages[0].verify(stand.clock, SECRET)
    receiver.messages[0].verify(stand.clock, new)
    receiver.messages[1].verify(stand.clock, new)
    with pytest.raises(SignatureInvalidError):
        receiver.messages[1].verify(stand.clock, SECRET)


def test_a_secret_that_cannot_be_read_sends_nothing(stand: DeliveryStand, receiver: Receiver) -> None:
    """Without a secret nothing leaves, and nothing is counted as an attempt."""
    job = stand.job(receiver.url)
    stand.withdraw()
    (stand.folder / "secret").write_text("whsec_short")
    with pytest.raises(SecretInvalidError) as caught:
        job.run()

    assert "short" not in str(caught.value)
    assert receiver.messages == []
    assert stand.listed()[0].attempts == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_private_address_gets_nothing(stand: DeliveryStand, receiver: Receiver, host: str) -> None:
    """Whatever a name stands for: an address that is not public is found out when connected, and gets no byte."""
    job = stand.job(receiver.url.replace("127.0.0.1", host), public_only=True)
    stand.withdraw()
    job.run()

    assert receiver.messages == []
    assert stand.listed()[0].code == "outbound.peer_private"


def test_what_waits_for_nobody_ends(stand: DeliveryStand, receiver: Receiver) -> None:
    """Deliveries of a subscriber that the settings no longer name are dead; those of others stay."""
    job = stand.job(NOBODY)
    stand.withdraw(count=2)
    job.run()
    UnsubscribedJob(active=frozenset({"bot"}), database=stand.database).run()
    kept = [delivery.state for delivery in stand.listed()]
    UnsubscribedJob(active=frozenset(), database=stand.database).run()

    assert kept == ["waiting", "waiting"]
    assert {(delivery.state, delivery.code) for delivery in stand.listed()} == {("dead", "delivery.unsubscribed")}
    assert receiver.messages == []


def test_pruned_before_it_was_told(stand: DeliveryStand, receiver: Receiver) -> None:
    """Records that were pruned before a subscriber was told of them are passed over, and the log line says which."""
    job = stand.job(receiver.url)
    before = stand.next_seq()
    stand.withdraw(count=4)
    assert before is not None
    with write_transaction(stand.database) as connection:
        connection.exec_driver_sql(
            f"UPDATE audit_head SET first_seq = {before + 3} WHERE log = 'events.example/audit'"  # noqa: S608 - a number
        )
    with capture_logs() as lines:
        job.run()

    assert receiver.seqs == [before + 3]
    assert [(line["event"], line["after"], line["begin"]) for line in lines] == [("events_pruned", before, before + 3)]


def test_backlog(stand: DeliveryStand) -> None:
    """What waits and what was given up is counted by subscriber, with the age of the oldest."""
    job = stand.job(NOBODY)
    began = stand.clock.now_ns()
    stand.withdraw(count=3)
    job.run()
    (seen,) = [delivery for delivery in stand.listed() if delivery.attempts]
    with write_transaction(stand.database) as connection:
        assert store.change_delivery(connection, seen, state="dead")
        assert not store.change_delivery(connection, replace(seen, attempts=7), state="waiting")
    (backlog,) = stand.deliveries.backlogs()

    assert (backlog.subscriber, backlog.waiting, backlog.dead) == ("bot", 2, 1)
    assert backlog.oldest is not None
    assert backlog.oldest > began


def test_backlog_that_nobody_made_deliveries_of(stand: DeliveryStand) -> None:
    """Where nothing delivers, the age of the first record that a subscriber was not told of says so."""
    stand.job(NOBODY)
    told = stand.deliveries.backlogs()
    stand.note("production")
    written = stand.clock.now_ns()
    stand.clock.advance(3600 * NS_PER_S)
    stand.withdraw("production")
    (late,) = stand.deliveries.backlogs()

    assert [(backlog.waiting, backlog.oldest) for backlog in told] == [(0, None)]
    assert (late.waiting, late.dead) == (0, 0)
    assert late.oldest == written
