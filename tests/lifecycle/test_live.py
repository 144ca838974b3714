"""What was live when: intervals, out of band and confirmed, and the same made of the audit log alone."""

from pathlib import Path

import pytest

from lockgate.clock import NS_PER_S, EpochNs
from lockgate.lifecycle.errors import EnvironmentUnknownError
from lockgate.lifecycle.live import LiveReader
from lockgate.policy.wasm import WasmEngine
from support.gates import DAY_NS, make_gate
from support.promotions import in_parallel
from support.rollouts import (
    MODEL,
    PRODUCTION,
    Deployer,
    digest_of,
    kinds_of,
    rebuilt_intervals,
    stored_intervals,
)

MINUTE_NS = 60 * NS_PER_S


@pytest.fixture
def deployer(tmp_path: Path, engine: WasmEngine) -> Deployer:
    """Somebody who carries promotions out."""
    return Deployer(gate=make_gate(tmp_path, engine, environment_logs=(PRODUCTION,)))


@pytest.fixture
def on_either(tmp_path: Path, engine: WasmEngine, database_url: str) -> Deployer:
    """The same, on either database."""
    return Deployer(gate=make_gate(tmp_path, engine, database_url=database_url, environment_logs=(PRODUCTION,)))


def live(deployer: Deployer) -> LiveReader:
    """Return who answers."""
    return deployer.gate.services.lifecycle.live


def test_nothing_is_live_before_anything_was_seen(deployer: Deployer) -> None:
    """An allow is no deployment, nor is a pointer that was moved."""
    deployer.execute(deployer.allow("1"))
    answer = live(deployer).now(MODEL, PRODUCTION)

    assert (answer.interval, answer.let_in, answer.held) == (None, None, False)
    assert answer.desired is not None
    assert (answer.desired.request.version, answer.desired.state.value) == ("1", "executing")


def test_a_confirmation_says_who_let_it_in(deployer: Deployer) -> None:
    """Requester, approvers, policy, evidence and the records are answered, of now and of then."""
    promotion_id = deployer.deploy("1")
    seen = deployer.gate.clock.now
    deployer.gate.clock.advance(MINUTE_NS)
    now, then = live(deployer).now(MODEL, PRODUCTION), live(deployer).at(MODEL, PRODUCTION, seen)
    promotion = deployer.gate.services.register.get(promotion_id)

    assert now.let_in is not None
    assert now.let_in == then.let_in
    assert (now.let_in.promotion_id, now.let_in.requester, now.let_in.kind) == (promotion_id, "rita", "promote")
    assert set(now.let_in.approvals) == {("leo", "ml-lead"), ("maya", "risk")}
    assert now.let_in.policy_revision == deployer.gate.services.policy.revision()
    assert now.let_in.evidence == str(promotion.promotion.request.evidence_digest)
    log = deployer.gate.services.logs.named(PRODUCTION)
    assert [(each.kind, each.id) for each in now.let_in.records] == [
        (record["kind"], record["id"])
        for record in deployer.gate.records(log=PRODUCTION)
        if record["seq"] in {each.seq for each in now.let_in.records}
    ]
    assert {each.kind for each in now.let_in.records} == {"gate.decision", "gate.permit", "gate.confirmation"}
    assert log.record_by_id(promotion.promotion.decision_id).seq in {each.seq for each in now.let_in.records}
    assert now.desired is None


def test_intervals_follow_each_other_without_gaps(on_either: Deployer) -> None:
    """At each instant one version was live: from the first of its interval to just before the next one's."""
    deployer = on_either
    first = deployer.deploy("1")
    begun = deployer.gate.clock.now
    deployer.gate.clock.advance(MINUTE_NS)
    deployer.deploy("2")
    changed = deployer.gate.clock.now
    before, at_first, last, after = (
        live(deployer).at(MODEL, PRODUCTION, EpochNs(when)).interval
        for when in (begun - 1000, begun, changed - 1, changed)
    )

    assert before is None
    assert at_first is not None
    assert last is not None
    assert after is not None
    assert (at_first.version, last.version, after.version) == ("1", "1", "2")
    assert (at_first.promotion_id, at_first.begins, at_first.ends) == (first, begun, changed)
    assert (after.begins, after.ends) == (changed, None)
    assert rebuilt_intervals(deployer.gate) == stored_intervals(deployer.gate)


def test_what_nobody_promoted_is_out_of_band(deployer: Deployer) -> None:
    """It is live all the same, by a record without a promotion; and seen again it changes nothing."""
    deployer.deploy("1")
    stranger = deployer.observe("stranger")
    again = deployer.observe("stranger")
    answer = live(deployer).now(MODEL, PRODUCTION)

    assert (stranger.result, again.result, again.receipt) == ("out_of_band", "unchanged", None)
    assert answer.interval is not None
    assert (answer.interval.digest, answer.interval.version) == (str(digest_of("stranger")), "")
    assert (answer.interval.promotion_id, answer.let_in) == ("", None)
    assert len(deployer.gate.records("gate.live", log=PRODUCTION)) == 1
    assert rebuilt_intervals(deployer.gate) == stored_intervals(deployer.gate)


def test_what_was_live_before_is_out_of_band_when_it_comes_back_by_itself(deployer: Deployer) -> None:
    """A version of before needs a promotion again."""
    deployer.deploy("1")
    deployer.deploy("2")

    assert deployer.observe("1").result == "out_of_band"


