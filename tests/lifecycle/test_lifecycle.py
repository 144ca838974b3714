"""The whole life of promotions against a small model of it: any order of steps, with the clock going both ways."""

import tempfile
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from lockgate.clock import NS_PER_S
from lockgate.errors import LockgateError
from lockgate.lifecycle.live_store import read_open
from lockgate.policy.wasm import WasmEngine
from lockgate.promotion.states import EDGES, FINAL, UNDER_WAY
from lockgate.promotion.types import PromotionState
from lockgate.storage import read_transaction
from support.gates import DAY_NS, compile_config, make_gate, policy_config
from support.rollouts import MODEL, PRODUCTION, Deployer, rebuilt_intervals, stored_intervals

VERSIONS = ("1", "2", "3")
# The record that each edge is. A decision is the edge unless something follows it.
EDGE_RECORDS = {
    ("allowed", "permitted"): "gate.permit",
    ("permitted", "permitted"): "gate.permit",
    ("permitted", "executing"): "gate.pointer",
    ("executing", "executing"): "gate.step",
    ("executing", "confirmed"): "gate.confirmation",
    ("executing", "failed"): "gate.rollout_failure",
    ("permitted", "failed"): "gate.rollout_failure",
    ("allowed", "superseded"): "gate.supersession",
    ("pending", "expired"): "gate.expiry",
    ("allowed", "expired"): "gate.expiry",
    ("permitted", "expired"): "gate.expiry",
}
AFTER = {
    "gate.permit": "permitted",
    "gate.pointer": "executing",
    "gate.step": "executing",
    "gate.confirmation": "confirmed",
    "gate.rollout_failure": "failed",
    "gate.supersession": "superseded",
    "gate.expiry": "expired",
}
VERDICTS = {"allow": "allowed", "pending": "pending", "deny": "denied"}


