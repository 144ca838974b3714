"""What the job that carries promotions out does, whatever goes wrong; with the built-in registry."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lockgate.delivery.executors.errors import ExecutorRefusedError, ExecutorUnavailableError
from lockgate.delivery.executors.port import Applied, Order, Seen
from lockgate.delivery.executors.registry_alias import RegistryAliasExecutor
from lockgate.delivery.rollouts import ATTEMPTS_MAX, CLAIM_S, LOOK_S, RETRY_WAITS_S, UNDECIDED_S
from lockgate.errors import LockgateError
from lockgate.policy import PolicyEngine
from support.attacks import forge
from support.gate_server import json_reply, serve_gate
from support.gates import make_gate
from support.models import register_model, register_version
from support.rollout_jobs import BUILTIN, CHAMPION, RolloutStand, rollout_stand
from support.rollouts import digest_of, kinds_of


@dataclass(slots=True)
class Staged:
    """An executor with shares of traffic that does as it is told, and keeps what it was told."""

    raises: Exception | None = None
    orders: list[tuple[str, int]] = field(default_factory=list)
    running: str = ""
    percent: int = 0
    ready: bool = True

    def apply(self, order: Order) -> Applied:
        """Carry it out, or fail."""
        if self.raises is not None:
            raise self.raises
        self.orders.append((order.version, order.percent))
        self.running, self.percent = order.version, order.percent
        return Applied(former_version=order.former_version, percent=order.percent)

    def observe(self, order: Order) -> Seen | None:
        """Say what runs."""
        return Seen(
            is_ours=self.running == order.version, percent=self.percent, is_ready=self.ready, version=self.running
        )

    def take_back(self, order: Order) -> None:
        """Take the share back."""
        self.orders.append((order.version, 0))
        self.percent = 0


@pytest.fixture
def stand(tmp_path: Path, engine: PolicyEngine) -> RolloutStand:
    """A gate whose built-in registry has two versions and an alias for production."""
    gate = make_gate(tmp_path, engine, registries=[BUILTIN])
    register_model(gate)
    for version in ("1.0.0", "2.0.0"):
        register_version(gate, version=version, digest=str(digest_of(version)))
    return rollout_stand(gate)


def test_an_allowed_promotion_is_carried_out(stand: RolloutStand) -> None:
    """Permit, pointer, confirmation, each a record; `champion-previous` leads to what was there before."""
    first = stand.people.allow("1.0.0")
    stand.run()
    second = stand.people.allow("2.0.0")
    stand.run()

    assert [stand.people.state(one) for one in (first, second)] == ["confirmed", "confirmed"]
    assert (stand.pointer(), stand.pointer("champion-previous")) == ("2.0.0", "1.0.0")
    assert kinds_of(stand.gate, second)[-4:] == ["gate.decision", "gate.permit", "gate.pointer", "gate.confirmation"]
    assert stand.gate.records("gate.pointer")[-1]["body"]["former_version"] == "1.0.0"


def test_what_waits_for_people_is_left_alone(stand: RolloutStand) -> None:
    """Nothing moves without an allow, and nothing where the settings name no executor."""
    pending = stand.people.ask("1.0.0")["promotion"]["id"]
    stand.run()
    pulled = rollout_stand(stand.gate, [{"name": "hand", "type": "pull", "environments": ["production"]}])
    allowed = stand.people.allow("2.0.0")
    pulled.run()

    assert [stand.people.state(one) for one in (pending, allowed)] == ["pending", "allowed"]
    assert stand.pointer() == ""


def test_an_alias_that_was_moved_past_the_gate_is_not_moved_again(stand: RolloutStand) -> None:
    """The promotion fails at once, and the alias stays where somebody put it; a rollback takes it back all the same."""
    stand.people.allow("1.0.0")
    stand.run()
    stand.people.allow("2.0.0")
    stand.run()
    registry = stand.gate.services.registries["builtin"]
    registry.move_pointer("fraud-detector", "champion", "1.0.0", expected="2.0.0", permit="")
    register_version(stand.gate, version="3.0.0", digest=str(digest_of("3.0.0")))
    stranded = stand.people.allow("3.0.0")
    stand.run()
    code, left = stand.failure(), stand.pointer()
    registry.move_pointer("fraud-detector", "champion", "3.0.0", expected="1.0.0", permit="")
    taken_back = stand.people.roll_back(version="1.0.0")
    stand.run()

    assert (stand.people.state(stranded), code, left) == ("failed", "rollout.pointer_moved", "1.0.0")
    assert (stand.people.state(taken_back), stand.pointer()) == ("confirmed", "1.0.0")


def test_a_version_that_is_gone_is_not_brought_anywhere(stand: RolloutStand) -> None:
    """It will not come back: no second try."""
    promotion = stand.people.allow("9.9.9")
    stand.run()

    assert (stand.people.state(promotion), stand.failure()) == ("failed", "rollout.version_gone")
    assert stand.pointer() == ""


@pytest.mark.parametrize("error", [ExecutorUnavailableError("down"), ExecutorRefusedError("permit.used")])
def test_attempts_end(stand: RolloutStand, error: LockgateError) -> None:
    """Each with a permit of its own, decided anew; after the last the promotion has failed, with the reason."""
    staged = Staged(raises=error)
    down = rollout_stand(stand.gate, executors={"champion": staged})
    promotion = down.people.allow("1.0.0")
    down.run()
    for wait_s in RETRY_WAITS_S:
        assert down.people.state(promotion) == "permitted"
        down.run(after_s=wait_s - 1)
        down.run(after_s=1)

    assert (down.people.state(promotion), down.failure()) == ("failed", error.code)
    assert len(down.gate.records("gate.permit")) == ATTEMPTS_MAX
    assert staged.orders == []


def test_another_attempt_may_succeed(stand: RolloutStand) -> None:
    """A registry that was down for a while."""
    staged = Staged(raises=ExecutorUnavailableError("down"))
    down = rollout_stand(stand.gate, executors={"champion": staged})
    promotion = down.people.allow("1.0.0")
    down.run()
    staged.raises = None
    down.run(after_s=RETRY_WAITS_S[0])

    assert down.people.state(promotion) == "confirmed"
    assert staged.orders == [("1.0.0", 100)]


class KilledError(BaseException):
    """The end of the process."""


def test_killed_between_moving_and_reporting(stand: RolloutStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run finds the alias moved, reports it, and moves nothing more."""
    registry = stand.gate.services.registries["builtin"]
    moves: list[str | None] = []
    move = registry.move_pointer

    def die(promotion_id: str, **_: object) -> None:
        raise KilledError(promotion_id)

    def moved(model: str, alias: str, version: str | None, **more: str) -> None:
        moves.append(version)
        move(model, alias, version, expected=more.get("expected"), permit="")

    promotion = stand.people.allow("1.0.0")
    with monkeypatch.context() as patch:
        patch.setattr(stand.job, "_report", die)
        patch.setattr(registry, "move_pointer", moved, raising=True)
        with pytest.raises(KilledError):
            stand.run()
        between = stand.people.state(promotion), stand.pointer()
    again = rollout_stand(stand.gate)
    again.run()
    claimed = stand.people.state(promotion)
    again.run(after_s=CLAIM_S)

    assert (between, claimed) == (("permitted", "1.0.0"), "permitted")
    assert stand.people.state(promotion) == "confirmed"
    assert moves == ["1.0.0"]


