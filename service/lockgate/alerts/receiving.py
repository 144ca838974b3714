"""Taking notifications: whose they are, what they ask for, and whether that was asked before."""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from sqlalchemy import Connection, Engine

from lockgate.alerts.errors import AlertUnauthenticatedError
from lockgate.alerts.payloads import Target, parse_notification
from lockgate.alerts.settings import AlertSource
from lockgate.alerts.store import Rollback, Situation, mark_failure, read_situation
from lockgate.audit import Outcome
from lockgate.authorization import Authorizer
from lockgate.canonical_json import canonicalize
from lockgate.clock import NS_PER_S, Clock, EpochNs, format_timestamp, now_us
from lockgate.digests import sha256_hex
from lockgate.errors import LockgateError
from lockgate.gate_logs import Logs, Occasion, actor_of, make_event
from lockgate.identity import Principal, read_principal
from lockgate.ids import new_id
from lockgate.lifecycle import Rollbacks
from lockgate.lifecycle.errors import NoGoodVersionError
from lockgate.promotion import EvidenceErasedError, PromotionAnswer, find_recorded
from lockgate.promotion.kinds import FAILURE
from lockgate.storage import MovedError, read_transaction
from lockgate.storage.idempotency import IdempotencyKeyReusedError

SKEW_NS: Final = 60 * NS_PER_S  # between Prometheus's clock and ours: below the time that an alert takes to fire
INCIDENT_NS: Final = 600 * NS_PER_S  # from a request for a rollback: alerts that begin within it are of one incident