class Lives(RuleBasedStateMachine):
    """Promotions of one model into one environment."""

    engine: WasmEngine

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.promotions: dict[str, str] = {}  # id -> version
        self.live = ""  # the version that the model of this test takes for live

    @initialize()
    def begin(self) -> None:
        """Make a gate."""
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.deployer = Deployer(gate=make_gate(Path(folder), self.engine))

    def teardown(self) -> None:
        """Close it."""
        self.deployer.gate.database.dispose()
        self.stack.close()

    def pick(self, choice: int) -> str:
        """Return one of the promotions."""
        ids = list(self.promotions)
        return ids[choice % len(ids)]

    @rule(version=st.sampled_from(VERSIONS))
    def allow(self, version: str) -> None:
        """Somebody asks and people approve; a hold may deny it."""
        answer = self.deployer.ask(version)
        self.promotions[answer["promotion"]["id"]] = version
        self.deployer.approve(answer)

    @precondition(lambda self: self.promotions)
    @rule(choice=st.integers(0, 9))
    def permit(self, choice: int) -> None:
        """Somebody wants to carry one out."""
        refused(lambda: self.deployer.permit(self.pick(choice)))

    @precondition(lambda self: self.promotions)
    @rule(choice=st.integers(0, 9), percent=st.sampled_from([5, 100]))
    def execute(self, choice: int, percent: int) -> None:
        """Somebody gets a permit and uses it."""
        refused(lambda: self.deployer.execute(self.pick(choice), percent=percent))

    @precondition(lambda self: self.promotions)
    @rule(choice=st.integers(0, 9), percent=st.integers(1, 100))
    def step(self, choice: int, percent: int) -> None:
        """Somebody wants to go on."""
        refused(lambda: self.deployer.report(self.pick(choice), status="step", percent=percent))

    @precondition(lambda self: self.promotions)
    @rule(choice=st.integers(0, 9))
    def fail(self, choice: int) -> None:
        """Somebody gives up."""
        refused(lambda: self.deployer.report(self.pick(choice), status="failed", code="test.failed", detail=""))

    @rule(version=st.sampled_from((*VERSIONS, "stranger")))
    def observe(self, version: str) -> None:
        """Somebody sees something run."""
        result = self.deployer.observe(version).result
        assert (result == "unchanged") <= (version == self.live)
        self.live = version

    @rule()
    def roll_back(self) -> None:
        """Somebody wants the last good version back."""
        try:
            promotion_id = self.deployer.roll_back()
        except LockgateError as exc:
            assert exc.code == "rollback.no_good_version"  # noqa: PT017 - any other is a failure
        else:
            self.promotions[promotion_id] = ""

    @rule(nanoseconds=st.sampled_from([NS_PER_S, 61 * NS_PER_S, 4 * DAY_NS, -30 * NS_PER_S]))
    def wait(self, nanoseconds: int) -> None:
        """Time passes, or the clock is set back."""
        self.deployer.gate.clock.advance(nanoseconds)

    @invariant()
    def one_at_most_is_live_and_one_under_way(self) -> None:
        """Never two live versions in one environment; what is live is what was seen last."""
        intervals = stored_intervals(self.deployer.gate)
        with read_transaction(self.deployer.gate.database) as connection:
            open_one = read_open(connection, MODEL, PRODUCTION)
        states = [PromotionState(state) for state in self.states().values()]

        assert [interval for interval in intervals if interval.ends is None] == ([open_one] if open_one else [])
        assert sum(state in UNDER_WAY for state in states) <= 1
        assert all(before.ends == after.begins for before, after in pairwise(intervals))
        assert all(interval.ends is None or interval.begins <= interval.ends for interval in intervals)

    @invariant()
    def the_log_alone_tells_the_same(self) -> None:
        """Intervals made of the records are those that are kept, and so is each promotion's state."""
        assert rebuilt_intervals(self.deployer.gate) == stored_intervals(self.deployer.gate)
        told = self.walk()
        states = self.states()
        assert told == {promotion_id: states[promotion_id] for promotion_id in told}

    def states(self) -> dict[str, str]:
        """Return where each promotion stands, what ran out recorded."""
        for _ in range(2):
            listed = self.deployer.gate.call("GET", "/v1/promotions?limit=100", "rita").json["items"]
        return {item["id"]: item["state"] for item in listed}

    def walk(self) -> dict[str, str]:
        """Follow each promotion along its records; every edge must be one of the table, with its own record."""
        states: dict[str, str] = {}
        decided: dict[str, str] = {}
        for record in self.deployer.gate.records():
            body, kind = record["body"], record["kind"]
            promotion_id = body.get("promotion_id", "")
            if kind == "gate.decision":
                before = states.get(promotion_id, "pending")
                verdict = VERDICTS[body["verdict"]]
                decided[promotion_id] = body["verdict"]
                if before == "executing":  # moved: only a deny ends it
                    verdict = "denied" if verdict == "denied" else "executing"
                elif before == "permitted" and verdict == "allowed":
                    verdict = "permitted"  # its permit follows
                states[promotion_id] = follow(before, verdict)
            elif kind in AFTER:
                before, after = states[promotion_id], AFTER[kind]
                assert EDGE_RECORDS[before, after] == kind
                assert kind not in {"gate.permit", "gate.step"} or decided.pop(promotion_id) == "allow"
                states[promotion_id] = follow(before, after)
        return states


def follow(before: str, after: str) -> str:
    """Return the state after an edge of the table."""
    assert before == after or PromotionState(after) in EDGES[PromotionState(before)]
    assert PromotionState(before) not in FINAL
    return after


def refused(call: object) -> None:
    """Do something, or be told why not by a code that this is about."""
    try:
        call()  # type: ignore[operator]
    except LockgateError as exc:
        assert exc.code.split(".")[0] in {"rollout", "permit"}  # noqa: PT017 - any other is a failure


def test_any_order_of_steps_keeps_what_is_promised(tmp_path: Path) -> None:
    """Every edge is recorded, none is without its decision, one version is live, and the log alone tells it all."""
    Lives.engine = WasmEngine(compile_config(tmp_path, policy_config()))
    Lives.TestCase.settings = settings(
        max_examples=4,
        stateful_step_count=15,
        deadline=None,
        phases=[Phase.generate],  # a step takes some ten milliseconds: to shrink would take minutes
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    Lives.TestCase("runTest").runTest()