def test_killed_between_reporting_and_confirming(stand: RolloutStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run looks, and confirms."""

    def die(promotion: object) -> None:
        raise KilledError(promotion)

    promotion = stand.people.allow("1.0.0")
    with monkeypatch.context() as patch:
        patch.setattr(stand.job, "_attend", die)
        with pytest.raises(KilledError):
            stand.run()
    state = stand.people.state(promotion)
    stand.run(after_s=CLAIM_S)

    assert (state, stand.people.state(promotion)) == ("executing", "confirmed")


def test_moved_again_before_it_was_seen(stand: RolloutStand) -> None:
    """Somebody moves the alias between our report and our look: it failed, and nothing is said to be live."""
    staged = Staged(ready=False)
    job = rollout_stand(stand.gate, executors={"champion": staged})
    promotion = job.people.allow("1.0.0")
    job.run()
    staged.running = "2.0.0"
    job.run(after_s=60)

    assert (job.people.state(promotion), job.failure()) == ("failed", "rollout.pointer_moved")
    assert job.gate.services.lifecycle.live.now("fraud-detector", "production").interval is None


def test_the_newest_is_carried_out_and_supersedes(stand: RolloutStand) -> None:
    """Of two that are allowed, the one that was asked for last."""
    older, newer = stand.people.allow("1.0.0"), stand.people.allow("2.0.0")
    stand.run()

    assert [stand.people.state(one) for one in (older, newer)] == ["superseded", "confirmed"]
    assert stand.pointer() == "2.0.0"


def test_an_older_rollback_does_not_take_the_place_of_a_newer_one(stand: RolloutStand) -> None:
    """While the newer one is carried out the older one waits; once it is confirmed, the older one is superseded."""
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        stand.people.deploy(version)
    older, newer = stand.people.roll_back(version="1.0.0"), stand.people.roll_back(version="2.0.0")
    staged = Staged(ready=False)
    job = rollout_stand(stand.gate, executors={"champion": staged})
    job.run()
    job.run(after_s=LOOK_S)
    meanwhile = [job.people.state(one) for one in (older, newer)]
    staged.ready = True
    job.run(after_s=LOOK_S)

    assert meanwhile == ["allowed", "executing"]
    assert [job.people.state(one) for one in (older, newer)] == ["superseded", "confirmed"]


def test_two_processes_do_no_harm(stand: RolloutStand) -> None:
    """Whoever comes second finds nothing to do."""
    other = rollout_stand(stand.gate)
    promotion = stand.people.allow("1.0.0")
    stand.run()
    other.run()

    assert stand.people.state(promotion) == "confirmed"
    assert len(stand.gate.records("gate.permit")) == 1


def test_a_hold_stops_it(stand: RolloutStand) -> None:
    """After a rollback, what was allowed before is decided anew and denied: the alias stays."""
    stand.people.allow("1.0.0")
    stand.run()
    stand.people.allow("2.0.0")
    stand.run()
    stand.people.roll_back(version="1.0.0")
    stand.run()
    denied = stand.people.ask("2.0.0")["promotion"]["id"]
    stand.run()

    assert stand.pointer() == "1.0.0"
    assert stand.people.state(denied) == "denied"


def test_what_cannot_be_decided_now_is_asked_again_later(stand: RolloutStand, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not each second: each failure is a record."""
    asked: list[str] = []

    def fail(promotion_id: str, target: str) -> None:
        asked.append(promotion_id + target)
        raise LockgateError("no policy engine")

    stand.people.allow("1.0.0")
    monkeypatch.setattr(stand.job, "_ask_permit", fail)
    for _ in range(5):
        stand.run(after_s=1)
    early = len(asked)
    stand.run(after_s=UNDECIDED_S)

    assert (early, len(asked)) == (1, 2)


def test_an_alias_must_be_named(stand: RolloutStand) -> None:
    """A model of a registry without an alias for the environment is not carried out, and says why."""
    bare = rollout_stand(stand.gate, executors={"champion": RegistryAliasExecutor({})})
    promotion = bare.people.allow("1.0.0")
    bare.run()

    assert (bare.people.state(promotion), bare.failure()) == ("failed", "rollout.impossible")


@pytest.mark.parametrize("forged", [{"requester": "ravi"}, {"request": b"{}"}], ids=["changed", "unreadable"])
def test_one_that_the_log_does_not_confirm_holds_up_no_other(stand: RolloutStand, forged: dict[str, Any]) -> None:
    """Its attempt fails and is told; what else is due in that round is carried out, and it is looked at again later."""
    staged = Staged(raises=ExecutorUnavailableError("want an answer"))
    both = {**CHAMPION, "environments": ["staging", "production"]}
    stand = rollout_stand(stand.gate, [both], executors={"champion": staged})
    broken = stand.people.allow("1.0.0")
    stand.run()
    staged.raises = None
    forge(stand.gate, broken, **forged)
    other = stand.people.allow("2.0.0", **{"from": "dev", "to": "staging"})
    stand.run(after_s=RETRY_WAITS_S[0])

    assert stand.code(broken) == "audit.log_inconsistent"
    assert stand.people.state(other) == "confirmed"
    assert staged.orders == [("2.0.0", 100)]


def test_a_registrys_words_stay_out_of_answers_and_records(tmp_path: Path, engine: PolicyEngine) -> None:
    """A registry that repeats our token and permit puts them into no problem, and into no record of the log."""
    (tmp_path / "token").write_text("s3cr3t-registry-token")
    with serve_gate(lambda call: json_reply({"message": str(call.headers)}, status=403)) as server:
        table = {
            "name": "models",
            "type": "mlflow",
            "url": server.url,
            "token_file": "token",
            "aliases": BUILTIN["aliases"],
        }
        gate = make_gate(tmp_path, engine, registries=[table])
        register_model(gate, registry="models")
        read = gate.call("GET", "/v1/models/fraud-detector?pointers=true", "rita")
        stand = rollout_stand(gate)
        promotion = stand.people.allow("2.0.0")
        for wait_s in (0, *RETRY_WAITS_S):
            stand.run(after_s=wait_s)
    records = b"".join(record.body for record in gate.services.log.records(limit=100))

    assert (read.status_code, read.json["code"]) == (502, "registry.refused")
    assert "s3cr3t" not in read.text
    assert (stand.people.state(promotion), stand.failure()) == ("failed", "registry.refused")
    assert b"s3cr3t" not in records
    assert b"Bearer" not in records
