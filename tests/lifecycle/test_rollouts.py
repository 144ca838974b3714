"""From an allow to what runs: permits, reports, steps; every edge one record, and every refusal by its code."""

from pathlib import Path
from typing import Any

import pytest

from lockgate.audit import SYSTEM
from lockgate.audit.keeping.erasing import erase
from lockgate.clock import NS_PER_S
from lockgate.errors import LockgateError
from lockgate.lifecycle.errors import (
    PermitExpiredError,
    PermitHeldError,
    PermitUnknownError,
    PermitUsedError,
    RolloutStepError,
    RolloutUnderWayError,
)
from lockgate.permits import PermitKeyMissingError
from lockgate.policy.wasm import WasmEngine
from lockgate.promotion import EvidenceErasedError, PromotionUnknownError, Verdict
from lockgate.promotion.errors import RolloutStateError
from lockgate.promotion.states import EDGES, EdgeUnknownError, check_edge
from lockgate.promotion.store import move_promotion
from lockgate.promotion.types import PromotionState
from lockgate.schemas import SchemaError
from lockgate.storage import write_transaction
from support.gates import DAY_NS, compile_config, make_gate, policy_config
from support.promotions import SwitchedEngine, freeze, in_parallel
from support.rollouts import DEPLOYER, Deployer, claims_of, digest_of, kinds_of

UNKNOWN = "01936e1a-0000-7000-8000-000000000000"


@pytest.fixture
def deployer(tmp_path: Path, engine: WasmEngine) -> Deployer:
    """Somebody who carries promotions out."""
    return Deployer(gate=make_gate(tmp_path, engine))


@pytest.fixture
def on_either(tmp_path: Path, engine: WasmEngine, database_url: str) -> Deployer:
    """The same, on either database."""
    return Deployer(gate=make_gate(tmp_path, engine, database_url=database_url))


def code_of(raised: type[LockgateError], call: Any, *args: Any, **kwargs: Any) -> str:
    """Return the stable code that a call is refused with."""
    with pytest.raises(raised) as caught:
        call(*args, **kwargs)
    return caught.value.code


def test_the_whole_way_is_one_record_for_each_edge(on_either: Deployer) -> None:
    """Decision, pointer move and observed deployment are three facts in three records, and nothing is skipped."""
    deployer = on_either
    promotion_id = deployer.allow("1")
    states = [deployer.state(promotion_id)]
    permitted = deployer.permit(promotion_id)
    states.append(deployer.state(promotion_id))
    assert permitted.rollout is not None
    deployer.report(
        promotion_id, status="executing", permit_id=permitted.rollout.permit_id, percent=100, former_version="0"
    )
    states.append(deployer.state(promotion_id))
    observed = deployer.observe("1")
    states.append(deployer.state(promotion_id))

    assert states == ["allowed", "permitted", "executing", "confirmed"]
    assert kinds_of(deployer.gate, promotion_id) == [
        "gate.decision",
        "gate.approval",
        "gate.decision",
        "gate.approval",
        "gate.decision",
        "gate.decision",
        "gate.permit",
        "gate.pointer",
        "gate.confirmation",
    ]
    assert observed.result == "confirmed"
    assert permitted.outcome.decision.verdict is Verdict.ALLOW


def test_a_permit_says_what_its_record_says(deployer: Deployer) -> None:
    """The signed claims are those of the record; the record does not hold the permit itself."""
    promotion_id = deployer.allow("1")
    answer = deployer.permit(promotion_id)
    body = deployer.gate.records("gate.permit")[0]["body"]
    claims = claims_of(answer.permit)

    assert claims["jti"] == body["permit_id"]
    assert claims["promotion"] == promotion_id
    assert (claims["aud"], claims["registry"], claims["model"], claims["alias"]) == (
        "pull",
        "builtin",
        "fraud-detector",
        "",
    )
    assert (claims["version"], claims["digest"], claims["environment"]) == ("1", str(digest_of("1")), "production")
    assert claims["exp"] - claims["iat"] == 60
    assert answer.permit not in str(deployer.gate.records())


def test_without_a_key_there_are_no_permits(deployer: Deployer) -> None:
    """A gate without a permit key says so by name; everything else works."""
    promotion_id = deployer.allow("1")
    deployer.gate.services.lifecycle.rollouts._key = None

    assert code_of(PermitKeyMissingError, deployer.permit, promotion_id) == "permit.no_key"
    assert deployer.state(promotion_id) == "allowed"


