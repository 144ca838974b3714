"""What was seen to run: it confirms a promotion, or shows that something is there which nobody promoted.

An allow is no deployment until it is observed; and what is observed is what is live, whoever brought it there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, Engine

from lockgate.audit import Actor, Event, LogInconsistentError, Outcome
from lockgate.clock import Clock, EpochNs, is_expired, now_us
from lockgate.gate_logs import Logs, Occasion
from lockgate.ids import new_id
from lockgate.lifecycle import live_store
from lockgate.lifecycle.errors import EnvironmentUnknownError
from lockgate.lifecycle.intervals import LiveInterval, begin_after
from lockgate.lifecycle.recorded_intervals import check_interval
from lockgate.lifecycle.recorded_permits import RecordedPermit, find_permit
from lockgate.lifecycle.rollout_parsing import Observation, parse_observation
from lockgate.lifecycle.rollout_records import (
    confirmation_event,
    live_event,
    pointer_event,
    seconds_between,
    supersession_event,
)
from lockgate.lifecycle.types import ObservationAnswer
from lockgate.policy import PolicyInForce
from lockgate.promotion import rollout_store, store
from lockgate.promotion.change_ids import next_id
from lockgate.promotion.register import settle
from lockgate.promotion.rows import check_recorded, find_recorded_row, move, promotion_from_row
from lockgate.promotion.states import UNDER_WAY
from lockgate.promotion.types import WHOLE_PERCENT, Promotion, PromotionState, Rollout
from lockgate.storage import MovedError, read_transaction

SUPERSEDED_MAX: Final = 50  # older promotions that one confirmation closes; the log takes 64 events in one transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What stood in the database when an observation came in."""

    live: LiveInterval | None
    is_recorded: bool  # what is live is as the log has it
    awaited: Promotion | None  # carried out now, with exactly this digest
    rollout: Rollout | None  # the one under way, whatever its digest
    permit: RecordedPermit | None = None  # of what is awaited, where nobody reported yet that it was used


