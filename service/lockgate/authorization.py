"""Whether a caller may do what they ask for: the policy says, and every denial is recorded.

An answer depends on the policy revision, the caller's name and roles, the operation and its object, and on nothing
else. So it is asked for once and kept, by all of these.
"""

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from lockgate.audit import Actor, AuditError, AuditLog, Event
from lockgate.clock import NS_PER_S, Clock, EpochNs, format_timestamp
from lockgate.identity import ROLE_EXAMPLES, NotPermittedError, Principal
from lockgate.observing import step
from lockgate.policy import (
    OBJECT_MISSING,
    AuthzResult,
    PolicyFailureError,
    PolicyInForce,
    PolicyRevision,
    build_authz_input,
)
from lockgate.storage import StorageError

DENIAL: Final = "identity.denial"
AUTHORIZATION_KINDS: Final[Mapping[str, str]] = {DENIAL: "v1/api/denial"}

ANSWERS_MAX: Final = 4096  # kept at once, a few MiB: some two hundred callers with every operation
REPEAT_NS: Final = 60 * NS_PER_S  # a script that retries once a second leaves a record a minute
LISTED_MAX: Final = 30  # denials of one caller a minute with their own record; a form's every button is fewer
DENIALS_MAX: Final = 4096  # different ones whose repetitions are counted, some four MiB
_SOMEBODY: Final = "somebody"  # asked about to learn what a role may do; no caller
ROLE_MISSING: Final = "role_missing"  # the policy's answer where no role of the caller is granted the operation
ROLE_NOT_HELD: Final = "role_not_held"  # its answer where a caller approves in a role that is not theirs

_Key: TypeAlias = tuple[str, str, str, tuple[tuple[str, str], ...]]
"""Caller, operation, reason, facts of the object."""


class Authorizer:
    """Asks the policy in force about every call. Safe to share between threads."""

    def __init__(self, *, policy: PolicyInForce, log: AuditLog, clock: Clock, timeout_s: float) -> None:
        self._policy = policy
        self._timeout_s = timeout_s
        self._denials = _Denials(log, clock)
        self._answers: dict[_Call, AuthzResult] = {}

    def check(self, principal: Principal, operation: str, facts: Mapping[str, str], *, trace: str) -> None:
        """Make sure that a call is permitted.

        Args:
            principal: Who calls.
            operation: What is called, for example `promotions.create`.
            facts: Of the object that the operation is about; empty if it is about none.
            trace: The request's id.

        Raises:
            NotPermittedError: The policy denies it; that is recorded.
            PolicyFailureError: The policy gave no usable answer.
            AuditError: It is denied, and that could not be recorded.
            StorageError: It is denied, and that could not be recorded.
        """
        self._settle(principal, operation, facts, trace, unless="")

    def check_role(self, principal: Principal, operation: str, *, trace: str) -> None:
        """Make sure that a call may be permitted, before its object is known; `check` must follow with the object.

        Raises:
            NotPermittedError: Whatever the object, the policy denies it; that is recorded.
            PolicyFailureError: As in `check`.
            AuditError: As in `check`.
            StorageError: As in `check`.
        """
        self._settle(principal, operation, {}, trace, unless=OBJECT_MISSING)

    def permits(self, principal: Principal, operation: str, facts: Mapping[str, str]) -> bool:
        """Tell whether a call would be permitted, so that nobody is offered what they may not do. Records nothing.

        Raises:
            PolicyFailureError: The policy gave no usable answer.
        """
        return self._ask(principal, operation, facts).allow

    def may_permit(self, principal: Principal, operation: str) -> bool:
        """Tell whether there could be an object for which a call would be permitted. Raises as `permits`."""
        answer = self._ask(principal, operation, {})
        return answer.allow or answer.reason == OBJECT_MISSING

    def _settle(
        self, principal: Principal, operation: str, facts: Mapping[str, str], trace: str, *, unless: str
    ) -> None:
        self._denials.record_unlisted()
        answer = self._ask(principal, operation, facts)
        if answer.allow or answer.reason == unless:
            return
        self._denials.record(principal, operation, facts, answer, trace)
        # Nobody is named: a problem is passed on, to colleagues and into the logs of pipelines.
        wanted = self._wanted(principal, operation, facts, answer)
        raise NotPermittedError(f"want {wanted}, got the answer {answer.reason}")

    def _wanted(self, principal: Principal, operation: str, facts: Mapping[str, str], answer: AuthzResult) -> str:
        """Say what would have been permitted, as far as the policy tells everybody (docs/roles.md)."""
        see = "see 'lockgate whoami'"
        if answer.reason == ROLE_NOT_HELD and "role" in facts:
            return f"the role approver:{facts['role']} for {operation} ({see})"
        if answer.reason == ROLE_MISSING:
            roles = [name for name, role in ROLE_EXAMPLES.items() if self._is_granted(principal, role, operation)]
            if roles:
                return f"the role {' or '.join(roles)} for {operation} ({see})"
        return f"{operation} permitted"

    def _is_granted(self, principal: Principal, role: str, operation: str) -> bool:
        # Of a principal that is nobody, so that every caller who is denied has the same answers, which are kept.
        somebody = replace(principal, subject=_SOMEBODY, roles=(role,))
        try:
            return self.may_permit(somebody, operation)
        except PolicyFailureError:  # the denial stands and is recorded; only its message says less
            return False

    def _ask(self, principal: Principal, operation: str, facts: Mapping[str, str]) -> AuthzResult:
        engine = self._policy.engine  # taken once: the answer must be of the revision that it is kept under
        call = _Call(
            revision=engine.catalogue().revision,
            principal=(principal.subject, principal.type, principal.roles),
            operation=operation,
            facts=tuple(sorted(facts.items())),
        )
        answer = self._answers.get(call)
        if answer is None:
            document = build_authz_input(
                revision=call.revision,
                subject=principal.subject,
                type=principal.type,
                roles=principal.roles,
                operation=operation,
                facts=facts,
            )
            with step("policy.authorize"):
                answer = engine.authorize(document, timeout_s=self._timeout_s)
            if len(self._answers) >= ANSWERS_MAX:
                self._answers.clear()  # each is back after one question
            self._answers[call] = answer
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """Everything that an answer depends on."""

    revision: PolicyRevision
    principal: tuple[str, str, tuple[str, ...]]  # subject, type, roles
    operation: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Denied:
    """When a denial was recorded, how often it was repeated since, and what the last of them was."""

    recorded: EpochNs
    repeated: int
    last: Event