def test_only_what_is_allowed_gets_a_permit(deployer: Deployer) -> None:
    """Neither what is unknown, pending nor closed gets one."""
    pending = deployer.ask("1")["promotion"]["id"]
    confirmed = deployer.deploy("2")

    assert code_of(PromotionUnknownError, deployer.permit, UNKNOWN) == "promotion.unknown"
    assert code_of(RolloutStateError, deployer.permit, pending) == "rollout.wrong_state"
    assert code_of(RolloutStateError, deployer.permit, confirmed) == "rollout.wrong_state"
    assert len(deployer.gate.records("gate.permit")) == 1


def test_a_permit_is_preceded_by_a_fresh_decision(tmp_path: Path, engine: WasmEngine) -> None:
    """A freeze that began after the allow denies the permit; the decision is the record of the promotion's end."""
    frozen = policy_config(freezes={"freezes": [freeze(from_ns=10**18, until_ns=2**62)]})
    switched = SwitchedEngine(engine)
    deployer = Deployer(gate=make_gate(tmp_path, switched))
    promotion_id = deployer.allow("1")
    switched.now = WasmEngine(compile_config(tmp_path / "frozen", frozen))
    answer = deployer.permit(promotion_id)

    assert answer.permit == ""
    assert answer.outcome.decision.verdict is Verdict.DENY
    assert deployer.state(promotion_id) == "denied"
    assert deployer.gate.records("gate.permit") == []


def test_an_approval_that_ran_out_must_be_given_again(deployer: Deployer) -> None:
    """An allowed promotion whose approvals ended is pending again; approved anew, it gets its permit."""
    promotion_id = deployer.allow("1")
    deployer.gate.clock.advance(4 * DAY_NS)
    answer = deployer.permit(promotion_id)
    state = deployer.state(promotion_id)
    assert deployer.gate.records("gate.permit") == []
    deployer.approve(deployer.gate.call("GET", f"/v1/promotions/{promotion_id}", "rita").json)

    assert (answer.permit, answer.outcome.decision.verdict, state) == ("", Verdict.PENDING, "pending")
    assert deployer.permit(promotion_id).permit != ""


def test_what_is_pending_again_is_under_way_no_more(deployer: Deployer) -> None:
    """A permitted promotion whose approvals ended lets another one go first."""
    promotion_id = deployer.allow("1")
    deployer.permit(promotion_id)
    deployer.gate.clock.advance(4 * DAY_NS)
    deployer.permit(promotion_id)
    other = deployer.allow("2")

    assert deployer.state(promotion_id) == "pending"
    assert deployer.permit(other).permit != ""
    assert deployer.gate.records("gate.rollout_failure") == []


def test_an_engine_that_is_down_gives_no_permit(tmp_path: Path, engine: WasmEngine) -> None:
    """No answer is no permit; the failure is recorded, and the promotion stays where it was."""
    switched = SwitchedEngine(engine)
    deployer = Deployer(gate=make_gate(tmp_path, switched))
    promotion_id = deployer.allow("1")
    switched.broken = True
    code = code_of(LockgateError, deployer.permit, promotion_id)

    assert code == "policy.unavailable"
    assert deployer.gate.records("gate.failure")[0]["body"]["operation"] == "permit"
    assert deployer.state(promotion_id) == "allowed"


def test_an_allowed_promotion_expires(on_either: Deployer) -> None:
    """What nobody carried out in time ends, with a record; and so does what got a permit and no more."""
    deployer = on_either
    allowed, permitted = deployer.allow("1"), deployer.allow("2")
    deployer.permit(permitted)
    deployer.gate.clock.advance(7 * DAY_NS)

    assert code_of(RolloutStateError, deployer.permit, allowed) == "rollout.wrong_state"
    assert (deployer.state(allowed), deployer.state(permitted)) == ("expired", "expired")
    assert len(deployer.gate.records("gate.expiry")) == 2
    assert deployer.permit(deployer.allow("3")).permit != ""


def test_a_permit_is_for_one_use(deployer: Deployer) -> None:
    """Reported twice, it was used; another promotion's permit is unknown."""
    promotion_id = deployer.allow("1")
    permit_id = deployer.permit_id(promotion_id)
    report = {"status": "executing", "percent": 100, "former_version": ""}

    assert code_of(PermitUnknownError, deployer.report, promotion_id, permit_id=UNKNOWN, **report) == "permit.unknown"
    deployer.report(promotion_id, permit_id=permit_id, **report)
    assert code_of(PermitUsedError, deployer.report, promotion_id, permit_id=permit_id, **report) == "permit.used"
    assert len(deployer.gate.records("gate.pointer")) == 1


