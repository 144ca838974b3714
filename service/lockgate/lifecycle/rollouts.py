"""Carrying a promotion out: a permit, then what the executor reports. Each edge is one record, in one transaction.

A permit always follows a decision made just now, and so does each step after it: what changed since the last one
(an approval, evidence, a freeze, a hold) counts before anything moves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine

from lockgate.audit import Actor, Event, Outcome
from lockgate.clock import Clock, EpochNs, format_timestamp, is_expired, now_us
from lockgate.gate_logs import Logs, Occasion
from lockgate.lifecycle.errors import (
    PermitExpiredError,
    PermitHeldError,
    PermitUnknownError,
    PermitUsedError,
    RolloutStepError,
    RolloutUnderWayError,
)
from lockgate.lifecycle.holds import place_hold
from lockgate.lifecycle.leaving import find_leaving
from lockgate.lifecycle.pointers import PULL, Pointers
from lockgate.lifecycle.recorded_permits import RecordedPermit, find_permit
from lockgate.lifecycle.rollout_parsing import PointerMoved, RolloutFailed, StepWanted, parse_report
from lockgate.lifecycle.rollout_records import failure_event, permit_event, pointer_event, step_event
from lockgate.lifecycle.types import RolloutAnswer
from lockgate.permits import PERMIT_LIFE_NS, Permit, PermitKey, PermitKeyMissingError
from lockgate.promotion import rollout_store, store
from lockgate.promotion.change_ids import next_permit_id
from lockgate.promotion.deciding import Decider, Following
from lockgate.promotion.errors import RolloutStateError
from lockgate.promotion.recorded_holds import find_recorded
from lockgate.promotion.register import Register, settle
from lockgate.promotion.rows import move, promotion_from_row
from lockgate.promotion.states import UNDER_WAY
from lockgate.promotion.types import Decision, Promotion, PromotionState, Rollout, Verdict
from lockgate.storage import MovedError, read_transaction

ROLLED_BACK: Final = "rollout.rolled_back"  # why a rollout failed: a rollback took its place
_AFTER_PERMIT: Final = {
    Verdict.ALLOW: PromotionState.PERMITTED,
    Verdict.PENDING: PromotionState.PENDING,
    Verdict.DENY: PromotionState.DENIED,
}
_AFTER_STEP: Final = {
    Verdict.ALLOW: PromotionState.EXECUTING,
    Verdict.PENDING: PromotionState.EXECUTING,  # the pointer was moved; but the step is not taken
    Verdict.DENY: PromotionState.DENIED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rival:
    """Another rollout of the model into the environment, which gives way."""

    promotion: Promotion
    rollout: Rollout
    code: str  # why it gives way


class Rollouts:
    """Gives permits, and takes reports."""

    def __init__(  # noqa: PLR0913 - each argument is one part
        self,
        *,
        database: Engine,
        logs: Logs,
        decider: Decider,
        register: Register,
        pointers: Pointers,
        clock: Clock,
        key: PermitKey | None,
    ) -> None:
        self._database = database
        self._logs = logs
        self._decider = decider
        self._register = register
        self._pointers = pointers
        self._clock = clock
        self._key = key

    def permit(self, actor: Actor, promotion_id: str, *, trace: str | None, target: str = PULL) -> RolloutAnswer:
        """Decide a promotion anew and, if it is still allowed, give a permit to carry it out.

        One that was permitted gets another permit once the one before has ended: whoever verifies permits alone lets
        each count until then. An executor of the settings gets one at once, for it holds none beyond the attempt that
        it makes with it; what guards a pointer takes an older one no more after a newer one (`formats/permit.md`).

        Args:
            actor: Who carries it out.
            promotion_id: An allowed promotion, or a permitted one.
            trace: The HTTP request's id.
            target: The executor's name in the settings; `PULL` for whoever asks.

        Raises:
            PermitKeyMissingError: This gate has no permit key.
            PromotionUnknownError: There is no such promotion.
            RolloutStateError: It is neither allowed nor permitted.
            PermitHeldError: It has a permit that did not end yet.
            RolloutUnderWayError: Another promotion of the model into the environment is being carried out.
            LogInconsistentError: The promotion, or what the model is registered as, is not as the log has it.
            LockgateError: As `Decider.decide_anew`.
        """
        if self._key is None:
            raise PermitKeyMissingError("want a permit key: 'lockgate init' makes it (permit_key_file)")
        key = self._key

        def attempt() -> RolloutAnswer:
            now = now_us(self._clock)
            wanted = (PromotionState.ALLOWED, PromotionState.PERMITTED)
            promotion, approvals = self._register.in_state(promotion_id, now, wanted)
            if target == PULL and promotion.state is PromotionState.PERMITTED:
                self._check_permit_ended(promotion, now)
            rival = self._find_rival(promotion, now)
            permit = self._new_permit(promotion, now, target)
            occasion = Occasion(actor=actor, model=promotion.request.model, now=now, trace=trace)
            follow = self._follow_permit(permit, target, rival, occasion)
            with self._decider.failures_recorded(promotion, "permit", occasion):
                receipts, outcome = self._decider.decide_anew(promotion, approvals, occasion, follow)
            signed = key.sign_permit(permit) if outcome.decision.verdict is Verdict.ALLOW else ""
            return RolloutAnswer(outcome=outcome, rollout=self._read(promotion_id), receipt=receipts[-1], permit=signed)

        return settle(attempt)

    def report(self, actor: Actor, promotion_id: str, body: bytes, *, trace: str | None) -> RolloutAnswer:
        """Take down what the executor of a promotion did, or decide whether it may go on.

        Args:
            actor: Who carries it out.
            promotion_id: A permitted or executing promotion.
            body: As `v1/api/rollout_report`.
            trace: The HTTP request's id.

        Raises:
            MalformedJSONError: `body` is not one JSON value within the limits.
            SchemaError: `body` breaks its schema.
            PromotionUnknownError: There is no such promotion.
            RolloutStateError: It does not stand where it must for this.
            PermitUnknownError: The permit is not the newest one of this promotion.
            PermitUsedError: The permit was used before.
            PermitExpiredError: The permit ran out before this was reported.
            RolloutStepError: The step leads back.
            LockgateError: For a step, as `Decider.decide_anew`.
            AuditError: It could not be recorded.
            StorageError: The database failed.
        """
        report = parse_report(body)

        def attempt() -> RolloutAnswer:
            match report:
                case PointerMoved():
                    return self._use_permit(actor, promotion_id, report, trace)
                case StepWanted():
                    return self._take_step(actor, promotion_id, report.percent, trace)
                case RolloutFailed():
                    return self._fail(actor, promotion_id, report, trace)

        return settle(attempt)

    # --- permits --------------------------------------------------------------------------------------------------

    def _new_permit(self, promotion: Promotion, now: EpochNs, target: str) -> Permit:
        request = promotion.request
        environment = request.transition.to_environment
        pointer = self._pointers.find(request.model, environment)
        return Permit(
            id=next_permit_id(promotion),
            issuer=self._logs.named(promotion.log).origin,
            audience=pointer.registry if pointer.alias else target,
            issued=now,
            expires=EpochNs(min(now + PERMIT_LIFE_NS, promotion.expires)),
            promotion=promotion.id,
            registry=pointer.registry,
            registry_model=pointer.registry_model,
            alias=pointer.alias,
            version=request.version,
            digest=str(request.digest),
            environment=environment,
        )

    def _follow_permit(
        self, permit: Permit, target: str, rival: _Rival | None, occasion: Occasion
    ) -> Callable[[Promotion, Decision], Following]:
        def follow(promotion: Promotion, decision: Decision) -> Following:
            request = promotion.request
            recorded = find_recorded(self._logs, request.model, request.transition.to_environment)
            moved = rival.promotion if rival and rival.promotion.state is PromotionState.EXECUTING else None
            is_rollback = request.transition.kind == "rollback"
            left = find_leaving(self._database, self._logs, promotion, moved) if is_rollback else ()

            def work(connection: Connection) -> tuple[Event, ...]:
                if decision.verdict is not Verdict.ALLOW:
                    rollout_store.end_rollout(connection, promotion.id)
                    return ()
                events = _make_room(connection, promotion, rival, occasion)
                rollout_store.put_permitted(connection, permit, request.model, target)
                events += (permit_event(occasion, promotion, permit),)
                if is_rollback:
                    events += place_hold(connection, occasion, promotion, left, recorded)
                return events

            return Following(state=_AFTER_PERMIT[decision.verdict], work=work)

        return follow

    def _find_rival(self, promotion: Promotion, now: EpochNs) -> _Rival | None:
        request = promotion.request
        with read_transaction(self._database) as connection:
            other = rollout_store.rollout_under_way(connection, request.model, request.transition.to_environment)
            if other is None or other.promotion_id == promotion.id:
                return None
            row = store.read_promotion_row(connection, other.promotion_id)
        if row is None:
            raise MovedError
        rival = promotion_from_row(row, now)
        if rival.state not in UNDER_WAY:
            raise MovedError  # its time ran out just now: it is closed on the next look
        if rival.log == promotion.log:  # all records of one transaction go to one log
            if request.transition.kind == "rollback":
                return _Rival(promotion=rival, rollout=other, code=ROLLED_BACK)
            if rival.state is PromotionState.PERMITTED and is_expired(self._find_permit(rival, other).expires, now):
                return _Rival(promotion=rival, rollout=other, code=PermitExpiredError.code)
        raise RolloutUnderWayError(
            f"want no other rollout of the model into the environment, got promotion {rival.id}, {rival.state.value}"
        )

    def _check_permit_ended(self, promotion: Promotion, now: EpochNs) -> None:
        ends = self._find_permit(promotion, self._rollout_of(promotion.id)).expires
        if not is_expired(ends, now):
            raise PermitHeldError(
                f"want the promotion's permit to have ended, got one that holds until {format_timestamp(ends)}"
            )

    def _find_permit(self, promotion: Promotion, rollout: Rollout) -> RecordedPermit:
        return find_permit(self._logs.named(promotion.log), promotion, rollout.permit_id)

    # --- reports --------------------------------------------------------------------------------------------------

    def _use_permit(self, actor: Actor, promotion_id: str, report: PointerMoved, trace: str | None) -> RolloutAnswer:
        now = now_us(self._clock)
        promotion, rollout = self._under_way(promotion_id, now)
        if report.permit_id != rollout.permit_id:
            raise PermitUnknownError("want the newest permit of this promotion, got another one")
        if promotion.state is PromotionState.EXECUTING:
            raise PermitUsedError("want a permit that was not used, got one that was; each is for one use")
        permit = self._find_permit(promotion, rollout)
        occasion = Occasion(actor=actor, model=promotion.request.model, now=now, trace=trace)

        def work(connection: Connection) -> tuple[Event, ...]:
            if is_expired(permit.expires, self._clock.now_ns()):
                raise PermitExpiredError("want a permit that is reported before it ends; ask for another one")
            if not rollout_store.use_permit(connection, rollout, percent=report.percent, now=now):
                raise MovedError
            return (
                pointer_event(
                    occasion,
                    promotion,
                    permit.pointer,
                    permit_id=rollout.permit_id,
                    former_version=report.former_version,
                    percent=report.percent,
                    told_by="report",
                ),
            )

        return self._move(promotion, PromotionState.EXECUTING, work)

    def _take_step(self, actor: Actor, promotion_id: str, percent: int, trace: str | None) -> RolloutAnswer:
        now = now_us(self._clock)
        promotion, approvals = self._register.in_state(promotion_id, now, (PromotionState.EXECUTING,))
        rollout = self._rollout_of(promotion_id)
        if percent <= rollout.percent:
            raise RolloutStepError(f"want more than the {rollout.percent} percent of before, got {percent}")
        occasion = Occasion(actor=actor, model=promotion.request.model, now=now, trace=trace)

        def follow(redecided: Promotion, decision: Decision) -> Following:
            def work(connection: Connection) -> tuple[Event, ...]:
                if decision.verdict is Verdict.DENY:
                    rollout_store.end_rollout(connection, promotion_id)
                if decision.verdict is not Verdict.ALLOW:
                    return ()
                if not rollout_store.take_step(connection, rollout, percent=percent):
                    raise MovedError
                return (step_event(occasion, redecided, step=rollout.step + 1, percent=percent),)

            return Following(state=_AFTER_STEP[decision.verdict], work=work)

        with self._decider.failures_recorded(promotion, "step", occasion):
            receipts, outcome = self._decider.decide_anew(promotion, approvals, occasion, follow)
        return RolloutAnswer(outcome=outcome, rollout=self._read(promotion_id), receipt=receipts[-1])

    def _fail(self, actor: Actor, promotion_id: str, report: RolloutFailed, trace: str | None) -> RolloutAnswer:
        now = now_us(self._clock)
        promotion, _ = self._under_way(promotion_id, now)
        occasion = Occasion(actor=actor, model=promotion.request.model, now=now, trace=trace)

        def work(connection: Connection) -> tuple[Event, ...]:
            rollout_store.end_rollout(connection, promotion_id, code=report.code)
            return (failure_event(occasion, promotion, code=report.code, detail=report.detail),)

        return self._move(promotion, PromotionState.FAILED, work)

    def _move(
        self, promotion: Promotion, state: PromotionState, work: Callable[[Connection], tuple[Event, ...]]
    ) -> RolloutAnswer:
        def moved(connection: Connection) -> Outcome[None]:
            move(connection, promotion, state)
            return Outcome(value=None, events=work(connection))

        receipt = self._logs.named(promotion.log).transact(moved).receipts[-1]
        outcome = self._register.get(promotion.id)
        return RolloutAnswer(outcome=outcome, rollout=self._read(promotion.id), receipt=receipt)

    def _under_way(self, promotion_id: str, now: EpochNs) -> tuple[Promotion, Rollout]:
        promotion, _ = self._register.in_state(promotion_id, now, (PromotionState.PERMITTED, PromotionState.EXECUTING))
        return promotion, self._rollout_of(promotion_id)

    def _rollout_of(self, promotion_id: str) -> Rollout:
        rollout = self._read(promotion_id)
        if rollout is None:
            raise RolloutStateError("want a promotion with a rollout, got one without")
        return rollout

    def _read(self, promotion_id: str) -> Rollout | None:
        with read_transaction(self._database) as connection:
            return rollout_store.read_rollout(connection, promotion_id)


def _make_room(
    connection: Connection, promotion: Promotion, rival: _Rival | None, occasion: Occasion
) -> tuple[Event, ...]:
    request = promotion.request
    there = rollout_store.rollout_under_way(connection, request.model, request.transition.to_environment)
    if there is not None and there.promotion_id == promotion.id:
        return ()
    if there != (None if rival is None else rival.rollout):
        raise MovedError
    if rival is None:
        return ()
    failed = rival.promotion
    move(connection, failed, PromotionState.FAILED)
    rollout_store.end_rollout(connection, failed.id, code=rival.code)
    return (failure_event(occasion, failed, code=rival.code, detail=f"promotion {promotion.id} took its place"),)