@dataclass(slots=True, kw_only=True)
class _Caller:
    """What one caller was denied in the minute since `since`.

    Attributes:
        recorded: How many denials have their own record.
        unlisted: How many others were counted and not recorded yet.
        last: The last of those.
    """

    since: EpochNs
    recorded: int = 0
    unlisted: int = 0
    last: Event | None = None


class _Denials:
    """Records denials, at most so many of one caller in a minute; all others are counted, and recorded by number.

    The same denial again within a minute is told by the next record of it (`repeated`). What one caller was denied
    beyond the limit is told by one record of the last of them (`unlisted`), which the next call of anybody writes when
    the minute is over.
    """

    def __init__(self, log: AuditLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[_Key, _Denied] = {}  # the one recorded longest ago first
        self._callers: dict[str, _Caller] = {}  # the one whose minute began first is the first; of the last minute

    def record(
        self, principal: Principal, operation: str, facts: Mapping[str, str], answer: AuthzResult, trace: str
    ) -> None:
        now = self._clock.now_ns()
        key = (principal.subject, operation, answer.reason, tuple(sorted(facts.items())))
        event = _denial(principal, operation, facts, answer, trace=trace, now=now)
        with self._lock:
            before = self._known.pop(key, None)
            if before is not None and _within(before.recorded, now):
                self._known[key] = replace(before, repeated=before.repeated + 1, last=event)
                return
            repeated = before.repeated if before else 0
            caller = self._caller(principal.subject, now)
            if caller.recorded >= LISTED_MAX:
                caller.unlisted += repeated + 1
                caller.last = event
                return
            caller.recorded += 1
            self._known[key] = _Denied(recorded=now, repeated=0, last=event)
            if len(self._known) > DENIALS_MAX:
                self._forget_oldest(now)
        try:
            self._log.append(_counting(event, repeated=repeated))
        except BaseException:
            with self._lock:  # not recorded, so the next one is; this one and those that relied on it count as repeated
                caller.recorded -= 1
                missed = repeated + 1 + (self._known[key].repeated if key in self._known else 0)
                self._known.pop(key, None)
                self._known[key] = _Denied(recorded=EpochNs(now - REPEAT_NS), repeated=missed, last=event)
            raise

    def record_unlisted(self) -> None:
        """Record what was only counted of one caller, if its minute is over; what fails is tried in the next one."""
        if not self._callers:
            return
        now = self._clock.now_ns()
        with self._lock:
            due = self._pop_due(now)
        if due is None or due.last is None:
            return
        try:
            self._log.append(_counting(due.last, unlisted=due.unlisted - 1))
        except (AuditError, StorageError):  # the call under way may need no log at all
            with self._lock:
                caller = self._caller(due.last.actor.id, now)
                caller.unlisted += due.unlisted
                caller.last = caller.last or due.last

    def _caller(self, subject: str, now: EpochNs) -> _Caller:
        caller = self._callers.get(subject)
        if caller is None or not _within(caller.since, now):
            self._callers.pop(subject, None)
            unlisted, last = (caller.unlisted, caller.last) if caller else (0, None)
            caller = self._callers[subject] = _Caller(since=now, unlisted=unlisted, last=last)
        return caller

    def _pop_due(self, now: EpochNs) -> _Caller | None:
        while self._callers:
            subject, caller = next(iter(self._callers.items()))
            if _within(caller.since, now):
                return None
            del self._callers[subject]
            if caller.unlisted:
                return caller
        return None

    def _forget_oldest(self, now: EpochNs) -> None:
        oldest = self._known.pop(next(iter(self._known)))
        if oldest.repeated:
            caller = self._caller(oldest.last.actor.id, now)
            caller.unlisted += oldest.repeated
            caller.last = oldest.last


def _within(then: EpochNs, now: EpochNs) -> bool:
    return 0 <= now - then < REPEAT_NS


def _denial(  # noqa: PLR0913 - each argument is one fact
    principal: Principal, operation: str, facts: Mapping[str, str], answer: AuthzResult, *, trace: str, now: EpochNs
) -> Event:
    document = {
        "schema_version": 1,
        "operation": operation,
        "object": dict(facts),
        "reason": answer.reason,
        "policy_revision": answer.revision,
        "repeated": 0,
        "unlisted": 0,
        "denied_at": format_timestamp(now),
    }
    return Event(
        id=str(uuid.uuid4()),
        kind=DENIAL,
        actor=Actor(type=principal.type, id=principal.subject, roles=principal.roles),
        subject=f"principal:{principal.subject}",
        body=document,
        trace=trace,
    )


def _counting(event: Event, **counts: int) -> Event:
    return replace(event, body={**event.body, **counts})