def test_a_permit_ends(deployer: Deployer) -> None:
    """At its very end it counts no more; another one is given after a fresh decision, and the first is unknown then."""
    promotion_id = deployer.allow("1")
    first = deployer.permit(promotion_id).rollout
    deployer.gate.clock.advance(60 * NS_PER_S)
    assert first is not None
    report = {"status": "executing", "percent": 100, "former_version": ""}
    expired = code_of(PermitExpiredError, deployer.report, promotion_id, permit_id=first.permit_id, **report)
    second = deployer.permit(promotion_id).rollout
    assert second is not None

    assert expired == "permit.expired"
    assert second.permit_id != first.permit_id
    assert (
        code_of(PermitUnknownError, deployer.report, promotion_id, permit_id=first.permit_id, **report)
        == "permit.unknown"
    )
    deployer.report(promotion_id, permit_id=second.permit_id, **report)
    assert deployer.state(promotion_id) == "executing"


def test_one_permit_at_a_time(deployer: Deployer) -> None:
    """While a permit of a promotion counts, whoever asks gets no other one, for any of them may be used."""
    promotion_id = deployer.allow("1")
    deployer.permit(promotion_id)
    deployer.gate.clock.advance(60 * NS_PER_S - 1)
    held = code_of(PermitHeldError, deployer.permit, promotion_id)
    deployer.gate.clock.advance(1)

    assert held == "permit.held"
    assert len(deployer.gate.records("gate.permit")) == 1
    assert deployer.permit(promotion_id).permit != ""


def test_an_executor_gets_another_permit_at_once(deployer: Deployer) -> None:
    """An attempt of the gate's own that failed is repeated with a permit of its own."""
    promotion_id = deployer.allow("1")
    rollouts = deployer.gate.services.lifecycle.rollouts
    permits = {rollouts.permit(SYSTEM, promotion_id, trace=None, target="champion").permit for _ in range(2)}

    assert len(permits - {""}) == 2
    assert code_of(PermitHeldError, deployer.permit, promotion_id) == "permit.held"


def test_one_rollout_at_a_time(deployer: Deployer) -> None:
    """While one is under way another promotion waits; when that one failed it may go."""
    first, second = deployer.allow("1"), deployer.allow("2")
    deployer.execute(first)
    deployer.gate.clock.advance(61 * NS_PER_S)  # its permit ended; but it was used

    assert code_of(RolloutUnderWayError, deployer.permit, second) == "rollout.under_way"
    deployer.report(first, status="failed", code="kserve.unready", detail="no pod became ready")
    assert deployer.state(first) == "failed"
    assert deployer.permit(second).permit != ""
    assert deployer.gate.records("gate.rollout_failure")[0]["body"]["code"] == "kserve.unready"


def test_a_permit_that_nobody_used_blocks_nobody(on_either: Deployer) -> None:
    """When its permit ran out, the promotion gives way to another one, as a failure with a record."""
    deployer = on_either
    first, second = deployer.allow("1"), deployer.allow("2")
    deployer.permit(first)
    deployer.gate.clock.advance(61 * NS_PER_S)
    deployer.permit(second)

    assert (deployer.state(first), deployer.state(second)) == ("failed", "permitted")
    assert deployer.gate.records("gate.rollout_failure")[0]["body"]["code"] == "permit.expired"


def test_each_further_step_is_decided_anew(on_either: Deployer) -> None:
    """A canary's shares only grow, and each has its own decision."""
    deployer = on_either
    promotion_id = deployer.allow("1")
    deployer.execute(promotion_id, percent=5)
    stepped = deployer.report(promotion_id, status="step", percent=50)

    assert stepped.rollout is not None
    assert (stepped.rollout.step, stepped.rollout.percent) == (2, 50)
    assert kinds_of(deployer.gate, promotion_id)[-3:] == ["gate.pointer", "gate.decision", "gate.step"]
    assert code_of(RolloutStepError, deployer.report, promotion_id, status="step", percent=50) == "rollout.no_step"


def test_a_step_is_denied_when_something_changed(tmp_path: Path, engine: WasmEngine) -> None:
    """A freeze during a canary denies the next step; the promotion ends there, and another may begin."""
    frozen = policy_config(freezes={"freezes": [freeze(from_ns=10**18, until_ns=2**62)]})
    switched = SwitchedEngine(engine)
    deployer = Deployer(gate=make_gate(tmp_path, switched))
    promotion_id, other = deployer.allow("1"), deployer.allow("2")
    deployer.execute(promotion_id, percent=5)
    switched.now = WasmEngine(compile_config(tmp_path / "frozen", frozen))
    denied = deployer.report(promotion_id, status="step", percent=50)
    switched.now = engine

    assert denied.outcome.decision.verdict is Verdict.DENY
    assert deployer.state(promotion_id) == "denied"
    assert denied.rollout is not None
    assert denied.rollout.percent == 5
    assert deployer.permit(other).permit != ""