def test_a_deployment_seen_while_its_permit_holds_also_used_it(deployer: Deployer) -> None:
    """Two edges, two records: the pointer move is told by the observation. The permit cannot be used again."""
    promotion_id = deployer.allow("1")
    deployer.permit(promotion_id)
    answer = deployer.observe("1")

    assert answer.result == "confirmed"
    assert kinds_of(deployer.gate, promotion_id, PRODUCTION)[-3:] == [
        "gate.permit",
        "gate.pointer",
        "gate.confirmation",
    ]
    assert deployer.gate.records("gate.pointer", log=PRODUCTION)[0]["body"]["told_by"] == "observation"


def test_a_deployment_seen_after_its_permit_ended_is_out_of_band(deployer: Deployer) -> None:
    """An unused permit is no right for ever; with a new permit the same version is confirmed."""
    promotion_id = deployer.allow("1")
    deployer.permit(promotion_id)
    deployer.gate.clock.advance(61 * NS_PER_S)
    late = deployer.observe("1")
    deployer.execute(promotion_id)
    confirmed = deployer.observe("1")

    assert (late.result, confirmed.result) == ("out_of_band", "confirmed")
    assert [interval.promotion_id for interval in stored_intervals(deployer.gate)] == ["", promotion_id]


def test_another_digest_during_a_rollout_confirms_nothing(deployer: Deployer) -> None:
    """The old version seen is no news, a strange one is out of band, and the rollout goes on."""
    deployer.deploy("1")
    promotion_id = deployer.allow("2")
    deployer.execute(promotion_id)

    assert deployer.observe("1").result == "unchanged"
    assert deployer.observe("stranger").result == "out_of_band"
    assert deployer.state(promotion_id) == "executing"
    assert deployer.observe("2").result == "confirmed"


def test_a_confirmation_supersedes_what_was_allowed_before(on_either: Deployer) -> None:
    """Older promotions into the environment end with a record; later ones and other environments stay."""
    deployer = on_either
    older, chosen, newer = deployer.allow("1"), deployer.allow("2"), deployer.allow("3")
    elsewhere = deployer.allow("1", **{"from": "dev", "to": "staging"})
    deployer.execute(chosen)
    deployer.observe("2")

    assert [deployer.state(each) for each in (older, chosen, newer, elsewhere)] == [
        "superseded",
        "confirmed",
        "allowed",
        "allowed",
    ]
    body = deployer.gate.records("gate.supersession", log=PRODUCTION)[0]["body"]
    assert (body["promotion_id"], body["superseded_by"]) == (older, chosen)
    desired = live(deployer).now(MODEL, PRODUCTION).desired
    assert desired is not None
    assert desired.id == newer


def test_a_clock_that_steps_back_makes_no_interval_end_before_it_began(on_either: Deployer) -> None:
    """The next one begins where the last one began, and the record holds both times."""
    deployer = on_either
    deployer.deploy("1")
    begun = deployer.gate.clock.now
    deployer.gate.clock.advance(-MINUTE_NS)
    deployer.observe("stranger")
    deployer.gate.clock.advance(2 * MINUTE_NS)
    first, second = stored_intervals(deployer.gate)
    body = deployer.gate.records("gate.live", log=PRODUCTION)[0]["body"]

    assert (first.begins, first.ends, second.begins) == (begun, begun, begun)
    assert body["live_from"] > body["observed_at"]
    at_once = live(deployer).at(MODEL, PRODUCTION, begun).interval
    assert at_once is not None
    assert at_once.promotion_id == ""
    assert rebuilt_intervals(deployer.gate) == stored_intervals(deployer.gate)


def test_an_environment_that_the_policy_does_not_know_is_refused(deployer: Deployer) -> None:
    """Nobody fills the table with names of their own."""
    with pytest.raises(EnvironmentUnknownError) as caught:
        deployer.observe("1", environment="moon")

    assert caught.value.code == "environment.unknown"


def test_observations_at_the_same_moment_make_one_interval(on_either: Deployer) -> None:
    """Of racing observations one confirms; the others see it live already."""
    deployer = on_either
    promotion_id = deployer.allow("1")
    deployer.execute(promotion_id)
    results = in_parallel(*[lambda: deployer.observe("1").result] * 4)

    assert sorted(results) == ["confirmed", "unchanged", "unchanged", "unchanged"]
    assert len(stored_intervals(deployer.gate)) == 1


def test_history_is_paged_newest_first(deployer: Deployer) -> None:
    """Each interval once, by a cursor."""
    for version in ("a", "b", "c"):
        deployer.observe(version)
        deployer.gate.clock.advance(MINUTE_NS)
    first = live(deployer).history(MODEL, PRODUCTION, limit=2)
    rest = live(deployer).history(MODEL, PRODUCTION, before=first[-1][0], limit=2)

    assert [interval.digest for _, interval in (*first, *rest)] == [str(digest_of(each)) for each in ("c", "b", "a")]


def test_the_newest_allowed_is_desired_until_its_time_runs_out(deployer: Deployer) -> None:
    """Whoever pulls is told what to run next, and nothing that may no longer be."""
    deployer.allow("1")
    newest = deployer.allow("2")
    desired = live(deployer).now(MODEL, PRODUCTION).desired
    deployer.gate.clock.advance(7 * DAY_NS)

    assert desired is not None
    assert (desired.id, desired.state.value) == (newest, "allowed")
    assert live(deployer).now(MODEL, PRODUCTION).desired is None
