"""Carrying out what was allowed, where the settings name an executor for it: a job of `lockgate deliver`.

The gate decides, the executor moves, and what was seen confirms it: three facts, each recorded when it happens. Before
anything moves the case is decided anew, and again before each further share of traffic. Whoever dies in between has
claimed the rollout for `CLAIM_S`; then it goes on from what the database holds and from what the executor sees, so
that an order may be given twice under one key, and is carried out once.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Engine

from lockgate.audit import SYSTEM
from lockgate.canonical_json import canonicalize
from lockgate.clock import NS_PER_S, Clock, EpochNs
from lockgate.delivery import rollout_queue
from lockgate.delivery.executors.errors import ExecutorError, OrderImpossibleError, PointerElsewhereError
from lockgate.delivery.executors.port import Order, RolloutPort
from lockgate.delivery.rollout_queue import Task, Waiting
from lockgate.delivery.rollout_settings import RolloutSettings, find_rollout
from lockgate.errors import LockgateError
from lockgate.lifecycle import Lifecycle, Pointers
from lockgate.lifecycle.errors import RolloutUnderWayError
from lockgate.lifecycle.types import RolloutAnswer
from lockgate.promotion import Promotion, PromotionState, Register, Verdict
from lockgate.promotion.errors import RolloutStateError
from lockgate.promotion.types import WHOLE_PERCENT
from lockgate.storage import read_transaction, write_transaction

# Between one attempt to carry an order out and the next, in seconds: half an hour in all, in which a registry is
# started again or a token is replaced; longer, and what was decided would be carried out when nobody expects it.
RETRY_WAITS_S: Final = (5, 15, 60, 300, 600, 900)
ATTEMPTS_MAX: Final = len(RETRY_WAITS_S) + 1
READY_S_MAX: Final = 1800  # for a large model to be fetched and loaded; then its share of traffic is taken back
LOOK_S: Final = 10  # between two looks at what is not ready yet
UNSEEN_S: Final = 60  # between two looks at what only others can see
CLAIM_S: Final = 180  # three times the life of a permit: nobody takes over what is still being carried out
UNDECIDED_S: Final = 60  # before a promotion is asked for again that could not be decided: each try leaves a record
POLL_S: Final = 1.0  # for what was allowed meanwhile
ROUND_MAX: Final = 50  # rollouts in one run, so that what is waiting gets its turn
WAITING_MAX: Final = 1000  # promotions that are looked at in one run; most of them may be for others to carry out
DETAIL_CHARS_MAX: Final = 500  # as `v1/api/rollout_report` takes


class NotReadyError(ExecutorError):
    """What was brought there does not serve, or was not seen to within the time for it."""

    code = "rollout.not_ready"


class RolloutJob:
    """Carries promotions out by the executors of the settings."""

    def __init__(  # noqa: PLR0913 - each argument is one part
        self,
        *,
        rollouts: Sequence[RolloutSettings],
        executors: Mapping[str, RolloutPort],
        lifecycle: Lifecycle,
        register: Register,
        pointers: Pointers,
        database: Engine,
        clock: Clock,
    ) -> None:
        """Take the parts.

        Args:
            rollouts: The tables of the settings, in their order.
            executors: One for each table that is not pulled, by its name.
            lifecycle: The gate's: permits, reports, observations.
            register: Where promotions are.
            pointers: What models were registered as.
            database: Where rollouts are.
            clock: For what is due.
        """
        self._rollouts = tuple(rollouts)
        self._settings = {rollout.name: rollout for rollout in rollouts}
        self._executors = dict(executors)
        self._lifecycle = lifecycle
        self._register = register
        self._pointers = pointers
        self._database = database
        self._clock = clock
        self._undecided: dict[str, int] = {}  # when to ask again, by promotion

    @property
    def name(self) -> str:
        """What log lines call it."""
        return "rollouts"

    def run(self) -> float:
        """Do what is due, and return how many seconds to wait.

        Raises:
            StorageError: The database cannot be read or written.
        """
        targets = sorted(self._executors)
        now = self._clock.now_ns()
        environments = {name for rollout in self._rollouts if rollout.name in targets for name in rollout.environments}
        with read_transaction(self._database) as connection:
            waiting = rollout_queue.list_waiting(connection, sorted(environments), now, WAITING_MAX)
            due = rollout_queue.list_due(connection, targets, now, ROUND_MAX)
            ended = rollout_queue.list_ended(connection, targets, now, ROUND_MAX)
        for task in ended:  # first: it may be in the way of what comes
            self._take_back(task)
        for task in due:
            self._go_on(task)
        self._undecided = {one.promotion_id: self._undecided.get(one.promotion_id, 0) for one in waiting}
        begun: set[tuple[str, str]] = set()
        for one in waiting:
            place = (one.model, one.environment)
            if place not in begun and self._begin(one):  # else an older rollback would take the place of a newer one
                begun.add(place)
        return POLL_S

    # --- the first step -------------------------------------------------------------------------------------------

    def _begin(self, waiting: Waiting) -> bool:
        """Carry a promotion out, as far as that goes now; tell whether it was given a permit."""
        rollout = find_rollout(self._rollouts, waiting.model, waiting.environment)
        if rollout is None or self._undecided[waiting.promotion_id] > self._clock.now_ns():
            return False
        try:
            answer = self._ask_permit(waiting.promotion_id, rollout.name)
        except (RolloutUnderWayError, RolloutStateError):
            return False  # another one was begun meanwhile, or took its place
        except LockgateError as exc:
            self._undecided[waiting.promotion_id] = self._clock.now_ns() + UNDECIDED_S * NS_PER_S
            self._tell("rollout_undecided", waiting.promotion_id, exc)
            return False
        task = self._read(waiting.promotion_id)
        if answer.permit and task is not None and (claimed := self._claim(task)) is not None:
            self._apply(claimed, answer)
        return bool(answer.permit)

    def _go_on(self, task: Task) -> None:
        claimed = self._claim(task)
        if claimed is None:
            return  # somebody else is at it
        if task.state is PromotionState.EXECUTING:
            self._attend(claimed)
            return
        try:
            answer = self._ask_permit(task.promotion_id, task.target)
        except LockgateError as exc:
            self._retry(task.promotion_id, exc)
            return
        fresh = self._read(task.promotion_id)
        if answer.permit and fresh is not None:
            self._apply(fresh, answer)

    def _apply(self, task: Task, answer: RolloutAnswer) -> None:
        """Give the first order, and report what came of it."""
        promotion = answer.outcome.promotion
        try:
            order = self._order(promotion, self._first_percent(promotion, task.target), answer.permit)
            applied = self._executors[task.target].apply(order)
            self._report(
                promotion.id,
                status="executing",
                permit_id=task.permit_id,
                percent=applied.percent,
                former_version=applied.former_version,
            )
        except LockgateError as exc:
            self._retry(promotion.id, exc)
            return
        whole = applied.percent == WHOLE_PERCENT
        self._settle(promotion.id, wait_s=0 if whole else self._interval_s(task.target))
        fresh = self._read(promotion.id)
        if whole and fresh is not None:
            self._attend(fresh)

    # --- what follows ---------------------------------------------------------------------------------------------

    def _attend(self, task: Task) -> None:
        """Look at what was brought there, and confirm it or go a step further."""
        executor = self._executors[task.target]
        try:
            promotion = self._register.get(task.promotion_id).promotion
            order = self._order(promotion, task.percent)
            seen = executor.observe(order)
            if seen is None:
                self._settle(task.promotion_id, wait_s=UNSEEN_S)
                return
            if not seen.is_ours:
                raise PointerElsewhereError(f"want version {promotion.request.version} where it was put, got another")
            if seen.percent < task.percent:
                executor.apply(order)  # it was decided, and nobody heard of what came of it
                self._settle(promotion.id, wait_s=LOOK_S)
            elif not seen.is_ready:
                self._wait_until_ready(task)
            elif task.percent == WHOLE_PERCENT:
                self._confirm(promotion)
            else:
                self._step(promotion, task)
        except OrderImpossibleError as exc:
            self._fail(task.promotion_id, exc)
        except LockgateError as exc:
            # What was moved stays moved, and may well run: that it cannot be seen now is no failure of it.
            self._tell("rollout_unseen", task.promotion_id, exc)
            self._settle(task.promotion_id, wait_s=UNSEEN_S, code=exc.code)

    def _confirm(self, promotion: Promotion) -> None:
        request = promotion.request
        body = canonicalize({"schema_version": 1, "digest": str(request.digest), "version": request.version})
        environment = request.transition.to_environment
        self._lifecycle.observations.observe(SYSTEM, request.model, environment, body, trace=None)

    def _wait_until_ready(self, task: Task) -> None:
        if (task.attempts + 1) * LOOK_S > READY_S_MAX:
            self._fail(task.promotion_id, NotReadyError(f"want it to serve within {READY_S_MAX} s, and it does not"))
            return
        self._settle(task.promotion_id, wait_s=LOOK_S, attempts=task.attempts + 1, code=NotReadyError.code)

    def _step(self, promotion: Promotion, task: Task) -> None:
        """Have the next share of traffic decided, and give the order for it."""
        percent = next((step for step in self._settings[task.target].steps if step > task.percent), WHOLE_PERCENT)
        answer = self._report(promotion.id, status="step", percent=percent)
        verdict = answer.outcome.decision.verdict
        if verdict is not Verdict.ALLOW:  # denied: its share is taken back in the next run; pending: it keeps its share
            self._settle(promotion.id, wait_s=0 if verdict is Verdict.DENY else self._interval_s(task.target))
            return
        self._executors[task.target].apply(self._order(promotion, percent))
        self._settle(promotion.id, wait_s=self._interval_s(task.target))

    def _take_back(self, task: Task) -> None:
        try:
            promotion = self._register.get(task.promotion_id).promotion
            self._executors[task.target].take_back(self._order(promotion, 0))
        except LockgateError as exc:
            self._tell("share_not_taken_back", task.promotion_id, exc)
            self._settle(task.promotion_id, wait_s=UNSEEN_S, code=exc.code)
            return
        with write_transaction(self._database) as connection:
            rollout_queue.close_task(connection, task)

    # --- what went wrong ------------------------------------------------------------------------------------------

    def _retry(self, promotion_id: str, exc: LockgateError) -> None:
        self._tell("rollout_attempt_failed", promotion_id, exc)
        try:
            promotion = self._register.get(promotion_id).promotion  # closes it, if its time ran out
        except LockgateError as unread:  # the log does not confirm it: of no concern to the others of this round
            self._tell("rollout_unread", promotion_id, unread)
            self._settle(promotion_id, wait_s=UNSEEN_S, code=unread.code)
            return
        task = self._read(promotion_id)
        if task is None or promotion.state is not PromotionState.PERMITTED:
            return  # it ended, or somebody else went on with it
        if isinstance(exc, OrderImpossibleError) or task.attempts >= ATTEMPTS_MAX:
            self._fail(promotion_id, exc)
            return
        self._settle(
            promotion_id, wait_s=RETRY_WAITS_S[max(task.attempts, 1) - 1], attempts=task.attempts, code=exc.code
        )

    def _fail(self, promotion_id: str, exc: LockgateError) -> None:
        detail = str(exc)[:DETAIL_CHARS_MAX]
        try:
            self._report(promotion_id, status="failed", code=exc.code, detail=detail)
            self._settle(promotion_id, code=exc.code)  # due at once: what share it has is taken back
        except LockgateError as failed:
            self._tell("rollout_failure_not_recorded", promotion_id, failed)

    def _tell(self, event: str, promotion_id: str, exc: LockgateError) -> None:
        structlog.get_logger().warning(event, promotion_id=promotion_id, code=exc.code, detail=str(exc))

    # --- parts ----------------------------------------------------------------------------------------------------

    def _ask_permit(self, promotion_id: str, target: str) -> RolloutAnswer:
        return self._lifecycle.rollouts.permit(SYSTEM, promotion_id, trace=None, target=target)

    def _report(self, promotion_id: str, **document: Any) -> RolloutAnswer:  # noqa: ANN401 - as the schema says
        body = canonicalize({"schema_version": 1, **document})
        return self._lifecycle.rollouts.report(SYSTEM, promotion_id, body, trace=None)

    def _order(self, promotion: Promotion, percent: int, permit: str = "") -> Order:
        request = promotion.request
        environment = request.transition.to_environment
        pointer = self._pointers.find(request.model, environment)
        live = self._lifecycle.live.interval(request.model, environment)
        return Order(
            promotion_id=promotion.id,
            model=request.model,
            environment=environment,
            version=request.version,
            digest=str(request.digest),
            registry=pointer.registry,
            registry_model=pointer.registry_model,
            alias=pointer.alias,
            former_version="" if live is None else live.version,
            is_rollback=request.transition.kind == "rollback",
            percent=percent,
            permit=permit,
        )

    def _first_percent(self, promotion: Promotion, target: str) -> int:
        # What takes a bad version back takes it back whole, at once.
        is_rollback = promotion.request.transition.kind == "rollback"
        return WHOLE_PERCENT if is_rollback else self._settings[target].steps[0]

    def _interval_s(self, target: str) -> float:
        return self._settings[target].step_interval_s

    def _read(self, promotion_id: str) -> Task | None:
        with read_transaction(self._database) as connection:
            return rollout_queue.read_task(connection, promotion_id)

    def _claim(self, task: Task) -> Task | None:
        # An attempt counts when it is begun: one that ends the process is not repeated for ever.
        attempts = task.attempts + (task.state is PromotionState.PERMITTED)
        due = EpochNs(self._clock.now_ns() + CLAIM_S * NS_PER_S)
        with write_transaction(self._database) as connection:
            return rollout_queue.change_task(connection, task, attempts=attempts, due=due, code="")

    def _settle(self, promotion_id: str, *, wait_s: float = 0, attempts: int = 0, code: str = "") -> None:
        task = self._read(promotion_id)
        due = EpochNs(self._clock.now_ns() + int(wait_s * NS_PER_S))
        if task is not None:
            with write_transaction(self._database) as connection:
                rollout_queue.change_task(connection, task, attempts=attempts, due=due, code=code)