def test_a_step_without_approvals_is_not_taken(deployer: Deployer) -> None:
    """When approvals ran out during a rollout it stays where it is; it is never pending again, for it was moved."""
    promotion_id = deployer.allow("1")
    deployer.execute(promotion_id, percent=5)
    deployer.gate.clock.advance(4 * DAY_NS)
    answer = deployer.report(promotion_id, status="step", percent=50)

    assert answer.outcome.decision.verdict is Verdict.PENDING
    assert deployer.state(promotion_id) == "executing"
    assert deployer.gate.records("gate.step") == []


def test_a_rollout_beyond_the_promotions_time_is_denied(deployer: Deployer) -> None:
    """What was moved does not expire by itself; its next step is denied."""
    promotion_id = deployer.allow("1")
    deployer.execute(promotion_id, percent=5)
    deployer.gate.clock.advance(8 * DAY_NS)
    state = deployer.state(promotion_id)
    answer = deployer.report(promotion_id, status="step", percent=50)

    assert state == "executing"
    assert answer.outcome.decision.verdict is Verdict.DENY


def test_a_report_of_nothing_under_way_is_refused(deployer: Deployer) -> None:
    """Each kind of report needs its state."""
    allowed = deployer.allow("1")
    report = {"status": "executing", "permit_id": UNKNOWN, "percent": 100, "former_version": ""}
    failed = {"status": "failed", "code": "a.b", "detail": ""}

    assert code_of(RolloutStateError, deployer.report, allowed, **report) == "rollout.wrong_state"
    assert code_of(RolloutStateError, deployer.report, allowed, status="step", percent=50) == "rollout.wrong_state"
    assert code_of(RolloutStateError, deployer.report, allowed, **failed) == "rollout.wrong_state"
    assert code_of(SchemaError, deployer.report, allowed, status="confirmed") == "schema.invalid"


def test_two_promotions_that_race_get_one_permit(on_either: Deployer) -> None:
    """Of two asked for at the same moment one is permitted, and the other is told that it is under way."""
    deployer = on_either
    ids = [deployer.allow(version) for version in ("1", "2", "3")]

    def ask(promotion_id: str) -> str:
        try:
            return "permitted" if deployer.permit(promotion_id).permit else "denied"
        except LockgateError as exc:
            return exc.code

    for _ in range(3):
        answers = in_parallel(*(lambda each=each: ask(each) for each in ids))
        won = ids[answers.index("permitted")]

        assert sorted(answers) == ["permitted", *["rollout.under_way"] * (len(ids) - 1)]
        deployer.report(won, status="failed", code="test.over", detail="")
        ids.remove(won)


def test_one_permit_reported_at_the_same_moment_counts_once(on_either: Deployer) -> None:
    """Of racing reports one moves the promotion."""
    deployer = on_either
    promotion_id = deployer.allow("1")
    permit_id = deployer.permit_id(promotion_id)

    def report() -> str:
        try:
            deployer.report(promotion_id, status="executing", permit_id=permit_id, percent=100, former_version="")
        except LockgateError as exc:
            return exc.code
        return "executing"

    assert sorted(in_parallel(*[report] * 4)) == ["executing", *["permit.used"] * 3]
    assert len(deployer.gate.records("gate.pointer")) == 1


def test_erased_evidence_gives_no_permit(deployer: Deployer) -> None:
    """Without its evidence nothing can be decided anew."""
    promotion_id = deployer.allow("1")
    services = deployer.gate.services
    bundles = [item.bundle_sha256 for item in services.register.get(promotion_id).promotion.request.evidence]
    erase(deployer.gate.database, services.log, bundles, reason="asked to", actor=DEPLOYER)

    assert code_of(EvidenceErasedError, deployer.permit, promotion_id) == "promotion.evidence_erased"


def test_the_table_has_no_way_out_of_what_is_final() -> None:
    """Every edge is in the table, and a pair that is not in it is refused as our own defect."""
    for before in PromotionState:
        for after in PromotionState:
            if after in EDGES[before]:
                check_edge(before, after)
            else:
                assert code_of(EdgeUnknownError, check_edge, before, after) == "internal.state_edge"
    final = {state.value for state, after in EDGES.items() if not after}
    assert final == {"confirmed", "failed", "superseded", "denied", "rejected", "withdrawn", "expired"}


def test_the_database_takes_no_way_that_is_not_in_the_table(deployer: Deployer) -> None:
    """Whatever calls for it, what is confirmed stays confirmed."""
    promotion_id = deployer.deploy("1")
    promotion = deployer.gate.services.register.get(promotion_id).promotion
    with write_transaction(deployer.gate.database) as connection:
        code = code_of(
            EdgeUnknownError,
            move_promotion,
            connection,
            promotion_id,
            row_version=promotion.row_version,
            before=PromotionState.CONFIRMED,
            after=PromotionState.ALLOWED,
            decision_id=promotion.decision_id,
        )

    assert (code, deployer.state(promotion_id)) == ("internal.state_edge", "confirmed")