AlertOutcome: TypeAlias = Literal["requested", "collapsed", "stale", "failed"]
"""A rollback was asked for; one was before; the alert is about what ran before; there is nothing to ask for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertResult:
    """What became of the alerts about one model in one environment.

    Attributes:
        promotion_id: The rollback that was asked for, now or before; "" if there is none.
        code: Why it failed; "" if it did not.
        answer: What the gate said of a rollback that was asked for now.
    """

    model: str
    environment: str
    outcome: AlertOutcome
    promotion_id: str = ""
    code: str = ""
    answer: PromotionAnswer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertAnswer:
    """What became of a notification."""

    results: tuple[AlertResult, ...]
    ignored: int  # alerts that ask for nothing

    @property
    def collapsed(self) -> bool:
        """Whether all that it asked for was asked for before."""
        return bool(self.results) and all(result.outcome == "collapsed" for result in self.results)


class AlertReceiver:
    """Asks for rollbacks in the name of alerts. Safe to share between threads."""

    def __init__(  # noqa: PLR0913 - each argument is one part
        self,
        sources: Sequence[AlertSource],
        *,
        database: Engine,
        logs: Logs,
        rollbacks: Rollbacks,
        authorizer: Authorizer,
        clock: Clock,
    ) -> None:
        self._sources = {source.name: source for source in sources}
        self._database = database
        self._logs = logs
        self._rollbacks = rollbacks
        self._authorizer = authorizer
        self._clock = clock

    def authenticate(self, name: str, token: str) -> AlertSource:
        """Return the source that a token proves; compared in constant time.

        Args:
            name: Of the source, as the path has it.
            token: What the sender shows, perhaps nothing.

        Raises:
            AlertUnauthenticatedError: There is no such source, or its token is another one.
            AlertSourceUnusableError: The source's token cannot be read at the moment.
        """
        source = self._sources.get(name)
        wanted = "" if source is None else source.read_token()
        # Digests, so that neither length nor content shows in the time that it takes.
        same = hmac.compare_digest(sha256_hex(wanted.encode()), sha256_hex(token.encode()))
        if source is None or not same:
            raise AlertUnauthenticatedError("want the name of an alert source and 'Authorization: Bearer <its token>'")
        return source

    def receive(self, source: AlertSource, body: bytes, *, trace: str) -> AlertAnswer:
        """Take a notification.

        The steps, for each model and environment that firing alerts are about:
          (1) The source's principal is permitted to ask for rollbacks, now.
          (2) No rollback's hold is in force, by the log's word. Of the rollbacks that the source's own principal asked
              for, or that got a permit, none is open, and the newest alert began well after each was asked for: else it
              is of the incident that was answered then. One that came to nothing answers no longer than a storm lasts.
          (3) They began after what promotions brought there last began to arrive: else they are about what ran before.
          (4) A rollback is asked for, as anybody would ask, to something else than what was there when the newest alert
              began. The policy decides.

        Args:
            source: Of `authenticate`.
            body: The notification.
            trace: The HTTP request's id.

        Raises:
            MalformedJSONError: `body` is not one JSON value within the limits.
            AlertPayloadError: It is no notification of version 4.
            AlertTargetsError: It is about too many models and environments.
            NotPermittedError: The source's principal may not ask for rollbacks; that is recorded.
            LockgateError: The gate could not decide; as `Rollbacks.request`. What was asked for before stays; the same
                notification may be sent again.
        """
        notification = parse_notification(body, source, EpochNs(self._clock.now_ns() + SKEW_NS))
        results: tuple[AlertResult, ...] = ()
        if notification.targets:
            # (1) The source's principal may ask.
            requester = self._requester(source)
            self._authorizer.check(requester, "rollbacks.create", {}, trace=trace)
            results = tuple(self._ask(requester, target, trace) for target in notification.targets)
        return AlertAnswer(results=results, ignored=notification.ignored)

    def _requester(self, source: AlertSource) -> Principal:
        with read_transaction(self._database) as connection:
            principal = read_principal(connection, source.principal)
        if principal is None or principal.type != "machine":  # no person asks without knowing
            return Principal(subject=source.principal, type="machine", roles=(), identities=())
        return principal

    def _ask(self, requester: Principal, target: Target, trace: str) -> AlertResult:
        model, environment = target.model, target.environment
        now, began = self._clock.now_ns(), EpochNs(target.began + SKEW_NS)
        with read_transaction(self._database) as connection:
            situation = read_situation(
                connection, model, environment, principal=requester.subject, began=began, now=now
            )
        # (2) It was not asked for before.
        hold = find_recorded(self._logs, model, environment)
        held_by = "" if hold is None else hold["promotion_id"]  # a finding's freezes what runs, and answers no alert
        answer_to = held_by or next((one.promotion_id for one in situation.rollbacks if _answers(one, target, now)), "")
        if answer_to:
            return AlertResult(model=model, environment=environment, outcome="collapsed", promotion_id=answer_to)
        # (3) The alerts are about what runs now.
        if situation.arrived is not None and began < situation.arrived:
            return AlertResult(model=model, environment=environment, outcome="stale")
        # (4) Ask. Whoever asks at the same moment sees the same situation, so that one of them alone is the first.
        key = _key(target, situation)
        document = {"schema_version": 1, "model": model, "environment": environment, "reason": target.reason}
        try:
            answer = self._rollbacks.request(
                requester, canonicalize(document), idempotency_key=key, trace=trace, avoid=(situation.failing,)
            )
        except IdempotencyKeyReusedError:  # with another reason: another group of alerts was faster
            return AlertResult(model=model, environment=environment, outcome="collapsed")
        except (NoGoodVersionError, EvidenceErasedError) as exc:
            self._record_failure(requester, target, key, exc, trace)
            return AlertResult(model=model, environment=environment, outcome="failed", code=exc.code)
        return AlertResult(
            model=model,
            environment=environment,
            outcome="requested" if answer.fresh else "collapsed",
            promotion_id=answer.promotion.id,
            answer=answer if answer.fresh else None,
        )

    def _record_failure(self, requester: Principal, target: Target, key: str, error: LockgateError, trace: str) -> None:
        now = now_us(self._clock)
        occasion = Occasion(actor=actor_of(requester), model=target.model, now=now, trace=trace)
        document = {
            "schema_version": 1,
            "promotion_id": "",
            "operation": "rollback",
            "code": error.code,
            "detail": f"{target.environment}: {error}"[:500],
            "model": target.model,
            "failed_at": format_timestamp(now),
        }

        def work(connection: Connection) -> Outcome[None]:
            # Once for what runs now: a storm of alerts about it is no storm of records.
            if not mark_failure(connection, f"{key} {error.code}", now):
                raise MovedError  # it is in the log already
            return Outcome(value=None, events=(make_event(FAILURE, new_id(now), occasion, document),))

        log = self._logs.named(self._logs.name_for(target.environment))
        try:
            log.transact(work)
        except MovedError:
            return


def _answers(rollback: Rollback, target: Target, now: EpochNs) -> bool:
    if rollback.is_open:
        return True
    # What came to nothing mended nothing: an alert that goes on asks again, though not in the same storm.
    since = now if rollback.came_to_nothing else target.began
    return since <= rollback.asked + INCIDENT_NS


def _key(target: Target, situation: Situation) -> str:
    newest = situation.rollbacks[0].promotion_id if situation.rollbacks else ""
    seen = [target.model, target.environment, newest, str(situation.arrived)]
    return f"alert:{sha256_hex(canonicalize(seen))}"