class Observations:
    """Takes observations."""

    def __init__(self, *, database: Engine, logs: Logs, policy: PolicyInForce, clock: Clock) -> None:
        self._database = database
        self._logs = logs
        self._policy = policy
        self._clock = clock

    def observe(
        self, actor: Actor, model: str, environment: str, body: bytes, *, trace: str | None
    ) -> ObservationAnswer:
        """Take down what somebody saw running.

        The steps, of which the first that fits is the answer:
          (1) The digest of the promotion that is being carried out confirms it. Seen while its permit holds, that
              also says that the permit was used.
          (2) The digest that is live already, by the log's word, changes nothing.
          (3) Any other digest is out of band, whatever its history.

        Args:
            actor: Who saw it.
            model: The model, as promotions name it.
            environment: Where.
            body: As `v1/api/observation`.
            trace: The HTTP request's id.

        Raises:
            MalformedJSONError: `body` is not one JSON value within the limits.
            SchemaError: `body` breaks its schema.
            EnvironmentUnknownError: The policy in force knows no such environment.
            LogNotConfiguredError: The log that holds the promotion is not one of this gate.
            ContendedError: Others kept changing what is live.
            AuditError: It could not be recorded.
            StorageError: The database failed.
        """
        seen = parse_observation(body)
        if environment not in self._policy.engine.catalogue().environments:
            raise EnvironmentUnknownError(f"want an environment of the policy, got {environment[:64]!r}")

        def attempt() -> ObservationAnswer:
            now = now_us(self._clock)
            occasion = Occasion(actor=actor, model=model, now=now, trace=trace)
            stands = self._look(model, environment, str(seen.digest), now)
            # (1) What is being carried out.
            if stands.awaited is not None and stands.rollout is not None:
                return self._confirm(stands.awaited, stands.rollout, stands, occasion)
            # (2) What is live already.
            if stands.live is not None and stands.is_recorded and stands.live.digest == str(seen.digest):
                return ObservationAnswer(result="unchanged", interval=stands.live)
            # (3) Anything else.
            return self._begin_out_of_band(environment, seen, stands, occasion)

        return settle(attempt)

    def _look(self, model: str, environment: str, digest: str, now: EpochNs) -> _Seen:
        with read_transaction(self._database) as connection:
            live = live_store.read_open(connection, model, environment)
            rollout = rollout_store.rollout_under_way(connection, model, environment)
            row = None if rollout is None else store.read_promotion_row(connection, rollout.promotion_id)
        is_recorded = live is not None and self._is_recorded(live)
        if rollout is None or row is None:
            return _Seen(live=live, is_recorded=is_recorded, awaited=None, rollout=rollout)
        promotion = promotion_from_row(row, now)
        if promotion.state in UNDER_WAY:
            check_recorded(self._database, self._logs, promotion)
        request = promotion.request
        seen = (request.model, request.transition.to_environment, str(request.digest))
        fits = promotion.state in UNDER_WAY and seen == (model, environment, digest)
        permit: RecordedPermit | None = None
        if fits and promotion.state is PromotionState.PERMITTED:
            permit = find_permit(self._logs.named(promotion.log), promotion, rollout.permit_id)
            fits = not is_expired(permit.expires, now)
        awaited = promotion if fits else None
        return _Seen(live=live, is_recorded=is_recorded, awaited=awaited, rollout=rollout, permit=permit)

    def _is_recorded(self, live: LiveInterval) -> bool:
        # What is seen is news where the row is not as the log has it: so it is recorded, and the row is put right. A
        # row that only changed just now is found out when it is to be replaced.
        try:
            check_interval(self._logs, live)
        except LogInconsistentError:
            return False
        return True

    def _confirm(self, promotion: Promotion, rollout: Rollout, stands: _Seen, occasion: Occasion) -> ObservationAnswer:
        request, now, live, permit = promotion.request, occasion.now, stands.live, stands.permit
        executing = promotion
        if permit is not None:
            executing = replace(promotion, state=PromotionState.EXECUTING, row_version=promotion.row_version + 1)
        interval = LiveInterval(
            model=request.model,
            environment=request.transition.to_environment,
            version=request.version,
            digest=str(request.digest),
            begins=begin_after(live if stands.is_recorded else None, now),
            ends=None,
            promotion_id=promotion.id,
            log=promotion.log,
            record_id=next_id(executing),
        )

        with read_transaction(self._database) as connection:
            rows = store.older_allowed(connection, promotion, SUPERSEDED_MAX)
        older = {row["id"]: find_recorded_row(self._database, self._logs, row) for row in rows}

        def work(connection: Connection) -> Outcome[None]:
            events: tuple[Event, ...] = ()
            if permit is not None:
                move(connection, promotion, PromotionState.EXECUTING)
                events += (
                    pointer_event(
                        occasion,
                        promotion,
                        permit.pointer,
                        permit_id=rollout.permit_id,
                        former_version="",
                        percent=WHOLE_PERCENT,  # whoever sees it run sees it all
                        told_by="observation",
                    ),
                )
            move(connection, executing, PromotionState.CONFIRMED)
            rollout_store.end_rollout(connection, promotion.id, is_confirmed=True)
            if not live_store.replace_open(connection, live, interval):
                raise MovedError
            events += (confirmation_event(occasion, promotion, interval, rollout.permit_id),)
            events += _supersede_older(connection, promotion, older, occasion)
            return Outcome(value=None, events=events)

        committed = self._logs.named(promotion.log).transact(work)
        receipt = committed.receipts[0 if permit is None else 1]  # behind the pointer's move, if it is told here
        return ObservationAnswer(
            result="confirmed",
            interval=interval,
            promotion=promotion,
            seconds=seconds_between(promotion.created, now),
            receipt=receipt,
        )

    def _begin_out_of_band(
        self, environment: str, seen: Observation, stands: _Seen, occasion: Occasion
    ) -> ObservationAnswer:
        log = self._logs.name_for(environment)
        interval = LiveInterval(
            model=occasion.model,
            environment=environment,
            version=seen.version,
            digest=str(seen.digest),
            begins=begin_after(stands.live if stands.is_recorded else None, occasion.now),
            ends=None,
            promotion_id="",
            log=log,
            record_id=new_id(occasion.now),
        )

        def work(connection: Connection) -> Outcome[None]:
            if rollout_store.rollout_under_way(connection, occasion.model, environment) != stands.rollout:
                raise MovedError  # what was seen may be what somebody brings at this moment
            if not live_store.replace_open(connection, stands.live, interval):
                raise MovedError
            return Outcome(value=None, events=(live_event(occasion, interval),))

        receipt = self._logs.named(log).transact(work).receipts[0]
        return ObservationAnswer(result="out_of_band", interval=interval, receipt=receipt)


def _supersede_older(
    connection: Connection, confirmed: Promotion, older: Mapping[str, Promotion | None], occasion: Occasion
) -> tuple[Event, ...]:
    # Of the same log: one transaction writes to one. What another log holds from before ends with its time; and a row
    # that the log does not confirm is passed over: it must not keep what runs from being confirmed.
    events = []
    for row in store.older_allowed(connection, confirmed, SUPERSEDED_MAX):
        if row["id"] not in older:
            raise MovedError  # it was allowed just now
        one = older[row["id"]]
        if one is None or is_expired(one.expires, occasion.now):
            continue  # its time ran out: that is recorded when somebody looks
        move(connection, one, PromotionState.SUPERSEDED)
        events.append(supersession_event(occasion, one, confirmed.id))
    return tuple(events)
